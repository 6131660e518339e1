"""vLLM itself, with a tiny random Llama: offline engine, server and batch program; each is started once."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
import yaml
from lines import write_jsonl
from test_engine_contract import keeps_the_contract

from kmerl.artifacts import read_jsonl
from kmerl.errors import UserError
from kmerl.knowledge.asking import Asking, Dialogue, Tally
from kmerl.knowledge.constraints import NAMES, YES_NO, check, members, merged_names
from kmerl.knowledge.engines.openai import OpenAiEngine
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.engines.vllm import VllmEngine
from kmerl.knowledge.parsing import parse_list
from kmerl.knowledge.requests import AskParams
from workflow.llama_server import free_port, running

pytestmark = pytest.mark.vllm
PYTHON = Path(os.environ.get("KMERL_VLLM_PYTHON") or "workflow/envs/vllm/bin/python").absolute()
ENGINE = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["knowledge"]["engine"]
SMALL = {"context": 1024, "dtype": "bfloat16", "sequences": 64, "eager": True, "python": str(PYTHON)}
CONSTRAINTS = {
    "choice": {"choice": ["YES", "NO"]},
    "json": {"json": {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3}},
    "regex": {"regex": r"\[[a-z]{1,5}(, [a-z]{1,5}){0,2}\]"},
    "grammar": {"grammar": 'root ::= "sinus" | "atrial"'},
}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    if not PYTHON.exists():
        pytest.skip(f"no vLLM at {PYTHON}; `make vllm` installs it")
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    subprocess.run([PYTHON, "tests/tiny_llama.py", folder], check=True, capture_output=True)
    return folder


def params(model: Path, **vllm) -> EngineParams:
    return EngineParams.model_validate(
        ENGINE | {"name": "vllm", "model": str(model), "vllm": ENGINE["vllm"] | SMALL | vllm}
    )


@pytest.fixture(scope="session")
def offline(tiny):
    engine = VllmEngine(params(tiny))
    yield engine
    engine.close()


def environment() -> dict[str, str]:
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return {
        **os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": cores,
    }  # fmt: skip


ARGUMENTS = ["--enforce-eager", "--dtype", "bfloat16", "--max-model-len", "1024", "--max-num-seqs", "64"]
CONFIG = ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']


@pytest.fixture(scope="session")
def server(tiny, tmp_path_factory):
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log"
    command = [
        str(PYTHON),
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        str(tiny),
        "--served-model-name",
        "tiny",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), *ARGUMENTS, *CONFIG]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment().items():
            patch.setenv(name, value)
        with running(command, port, log, seconds=300) as url:
            yield url


def question(text: str, name: str | None = None, **body) -> dict:
    messages = [{"role": "user", "content": text}]
    body = {"model": "tiny", "messages": messages, "temperature": 0, "max_tokens": 40, **body}
    return {"custom_id": name or text, "method": "POST", "url": "/v1/chat/completions", "body": body}


def choice_of(answer: dict) -> dict:
    assert answer["error"] is None, answer
    return answer["response"]["body"]["choices"][0]


def text_of(answer: dict) -> str:
    return choice_of(answer)["message"]["content"]


def keeps(kind: str, text: str) -> None:
    if kind == "grammar":
        assert text in ("sinus", "atrial")
    else:
        check(CONSTRAINTS[kind], text)


def test_vllm_keeps_the_contract_of_all_engines(offline) -> None:
    keeps_the_contract(offline, constrained=True)


def test_each_of_many_questions_gets_its_own_answer_in_whatever_order(offline) -> None:
    asked = [question(f"report {i}: sinus rhythm", max_tokens=1 + i % 30) for i in range(300)]
    found = list(offline.answer(iter(asked)))
    assert sorted(one["custom_id"] for one in found) == sorted(one["custom_id"] for one in asked)
    limits = {one["custom_id"]: one["body"]["max_tokens"] for one in asked}
    for one in found:
        used = one["response"]["body"]["usage"]["completion_tokens"]
        assert used <= limits[one["custom_id"]]
        if choice_of(one)["finish_reason"] == "length":
            assert used == limits[one["custom_id"]]
    assert {choice_of(one)["finish_reason"] for one in found} >= {"length"}


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_each_kind_of_constraint_is_kept(offline, kind) -> None:
    for answer in offline.answer(
        question(f"report {i}", structured_outputs=CONSTRAINTS[kind], max_tokens=200) for i in range(20)
    ):
        keeps(kind, text_of(answer))


def test_our_own_constraints_are_kept(offline) -> None:
    names = ["sinus rhythm", "a-fib", "pvc(s)", 'st "elevation"', "überleitung"]
    for constraint in (NAMES, YES_NO, merged_names(names), members(names)):
        (answer,) = offline.answer(iter([question("x", structured_outputs=constraint, max_tokens=900)]))
        if choice_of(answer)["finish_reason"] == "stop":  # a random model may go on to the limit
            check(constraint, text_of(answer))


def test_a_question_that_cannot_be_asked_is_a_fault_of_its_own(offline) -> None:
    found = {
        one["custom_id"]: one
        for one in offline.answer(
            iter(
                [question("long " * 3000, "long"), question("bad", structured_outputs={"regex": "("}), question("good")]
            )
        )
    }
    assert "more than the context of 1024 holds" in found["long"]["error"]["message"]
    assert found["bad"]["error"]["code"] == "400"
    assert text_of(found["good"]) is not None


def test_what_is_asked_twice_is_answered_the_same_and_its_beginning_is_cached(offline) -> None:
    shared = "the same long beginning of every question " * 20
    first, second = (list(offline.answer(question(shared + str(i)) for i in range(3))) for _ in range(2))
    assert {one["custom_id"]: text_of(one) for one in first} == {one["custom_id"]: text_of(one) for one in second}
    assert sum(one["response"]["body"]["usage"]["cached_tokens"] for one in second) > 0


def test_questions_are_taken_as_there_is_room(offline) -> None:
    taken = 0

    def questions():
        nonlocal taken
        for i in range(3000):
            taken += 1
            yield question(f"report {i}", max_tokens=1)

    answers = offline.answer(questions())
    next(answers)
    # in the engine, in the queues on both sides, and in the pipe (64 KiB)
    assert taken < 128 + 4 * 128 + 700
    assert len(list(answers)) == 2999
    assert 0 < offline.busy["engine"] <= offline.busy["wall"]


ASK = AskParams(prompting="paper", constraint="structured", system=None, retries=1, growth=8.0)


@pytest.fixture
def talk(offline, tmp_path, monkeypatch):
    """Asks the engine about texts, keeping answers in one store; returns the tally of the run."""
    # not closed after a run: kept for the other tests
    kept = SimpleNamespace(model=offline.model, answer=lambda requests: offline.answer(requests), close=lambda: None)
    monkeypatch.setattr("kmerl.knowledge.asking.open_engine", lambda params: kept)

    def run(name: str, texts: list[str]) -> Tally:
        told = []
        who = Asking(offline._params, ASK, tmp_path / "answers", told.append)
        with Dialogue(who, "extract", 30, parse_list, tmp_path / name) as one:
            one.ask(one.request(CONSTRAINTS["json"], report=text) for text in texts)
        return told[0]

    return run


def test_a_dialogue_with_vllm_is_continued_and_paid_for_once(talk, tmp_path) -> None:
    texts = [f"report {i}: sinus rhythm" for i in range(60)]
    whole = talk("whole", texts[:30])
    assert (whole.kept, whole.questions) == (0, 30)
    assert talk("rest", texts).kept == 30
    for line in read_jsonl(tmp_path / "rest/responses.jsonl"):
        if line["response"]["body"]["choices"][0]["finish_reason"] == "stop":
            keeps("json", line["response"]["body"]["choices"][0]["message"]["content"])
    assert talk("again", texts).asked == 0
    assert (tmp_path / "rest/responses.jsonl").read_bytes() == (tmp_path / "again/responses.jsonl").read_bytes()


@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_the_server_keeps_constraints_and_answers_as_the_offline_engine(server, offline, kind) -> None:
    openai = ENGINE["openai"] | {"url": server, "dialect": "vllm", "connections": 4}
    engine = OpenAiEngine(EngineParams.model_validate(ENGINE | {"name": "openai", "model": "tiny", "openai": openai}))
    asked = [question(f"report {i}", structured_outputs=CONSTRAINTS[kind], max_tokens=200) for i in range(8)]
    found = {one["custom_id"]: text_of(one) for one in engine.answer(iter(asked))}
    for text in found.values():
        keeps(kind, text)
    same = {one["custom_id"]: text_of(one) for one in offline.answer(iter(asked))}
    # a random model is undecided between tokens, and batches of other sizes round differently
    assert sum(found[name] == same[name] for name in found) >= 6


def test_the_server_keeps_the_contract_of_all_engines(server) -> None:
    openai = ENGINE["openai"] | {"url": server, "dialect": "vllm", "connections": 4}
    engine = OpenAiEngine(EngineParams.model_validate(ENGINE | {"name": "openai", "model": "tiny", "openai": openai}))
    keeps_the_contract(engine, constrained=True)


def test_the_server_ignores_old_names_of_constraints_without_a_word(server) -> None:
    """Why every answer is checked against its constraint."""
    body = question("report", max_tokens=8)["body"] | {"guided_choice": ["YES", "NO"]}
    answer = requests.post(f"{server}/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] not in ("YES", "NO")


def test_the_batch_program_takes_our_lines_as_they_are(tiny, offline, tmp_path) -> None:
    asked = [
        question(f"{kind} {i}", structured_outputs=CONSTRAINTS[kind], max_tokens=200)
        for kind in CONSTRAINTS
        for i in range(3)
    ]
    for one in asked:
        one["body"]["model"] = str(tiny)
    write_jsonl(tmp_path / "in.jsonl", asked)
    command = [
        PYTHON,
        "-m",
        "vllm.entrypoints.openai.run_batch",
        "-i",
        tmp_path / "in.jsonl",
        "-o",
        tmp_path / "out.jsonl",
    ]
    command += ["--model", tiny, *ARGUMENTS, *CONFIG]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = {one["custom_id"]: one for one in read_jsonl(tmp_path / "out.jsonl")}
    assert set(found) == {one["custom_id"] for one in asked}
    for name, one in found.items():
        keeps(name.split()[0], text_of(one))


# --- ends; these cost a start of their own, or spoil the session's, so they come last

CHILD = """
import sys
sys.path[:0] = [".", "tests"]
import test_engine_vllm as t
engine = t.VllmEngine(t.params(t.Path(sys.argv[1])))
for answer in engine.answer(t.question(f"report {i}") for i in range(10**6)):
    print(engine._worker._process.pid, flush=True)
"""


def group(pid: int) -> str:
    done = subprocess.run(["ps", "-o", "pid=,stat=,args=", "-g", str(pid)], capture_output=True, text=True, check=False)
    return "\n".join(line for line in done.stdout.splitlines() if re.search("vllm|VLLM", line) and " Z" not in line)


def test_vllm_ends_when_the_process_that_started_it_is_killed(tiny) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tiny)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    worker = int(child.stdout.readline())
    assert group(worker)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 60
    while group(worker) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not group(worker)


def test_a_run_whose_engine_is_killed_says_so_and_the_next_one_goes_on_where_it_was(
    talk, offline, tmp_path, monkeypatch
) -> None:
    texts = [f"report {i}: sinus rhythm" for i in range(300)]
    came, answer = 0, VllmEngine.answer

    def killed(engine, requests):
        nonlocal came
        for one in answer(engine, requests):
            came += 1
            yield one
            if came == 60:
                os.kill(engine._worker._process.pid, signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(VllmEngine, "answer", killed)
        with pytest.raises(
            UserError, match=r"vLLM ended while it answered \(signal SIGKILL.*answers that came are kept"
        ):
            talk("killed", texts)
    assert 60 <= came < 300
    rest = talk("rest", texts)
    assert rest.questions == 300
    assert len([*read_jsonl(tmp_path / "rest/responses.jsonl")]) == 300
    paid = [
        (line["custom_id"], line["max_tokens"])
        for file in sorted((tmp_path / "answers").glob("*/*.jsonl"))
        for line in read_jsonl(file)
    ]
    assert len(paid) == len(set(paid)) == came + rest.asked  # nothing that came was asked for again
