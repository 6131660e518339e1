"""The engine that asks a server, against one that answers, refuses, stalls, cuts and lies."""

import itertools
import logging
import threading
import time
from pathlib import Path
from random import Random

import llm_server
import pytest
import yaml
from llm_server import cut, hang_up, say, serving, stall

from kmerl.errors import UserError
from kmerl.knowledge.engines.dialects import translate
from kmerl.knowledge.engines.openai import OpenAiEngine
from kmerl.knowledge.engines.params import EngineParams

ENGINE = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["knowledge"]["engine"]
KEY = "sk-secret-0123456789"
PATIENCE = {"attempts": 4, "first_wait_seconds": 0.01, "longest_wait_seconds": 1, "connections": 4, "answer_seconds": 5}


@pytest.fixture
def server():
    with serving() as one:
        yield one


def engine(url: str | None, model: str = "m", **changes) -> OpenAiEngine:
    openai = ENGINE["openai"] | PATIENCE | {"url": url} | changes
    return OpenAiEngine(EngineParams.model_validate(ENGINE | {"name": "openai", "model": model, "openai": openai}))


def question(text: str, **body) -> dict:
    messages = [{"role": "user", "content": text}]
    return {"custom_id": text, "body": {"model": "m", "messages": messages, "temperature": 0, "max_tokens": 9, **body}}


def ask(one: OpenAiEngine, *texts: str, **body) -> dict[str, dict]:
    found = list(one.answer(question(text, **body) for text in texts))
    assert len(found) == len({answer["custom_id"] for answer in found})
    return {answer["custom_id"]: answer for answer in found}


def content(answer: dict) -> str:
    assert answer["error"] is None
    return answer["response"]["body"]["choices"][0]["message"]["content"]


def test_each_question_gets_its_own_answer_without_dates_and_ids(server) -> None:
    server.reply = lambda message, body: f"about {message}"
    found = ask(engine(server.url), *map(str, range(40)))
    assert {name: content(answer) for name, answer in found.items()} == {str(i): f"about {i}" for i in range(40)}
    body = found["1"]["response"]["body"]
    assert body["usage"] == {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0}
    assert set(body) == {"model", "choices", "usage"}


def test_questions_are_under_way_side_by_side_and_never_more_than_allowed(server) -> None:
    server.reply = lambda message, body: time.sleep(0.03) or "x"
    ask(engine(server.url, connections=3), *map(str, range(30)))
    assert 2 <= server.most_busy <= 3


def test_questions_are_taken_as_there_is_room_for_them(server) -> None:
    taken = itertools.count()
    answers = engine(server.url, connections=2).answer(question(str(next(taken))) for _ in iter(int, 1))
    for _ in range(5):
        next(answers)
    answers.close()
    # answered, under way, and waiting on both sides
    assert next(taken) <= 5 + 2 + 2 + 4 + 2


def test_leaving_early_ends_the_threads(server) -> None:
    before = threading.active_count()
    server.reply = lambda message, body: "x"
    for _ in engine(server.url).answer(question(str(i)) for i in range(100)):
        break
    deadline = time.monotonic() + 10
    while deadline > time.monotonic() and any(
        "_guarded" in repr(t._target) for t in threading.enumerate() if hasattr(t, "_target")
    ):
        time.sleep(0.02)
    assert not [t for t in threading.enumerate() if "_guarded" in repr(getattr(t, "_target", None))]
    assert threading.active_count() < before + 100


FAULTS = {
    "429": say(429, Retry_After="0"),
    "500": say(500),
    "503 with a page": say(503, b"<html><body>Service <b>unavailable</b></body></html>"),
    "stall": stall(0.7),
    "cut": cut,
    "hang up": hang_up,
    "no JSON": say(200, b"{'choices': oops"),
    "an error in a 200": say(200, b'{"error": {"message": "overloaded"}}'),
    "no choice": say(200, b'{"choices": []}'),
    "a text for a message": say(200, b'{"choices": [{"message": "hello"}]}'),
    "a list of usage": say(200, b'{"choices": [{"message": {"content": "x"}}], "usage": [1, 2]}'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_is_tried_again(server, fault) -> None:
    server.fault = lambda message, times: FAULTS[fault] if times <= 2 else None
    found = ask(engine(server.url, answer_seconds=0.3), "a", "b")
    assert [content(answer) for answer in found.values()] == ["[sinus rhythm]"] * 2
    assert server.times == {"a": 3, "b": 3}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_pass_is_a_fault_of_that_question_after_so_many_tries(server, fault) -> None:
    server.fault = lambda message, times: FAULTS[fault] if message == "bad" else None
    found = ask(engine(server.url, answer_seconds=0.2), "bad", *map(str, range(10)))
    assert found["bad"]["response"] is None
    assert found["bad"]["error"]["message"].endswith("4 times")
    assert server.times["bad"] == 4
    assert all(content(found[str(i)]) == "[sinus rhythm]" for i in range(10))


def test_any_mixture_of_faults_leaves_each_question_with_one_result(server) -> None:
    draw = Random(3)
    plan = {str(i): [draw.choice([None, *FAULTS.values()]) for _ in range(4)] for i in range(120)}
    plan |= {str(i): [None] * 4 for i in range(0, 120, 2)}
    server.fault = lambda message, times: plan[message][times - 1]
    found = ask(engine(server.url, answer_seconds=0.2, connections=16), *plan)
    assert set(found) == set(plan)
    for name, faults in plan.items():
        assert (found[name]["error"] is None) == (None in faults)


def test_a_server_that_only_fails_ends_the_run(server) -> None:
    server.fault = lambda message, times: say(500)
    with pytest.raises(UserError, match=r"500 \(as the test says\), at every try of 3 questions in a row"):
        ask(engine(server.url, connections=1), *map(str, range(50)))
    assert len(server.asked) == 12


def test_a_server_that_goes_away_ends_the_run_and_one_that_is_not_there_at_once(server) -> None:
    answers = engine(server.url, connections=1).answer(question(str(i)) for i in range(10**6))
    next(answers)
    server.fault = lambda message, times: hang_up  # a kept connection would outlive the server
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="answers that came are kept"):
        list(answers)
    with pytest.raises(UserError, match="cannot be reached, it takes no connection"):
        ask(engine(server.url), "a")


def test_all_wait_as_long_as_the_server_asks(server) -> None:
    server.fault = lambda message, times: say(429, Retry_After="1") if message == "first" and times == 1 else None
    ask(engine(server.url, connections=1), "first", "second")
    assert server.moments[1] - server.moments[0] >= 1


def test_too_long_a_wait_ends_the_run(server) -> None:
    server.fault = lambda message, times: say(429, Retry_After="3600")
    with pytest.raises(UserError, match=r"asks to wait 3600 s, .*longest_wait_seconds"):
        ask(engine(server.url), "a")


def test_no_more_questions_begin_in_a_minute_than_are_allowed(server) -> None:
    ask(engine(server.url, requests_per_minute=1200), *map(str, range(8)))
    moments = sorted(server.moments)
    assert moments[-1] - moments[0] >= 7 * 0.05 * 0.9


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_question_that_is_refused_is_not_tried_again(server, status) -> None:
    message = b'{"error": {"message": "maximum context length is 4096 tokens"}}'
    server.fault = lambda text, times: say(status, message) if text == "long" else None
    found = ask(engine(server.url), "long", "short")
    assert found["long"]["error"] == {"code": str(status), "message": "maximum context length is 4096 tokens"}
    assert server.times == {"long": 1, "short": 1}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (say(401), "access is refused .*look at OPENAI_API_KEY"),
        (say(404, b'{"error": "model `m` does not exist"}'), "no such model.*model `m` does not exist.*engine.model"),
        (say(307, b"", Location="http://127.0.0.1:1/"), "leads to another address"),
    ],
)
def test_what_no_other_question_would_mend_ends_the_run_in_one_line(server, answer, told) -> None:
    server.fault = lambda message, times: answer
    with pytest.raises(UserError, match=told) as caught:
        ask(engine(server.url, connections=1), "a", "b")
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 1


def test_the_key_is_sent_and_stands_nowhere_else(server, monkeypatch, caplog) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    told = f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()
    server.fault = lambda message, times: say(400, told) if message == "b" else None
    one = engine(server.url, key_variable="OTHER_KEY")
    found = ask(one, "a", "b")
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    server.fault = lambda message, times: say(401, told)
    with pytest.raises(UserError) as caught:
        ask(one, "c")
    for text in (repr(found), str(caught.value), repr(one), repr(vars(one)), caplog.text):
        assert KEY not in text


def test_a_cookie_is_not_kept(server) -> None:
    server.fault = lambda message, times: say(500, Set_Cookie="id=1") if times == 1 else None
    ask(engine(server.url, connections=1), "a")
    assert ["cookie" in headers for headers in server.headers] == [False, False]


def test_without_a_key_none_is_sent(server, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ask(engine(server.url), "a")
    assert "authorization" not in server.headers[0]


def test_the_environment_names_the_server_if_the_parameters_do_not(server, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
    assert content(ask(engine(None), "a")["a"]) == "[sinus rhythm]"
    monkeypatch.delenv("OPENAI_BASE_URL")
    with pytest.raises(UserError, match=r"no server is named; set knowledge.engine.openai.url, or OPENAI_BASE_URL"):
        ask(engine(None), "a")
    for url in ("localhost:8000", "ftp://a/v1", f"http://me:{KEY}@host/v1"):
        with pytest.raises(UserError, match="not a server's address") as caught:
            ask(engine(url), "a")
        assert KEY not in str(caught.value)


SCHEMA = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("dialect", "constraint", "sent"),
    [
        ("vllm", {"choice": ["YES", "NO"]}, {"structured_outputs": {"choice": ["YES", "NO"]}}),
        ("llama_cpp", {"choice": ["YES", 'N"O']}, {"grammar": 'root ::= "YES" | "N\\"O"'}),
        ("llama_cpp", {"json": SCHEMA}, {"response_format": {"type": "json_object", "schema": SCHEMA}}),
        ("llama_cpp", {"grammar": "root ::= [a-z]"}, {"grammar": "root ::= [a-z]"}),
        (
            "openai",
            {"json": SCHEMA},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
                }
            },
        ),
    ],
)
def test_constraints_are_sent_as_the_server_understands_them(server, dialect, constraint, sent) -> None:
    ask(engine(server.url, dialect=dialect), "a", structured_outputs=constraint)
    (body,) = server.asked
    usual = {"model", "messages", "temperature", "max_tokens"}
    assert {name: value for name, value in body.items() if name not in usual} == sent


@pytest.mark.parametrize(("dialect", "kind"), [("openai", "grammar"), ("llama_cpp", "regex")])
def test_a_constraint_that_the_server_cannot_keep_is_told(server, dialect, kind) -> None:
    with pytest.raises(UserError, match=f"dialect: {dialect} has no constraint of the kind {kind}"):
        ask(engine(server.url, dialect=dialect), "a", structured_outputs={kind: "x"})


def test_a_choice_comes_without_the_quotes_of_a_schema(server) -> None:
    server.reply = lambda message, body: '"YES"'
    found = ask(engine(server.url, dialect="openai"), "a", structured_outputs={"choice": ["YES", "NO"]})
    assert content(found["a"]) == "YES"
    assert translate({"structured_outputs": {"choice": ["YES"]}}, "openai")["response_format"]["json_schema"][
        "schema"
    ] == {
        "type": "string",
        "enum": ["YES"],
    }


def test_an_answer_cut_off_by_length_says_so(server) -> None:
    server.fault = lambda message, times: (
        lambda handler: handler.send(200, llm_server.completion("[sinus", {"messages": []}, "length"))
    )
    assert ask(engine(server.url), "a")["a"]["response"]["body"]["choices"][0]["finish_reason"] == "length"


def test_a_mistake_while_making_questions_is_not_swallowed(server) -> None:
    def questions():
        yield question("a")
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError, match="a mistake of ours"):
        list(engine(server.url).answer(questions()))
