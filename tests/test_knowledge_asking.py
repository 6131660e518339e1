import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kmerl.artifacts import read_json, read_jsonl
from kmerl.errors import UserError
from kmerl.knowledge.answers import AnswerStore
from kmerl.knowledge.asking import Asking, Dialogue, Tally
from kmerl.knowledge.constraints import NAMES, YES_NO, check, members, merged_names
from kmerl.knowledge.engines.messages import Request, Response, make_response
from kmerl.knowledge.params import KnowledgeParams
from kmerl.knowledge.parsing import UnusableError, parse_list
from kmerl.knowledge.prompts import TASKS, examples, prompt
from kmerl.knowledge.requests import Answer, AskParams, RequestMaker, RequestWriter

PARAMS = KnowledgeParams.model_validate(yaml.safe_load(Path("params.yaml").read_text("utf-8"))["knowledge"])
ASK = AskParams(prompting="paper", constraint="none", system=None, retries=2, growth=2.0)
GOOD = "[sinus rhythm]"


class Scripted:
    """Answers what a function of question and limit says: text, (text, finish reason), a fault (an int), or None."""

    model = "scripted/model"

    def __init__(self, reply: Callable[[str, int], object] = lambda text, limit: GOOD) -> None:
        self.reply = reply
        self.asked: list[tuple[str, int]] = []

    def answer(self, requests: Iterator[Request]) -> Iterator[Response]:
        for request in requests:
            body = request["body"]
            text = body["messages"][-1]["content"].rpartition(": ")[2]
            self.asked.append((text, body["max_tokens"]))
            reply = self.reply(text, body["max_tokens"])
            if isinstance(reply, int):
                yield {"custom_id": request["custom_id"], "response": None, "error": {"code": str(reply)}}
            elif reply is not None:
                yield make_response(request, *reply) if isinstance(reply, tuple) else make_response(request, reply)

    def close(self) -> None:
        pass


@pytest.fixture
def talk(tmp_path, monkeypatch):
    """Asks an engine about texts; returns the answers, the tally and the folder."""

    def run(engine: Scripted, texts: list[str], name: str = "out", ask: AskParams = ASK, max_tokens: int = 10):
        monkeypatch.setattr("kmerl.knowledge.asking.open_engine", lambda params: engine)
        told: list[Tally] = []
        asking = Asking(PARAMS.engine, ask, tmp_path / "answers", told.append)
        with Dialogue(asking, "extract", max_tokens, parse_list, tmp_path / name) as dialogue:
            found = list(dialogue.ask(dialogue.request(NAMES, report=text) for text in texts))
        return found, told[0], tmp_path / name

    return run


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=3) | st.integers(99, 102).map(lambda n: "a" * n),
    lambda inner: (
        st.lists(inner, max_size=3) | st.integers(59, 62).map(lambda n: ["a"] * n) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=5,
)


@given(VALUES)
def test_lists_of_names_are_checked_as_their_schema_says(value) -> None:
    if Draft202012Validator(NAMES["json"]).is_valid(value):
        check(NAMES, json.dumps(value))
    else:
        with pytest.raises(UnusableError):
            check(NAMES, json.dumps(value))


TEXTS = st.text() | st.sampled_from(['"messages": [', '\\"messages": [', "ä\u2028\ud800"])
MESSAGES = st.lists(st.fixed_dictionaries({"role": TEXTS, "content": TEXTS}), min_size=1, max_size=3)


@given(st.lists(st.tuples(TEXTS, MESSAGES), min_size=1, max_size=5))
def test_questions_are_written_as_json_does_whatever_they_share(questions) -> None:
    writer = RequestWriter()
    for model, messages in questions:
        request = {"custom_id": "0", "body": {"model": model, "messages": messages, "max_tokens": 1}}
        assert writer.line(request) == json.dumps(request, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def texts_of(found: list[Answer]) -> list[tuple[str, str | None]]:
    return [(answer.content, answer.problem) for answer in found]


def test_each_distinct_question_is_asked_once_and_both_sides_are_kept(talk) -> None:
    engine = Scripted()
    found, tally, folder = talk(engine, ["a", "b", "a"])
    assert Counter(engine.asked) == {("a", 10): 1, ("b", 10): 1}
    assert texts_of(found) == [(GOOD, None)] * 3
    assert (tally.questions, tally.kept, tally.asked) == (2, 0, 2)
    questions, answers = list(read_jsonl(folder / "requests.jsonl")), list(read_jsonl(folder / "responses.jsonl"))
    assert [set(question) for question in questions] == [{"custom_id", "method", "url", "body"}] * 2
    assert [one["custom_id"] for one in questions] == [one["custom_id"] for one in answers]


def test_another_run_pays_for_nothing_and_writes_the_same_bytes(talk) -> None:
    _, _, first = talk(Scripted(), ["a", "b"])
    engine = Scripted()
    _, tally, second = talk(engine, ["a", "b"], "again")
    assert engine.asked == []
    assert (tally.questions, tally.kept, tally.asked) == (2, 2, 0)
    for name in ("requests.jsonl", "responses.jsonl", "cost.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_run_that_ends_early_goes_on_where_it_was(talk) -> None:
    texts = [f"report {i}" for i in range(50)]
    whole, _, plain = talk(Scripted(), texts, "plain")

    def reply(text: str, limit: int) -> str:
        if text == "other 20":
            raise UserError("the engine is gone")
        return GOOD

    others = [text.replace("report", "other") for text in texts]
    broken = Scripted(reply)
    with pytest.raises(UserError, match="gone"):
        talk(broken, others, "other")
    assert not (plain.parent / "other/responses.jsonl").exists()
    engine = Scripted()
    found, tally, _ = talk(engine, others, "other")
    assert texts_of(found) == texts_of(whole)
    assert tally.kept == 20
    # the one under way when the engine went is asked again; every other one was paid for once
    assert Counter(text for text, _ in broken.asked + engine.asked) == {t: 2 if t == "other 20" else 1 for t in others}


CHILD = """
import sys, time
from pathlib import Path
sys.path[:0] = [".", "tests"]
import test_knowledge_asking as t
from kmerl.knowledge import asking
engine = t.Scripted(lambda text, limit: (time.sleep(0.02), t.GOOD)[1])
asking.open_engine = lambda params: engine
who = asking.Asking(t.PARAMS.engine, t.ASK, Path(sys.argv[1]) / "answers")
with asking.Dialogue(who, "extract", 10, t.parse_list, Path(sys.argv[1]) / "killed") as dialogue:
    dialogue.ask(dialogue.request(report=f"report {i}") for i in range(1000))
"""


def test_a_killed_process_loses_no_answer_that_came(tmp_path, talk) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stderr=subprocess.DEVNULL)
    kept: list[bytes] = []
    deadline = time.monotonic() + 60
    while len(kept) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
        kept = [line for path in tmp_path.glob("answers/*/*.jsonl") for line in path.read_bytes().splitlines()]
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    whole = [line for path in tmp_path.glob("answers/*/*.jsonl") for line in path.read_bytes().splitlines(True)]
    whole = [line for line in whole if line.endswith(b"}\n")]
    assert len(whole) >= 10
    engine = Scripted()
    found, tally, _ = talk(engine, [f"report {i}" for i in range(1000)])
    assert texts_of(found) == [(GOOD, None)] * 1000
    assert (tally.kept, tally.asked) == (len(whole), 1000 - len(whole))


def test_a_line_that_was_cut_or_spoilt_is_asked_again(talk, tmp_path) -> None:
    talk(Scripted(), ["a", "b", "c"])
    (kept,) = tmp_path.glob("answers/*/*.jsonl")
    first, second, third = kept.read_bytes().splitlines(True)
    kept.write_bytes(first + second[:60] + b"\x00" * 9 + second[69:] + third[:-5])
    engine = Scripted()
    found, _, _ = talk(engine, ["a", "b", "c"], "again")
    assert [text for text, _ in engine.asked] == ["b", "c"]
    assert texts_of(found) == [(GOOD, None)] * 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (("[sinus", "length"), "cut off by length"),
        ("  ", "empty"),
        ("I see nothing.", "no list"),
        ("[" + "a" * 101 + "]", "an item is not a name"),
    ],
)
def test_an_unusable_answer_is_asked_for_again_with_a_larger_limit_and_then_listed(talk, bad, reason) -> None:
    engine = Scripted(lambda text, limit: GOOD if text == "once" and limit > 10 else bad)
    found, _, folder = talk(engine, ["never", "once"])
    assert engine.asked == [("never", 10), ("once", 10), ("never", 20), ("once", 20), ("never", 40)]
    assert texts_of(found) == [(bad[0] if isinstance(bad, tuple) else bad, reason), (GOOD, None)]
    cost = read_json(folder / "cost.json")
    assert (cost["questions"], cost["asked"], cost["again"], cost["unusable"]) == (2, 5, 2, 1)
    # another run pays for none of it again, but goes further if it may
    more = Scripted()
    assert texts_of(talk(more, ["never", "once"], "same")[0]) == texts_of(found)
    assert more.asked == []
    talk(more, ["never", "once"], "further", ASK.model_copy(update={"retries": 3}))
    assert more.asked == [("never", 80)]


def test_a_larger_limit_asks_again_only_what_was_cut_off(talk) -> None:
    cut = Scripted(lambda text, limit: ("[sinus", "length") if text == "long" and limit < 50 else GOOD)
    talk(cut, ["short", "long"], ask=ASK.model_copy(update={"retries": 0}))
    larger = Scripted()
    found, _, _ = talk(larger, ["short", "long"], "larger", ASK.model_copy(update={"retries": 0}), max_tokens=50)
    assert larger.asked == [("long", 50)]
    assert texts_of(found) == [(GOOD, None)] * 2


def test_a_fault_is_listed_and_asked_again_by_the_next_run(talk) -> None:
    engine = Scripted(lambda text, limit: 400 if text == "b" else GOOD)
    found, _, folder = talk(engine, ["a", "b"])
    assert found[1].problem == "fault of the engine"
    assert "400" in found[1].content
    assert [text for text, _ in engine.asked] == ["a", "b"]
    assert len(list(read_jsonl(folder / "responses.jsonl"))) == 2
    better = Scripted()
    found, _, _ = talk(better, ["a", "b"], "again")
    assert [text for text, _ in better.asked] == ["b"]
    assert texts_of(found) == [(GOOD, None)] * 2


def test_what_ignores_its_constraint_is_found_out(talk) -> None:
    constrained = ASK.model_copy(update={"constraint": "structured", "retries": 1})
    engine = Scripted(lambda text, limit: '["sinus rhythm"]' if text == "kept" else "[sinus rhythm]")
    found, _, folder = talk(engine, ["kept", "ignored"], ask=constrained)
    assert texts_of(found) == [('["sinus rhythm"]', None), ("[sinus rhythm]", "breaks its constraint")]
    assert all(one["body"]["structured_outputs"] == NAMES for one in read_jsonl(folder / "requests.jsonl"))
    # without a constraint the same words are an answer, and another question
    assert texts_of(talk(engine, ["ignored"], "free")[0]) == [("[sinus rhythm]", None)]


def test_answers_to_nothing_and_second_answers_do_not_count(talk) -> None:
    class Confused(Scripted):
        def answer(self, requests: Iterator[Request]) -> Iterator[Response]:
            for response in super().answer(requests):
                yield response
                yield make_response({"custom_id": "0" * 32, "body": {"model": "m", "messages": []}}, "[stranger]")
                yield make_response({**response, "body": {"model": "m", "messages": []}}, "[second]")

    found, _, folder = talk(Confused(), ["a", "b"])
    assert texts_of(found) == [(GOOD, None)] * 2
    assert "stranger" not in (folder / "responses.jsonl").read_text()


def test_no_answer_at_all_is_told(talk) -> None:
    found, _, folder = talk(Scripted(lambda text, limit: None if text == "b" else GOOD), ["a", "b"])
    assert texts_of(found) == [(GOOD, None), ("", "no answer")]
    assert read_json(folder / "cost.json")["unusable"] == 1


def test_two_runs_at_a_time_write_into_files_of_their_own(tmp_path) -> None:
    stores = [AnswerStore(tmp_path, "m") for _ in range(2)]
    request = {"custom_id": "a" * 32, "body": {"model": "m", "messages": []}}
    for store in stores * 2:
        place = store.keep(make_response(request, "[x]"), 5)
        assert store.read(place)["response"]["body"]["choices"][0]["message"]["content"] == "[x]"
    assert len(list(tmp_path.glob("m/*.jsonl"))) == 2
    assert len(list(AnswerStore(tmp_path, "m").find(lambda request: True))) == 4


def test_answers_that_cannot_be_kept_end_the_run_in_one_line(talk, tmp_path) -> None:
    (tmp_path / "answers").write_text("a file where a folder belongs")
    with pytest.raises(UserError, match="answers cannot be kept"):
        talk(Scripted(), ["a"])


REPLIES = st.sampled_from([GOOD, ("[si", "length"), "", "nonsense", 500, None])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(REPLIES, min_size=3, max_size=3), min_size=1, max_size=8), st.integers(0, 30))
def test_whatever_comes_back_each_question_ends_answered_or_listed(tmp_path_factory, script, stop) -> None:
    folder = tmp_path_factory.mktemp("any")
    texts = [str(i) for i in range(len(script))]
    paid: Counter[tuple[str, int]] = Counter()
    calls = 0

    def reply(text: str, limit: int) -> object:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise UserError("stopped")
        answer = script[int(text)][{10: 0, 20: 1, 40: 2}[limit]]
        if answer is not None and not isinstance(answer, int):
            paid[text, limit] += 1
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kmerl.knowledge.asking.open_engine", lambda params: Scripted(reply))
        for _ in range(2):
            try:
                with Dialogue(Asking(PARAMS.engine, ASK, folder / "a"), "extract", 10, parse_list, folder / "o") as one:
                    found = list(one.ask(one.request(report=text) for text in texts))
                    break
            except UserError:
                continue
    assert max(paid.values(), default=0) <= 1
    for answer, replies in zip(found, script, strict=True):
        if answer.problem is None:
            assert answer.content == GOOD
        else:  # a fault ends the tries of a run, so what stands behind one need not have been seen
            assert GOOD not in (replies[: replies.index(500)] if 500 in replies else replies)
    stored = [one["custom_id"] for one in read_jsonl(folder / "o/responses.jsonl")]
    asked = [one["custom_id"] for one in read_jsonl(folder / "o/requests.jsonl")]
    assert stored == [one for one in asked if one in set(stored)]


def test_the_shared_part_of_a_question_comes_first() -> None:
    way = AskParams(prompting="few_shot", constraint="none", system="Be exact.", retries=0, growth=1)
    maker = RequestMaker(prompt("verify"), "m", PARAMS.engine, way, 5)
    one, other = (maker.make(report="same report", entities=f'["{name}"]')["body"]["messages"] for name in "ab")
    assert [message["role"] for message in one[:3]] == ["system", "user", "assistant"]
    assert one[:-1] == other[:-1]
    begin = one[-1]["content"].index('["')
    assert one[-1]["content"][:begin] == other[-1]["content"][:begin]
    assert "same report" in one[-1]["content"][:begin]


@pytest.mark.parametrize("task", TASKS)
def test_every_example_is_an_answer_of_the_form_that_is_asked_for(task) -> None:
    for example in examples(task):
        constraint = {"extract": NAMES, "verify": YES_NO}.get(task)
        if constraint is None:
            entities = json.loads(example.fields["entities"])
            constraint = (merged_names if task == "merge" else members)(entities)
        check(constraint, example.answer)
    assert len(examples(task)) > 0
