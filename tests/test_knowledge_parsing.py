import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmerl.knowledge.parsing import UnusableError, parse_list, parse_object, parse_yes_no
from kmerl.knowledge.prompts import TASKS, prompt, recognise
from kmerl.knowledge.requests import read_answer

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-'() ", min_size=1, max_size=30).map(
    lambda text: "a" + " ".join(text.split()).strip("'")
)


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("[Sinus Rhythm, PVC(s)]", ["sinus rhythm", "pvc(s)"]),
        ("The entities are: ['a  b', \"c\"]. I hope this helps!", ["a b", "c"]),
        ('```json\n["inferior infarct, old", "lvh"]\n```', ["inferior infarct, old", "lvh"]),
        ("[lvh, LVH, , lvh]", ["lvh"]),
        ("[]", []),
        ("[None]", []),
    ],
)
def test_a_list_is_read_whatever_surrounds_it(answer: str, names: list[str]) -> None:
    assert parse_list(answer) == names


@pytest.mark.parametrize(
    "answer",
    ["", "sinus rhythm", "[sinus rhythm, atrial", "[Entity1, Entity2, ...]", f"[{'x' * 101}]", "[1, 2]", '[["a"]]'],
)
def test_what_is_no_list_of_names_is_refused(answer: str) -> None:
    with pytest.raises(UnusableError):
        parse_list(answer)


@pytest.mark.parametrize(("answer", "yes"), [("YES", True), ("no.", False), ("**Yes**, it is there", True)])
def test_yes_and_no_are_read(answer: str, yes: bool) -> None:
    assert parse_yes_no(answer) is yes


@pytest.mark.parametrize("answer", ["", "YES or NO", "maybe", "There is no doubt: yes", "yesterday", "I cannot say"])
def test_what_is_neither_yes_nor_no_is_refused(answer: str) -> None:
    with pytest.raises(UnusableError):
        parse_yes_no(answer)


def test_an_object_is_read_whatever_surrounds_it() -> None:
    assert parse_object('Sure {here}:\n```json\n{"a": ["b"]}\n```') == {"a": ["b"]}
    with pytest.raises(UnusableError):
        parse_object('{"a": "b"')


@given(st.text(max_size=100))
def test_any_answer_is_read_or_refused(answer: str) -> None:
    for parse in (parse_list, parse_yes_no, parse_object):
        with contextlib.suppress(UnusableError):
            parse(answer)


@given(st.lists(NAMES, unique=True, max_size=5))
def test_a_json_list_of_names_comes_back_whole(names: list[str]) -> None:
    expected = [" ".join(name.split()) for name in names]
    assert parse_list("Answer: " + json.dumps(names)) == list(dict.fromkeys(expected))


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        ({"error": {"code": "timeout"}, "response": None}, "fault of the engine"),
        ({"error": None, "response": {"status_code": 500, "body": {}}}, "fault of the engine"),
        ({"error": None, "response": {"status_code": 200, "body": {"choices": []}}}, "no message"),
        (
            {
                "response": {
                    "status_code": 200,
                    "body": {"choices": [{"message": {"content": "[a, b"}, "finish_reason": "length"}]},
                }
            },
            "cut off by length",
        ),
        ({"response": {"status_code": 200, "body": {"choices": [{"message": {"content": None}}]}}}, "empty"),
        ({"response": {"status_code": 200, "body": {"choices": [{"message": {"content": "[a]"}}]}}}, None),
    ],
)
def test_every_fault_of_an_answer_has_its_reason(response: dict, problem: str | None) -> None:
    assert read_answer({"custom_id": "x"} | response).problem == problem


def test_the_prompts_hold_the_papers_sentences() -> None:
    begins = {
        "extract": "Please extract all positive Cardiac-related Entities from the given ECG report. "
        "Output format is [Entity1, Entity2, ...]",
        "verify": "Please verify the extracted cardiac-related entities as existing and positive in the given report. "
        "Output format is YES or NO",
        "merge": "Please merge the cardiac-related entities that have the same semantics but different expressions. "
        "Here are ",
        "superclass": "Please detect all the superclasses present in ",
    }
    for task in TASKS:
        assert prompt(task).template.startswith(begins[task])


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_message_tells_its_task_and_fields(report: str, entities: str) -> None:
    message = prompt("extract").fill(report=report)
    assert recognise(message) == ("extract", {"report": report})
    message = prompt("merge").fill(entities=entities)
    assert recognise(message) == ("merge", {"entities": entities})
    assert recognise("Good morning") is None
