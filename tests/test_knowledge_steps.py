"""What each step makes of answers: chunks and second passes, statements, the guard."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_knowledge_asking import ASK, PARAMS, Scripted

from kmerl.artifacts import read_json, read_table
from kmerl.errors import UserError
from kmerl.knowledge.asking import Asking
from kmerl.knowledge.extract import ExtractParams, extract
from kmerl.knowledge.merge import MergeParams, merge
from kmerl.knowledge.objects import windows
from kmerl.knowledge.requests import RequestMaker
from kmerl.knowledge.schemas import MENTIONS, UNUSABLE, VERIFIED
from kmerl.knowledge.spans import statements
from kmerl.knowledge.superclass import SuperclassParams, superclass
from kmerl.knowledge.verify import VerifyParams, verify

MERGE = MergeParams(enabled=True, max_tokens=100, chunk=4, overlap=1)
SUPERCLASS = SuperclassParams(enabled=True, max_tokens=100, chunk=3, min_members=1)


@pytest.fixture
def asked(monkeypatch) -> Callable[[Callable[[str], object]], Scripted]:
    """Lets every step ask an engine that answers what a function of the question's last message says."""

    def use(reply: Callable[[str], object]) -> Scripted:
        class Whole(Scripted):
            def answer(self, requests):
                for request in requests:
                    message = request["body"]["messages"][-1]["content"]
                    self.reply = lambda text, limit, message=message: reply(message)
                    yield from super().answer(iter([request]))

        engine = Whole()
        monkeypatch.setattr("kmerl.knowledge.asking.open_engine", lambda params: engine)
        return engine

    return use


def who(folder: Path) -> Asking:
    return Asking(PARAMS.engine, ASK, folder / "answers")


def entities_of(message: str) -> list[str]:
    return json.loads(message[message.index("[") : message.index("]") + 1])


def merged(folder: Path, names: str | list[str], params: MergeParams = MERGE) -> dict[str, str]:
    counts = dict.fromkeys(names.split() if isinstance(names, str) else names, 1)
    merge(counts, who(folder), params, folder / "merge")
    return read_json(folder / "merge/merged.json")


def test_chunks_overlap_and_hold_every_name() -> None:
    names = [f"n{i:02d}" for i in range(23)]
    for size, overlap in ((5, 2), (7, 0), (23, 3), (22, 21), (40, 1)):
        chunks = windows(names, size, overlap)
        assert max(map(len, chunks)) <= size
        for one, two in pairwise(chunks):
            assert list(two[:overlap]) == list(one[len(one) - overlap :])
        assert list(dict.fromkeys(name for chunk in chunks for name in chunk)) == names
    assert windows([], 5, 1) == []


def test_names_of_one_meaning_meet_though_their_chunks_do_not(tmp_path, asked) -> None:
    heart = dict.fromkeys(["af", "zaf", "fib"], "atrial fibrillation") | {"xfib": "fib", "afib": "fib"}
    engine = asked(lambda message: json.dumps({name: heart.get(name, name) for name in entities_of(message)}))
    result = merged(tmp_path, "af afib b c d e f g h xfib zaf")
    assert {result[name] for name in ("af", "zaf")} == {"atrial fibrillation"}
    assert len({result[name] for name in ("afib", "xfib")}) == 1
    assert len(engine.asked) > 4
    assert all(result.get(name, name) == name for name in result.values())


def test_missing_names_are_asked_again_and_only_they(tmp_path, asked) -> None:
    seen: list[list[str]] = []

    def reply(message: str) -> str:
        names = entities_of(message)
        seen.append(names)
        return json.dumps(dict.fromkeys(names[:2], "heart block") | {"ghost": "b"})

    asked(reply)
    result = merged(tmp_path, "a b c d", MERGE.model_copy(update={"chunk": 10}))
    assert seen == [["a", "b", "c", "d"], ["c", "d"]]
    assert set(result.values()) == {"heart block"}
    checks = read_json(tmp_path / "merge/checks.json")
    assert checks["asked_again"] == ["c", "d"]
    assert checks["missing"] == []
    assert checks["invented"] == ["ghost"]


def test_names_that_stay_missing_keep_their_own(tmp_path, asked) -> None:
    engine = asked(lambda message: "{}")
    assert merged(tmp_path, "a b c") == {"a": "a", "b": "b", "c": "c"}
    assert read_json(tmp_path / "merge/checks.json")["missing"] == ["a", "b", "c"]
    assert len(engine.asked) == 1  # the same question would get the same answer


def test_an_unusable_chunk_is_listed_and_its_names_stay_but_not_if_all_are(tmp_path, asked) -> None:
    asked(
        lambda message: "what?" if "f" in entities_of(message) else json.dumps(dict.fromkeys(entities_of(message), "x"))
    )
    result = merged(tmp_path, "a b c d e f g", MERGE.model_copy(update={"overlap": 0}))
    lost = read_table(tmp_path / "merge/unusable.parquet", UNUSABLE)
    assert set(lost["answer"]) == {"what?"}
    assert (result["a"], result["f"]) == ("x", "f")
    asked(lambda message: "what?")
    with pytest.raises(UserError, match=r"merge prompt cannot be used \(no JSON object.*what"):
        merged(tmp_path / "other", "a b c d e f g")


WRITTEN = ["af", "a-fib", "pvc", "pvcs", "pvc(s)", "x", "y", "z", "atrial flutter", "lbbb"]
NAMES = st.lists(st.sampled_from(WRITTEN), unique=True)
VALUES = st.one_of(st.sampled_from(["af", "pvc", "PVCs", "x", "y", "new name", ""]), st.none(), st.integers())


@settings(max_examples=100, deadline=None)
@given(NAMES, st.dictionaries(st.sampled_from(["af", "a-fib", "pvc", "x", "y", "z", "ghost"]), VALUES), st.data())
def test_whatever_is_answered_the_mapping_is_total_and_idempotent(tmp_path_factory, names, answer, data) -> None:
    folder = tmp_path_factory.mktemp("any")
    chunk = data.draw(st.integers(2, 6))
    params = MergeParams(enabled=True, max_tokens=9, chunk=chunk, overlap=data.draw(st.integers(0, chunk - 1)))
    with pytest.MonkeyPatch.context() as patch:
        engine = Scripted(lambda text, limit: json.dumps(answer))
        patch.setattr("kmerl.knowledge.asking.open_engine", lambda params: engine)
        result = merged(folder, names, params)
    assert set(result) == set(names)
    assert all(result.get(name, name) == name for name in result.values())
    # spellings are one name without a model
    assert len({result[name] for name in names if name in ("pvc", "pvcs", "pvc(s)")}) <= 1


def test_superclasses_of_several_chunks_are_brought_together(tmp_path, asked) -> None:
    def reply(message: str) -> str:
        names = entities_of(message)
        if message.startswith("Please merge"):
            return json.dumps({name: "arrhythmia" if "rhythm" in name else name for name in names})
        title = "rhythm disorders" if "af" in names else "Arrhythmias"
        return json.dumps({title: names, "odd": "no list"})

    asked(reply)
    names = ["af", "flutter", "svt", "vf", "vt"]
    superclass({name: name for name in names}, who(tmp_path), SUPERCLASS, tmp_path / "s")
    found = read_json(tmp_path / "s/superclasses.json")
    assert found == {"arrhythmia": names}
    assert read_json(tmp_path / "s/checks.json")["no_list"] == ["odd"]


def test_a_member_may_have_several_superclasses_and_a_superclass_that_is_an_entity_counts_once(tmp_path, asked) -> None:
    asked(lambda message: '{"A": ["x", "y"], "b": ["y", "nobody"], "Xs": ["y", "x"]}')
    superclass({"x": "x", "y": "y"}, who(tmp_path), SUPERCLASS, tmp_path / "s")
    assert read_json(tmp_path / "s/superclasses.json") == {"a": ["x", "y"], "b": ["y"], "xs": ["x", "y"]}
    assert read_json(tmp_path / "s/checks.json")["unknown"] == {"b": ["nobody"]}


# --- statements

REPORTS = {
    "r1": "sinus rhythm. left axis deviation. no evidence of ischemia.",
    "r2": "sinus rhythm. inferior infarct. - age undetermined. abnormal ecg.",
    "r3": "left axis deviation. abnormal ecg.",
}
FRAME = pl.DataFrame({"report_id": list(REPORTS), "text": list(REPORTS.values()), "records": [1, 1, 1]})


def extracted(folder: Path, unit: str, frame: pl.DataFrame = FRAME) -> pl.DataFrame:
    extract(frame, who(folder), ExtractParams(unit=unit, max_tokens=50, longest_report=5000), folder / unit)
    return read_table(folder / unit / "mentions.parquet", MENTIONS)


@pytest.mark.parametrize("unit", ["report", "statement"])
def test_a_report_is_cut_once_and_each_question_about_it_made_once(tmp_path, monkeypatch, unit) -> None:
    made, cut = [], []
    make, divide = RequestMaker.make, statements
    monkeypatch.setattr(RequestMaker, "make", lambda self, *a, **b: made.append(b["report"]) or make(self, *a, **b))
    monkeypatch.setattr("kmerl.knowledge.extract.statements", lambda text: cut.append(text) or divide(text))
    extracted(tmp_path, unit)
    statement = unit == "statement"
    asked = [text[a:b] for text in REPORTS.values() for a, b in (divide(text) if statement else [(0, None)])]
    assert made == asked
    assert cut == [*REPORTS.values()] * statement


def test_a_report_is_the_sum_of_its_statements() -> None:
    for text in REPORTS.values():
        places = statements(text)
        assert " ".join(text[start:end] for start, end in places) == text
    assert [REPORTS["r2"][a:b] for a, b in statements(REPORTS["r2"])] == [
        "sinus rhythm.",
        "inferior infarct. - age undetermined.",
        "abnormal ecg.",
    ]
    assert statements("") == []


def test_statements_are_asked_once_and_give_what_whole_reports_give(tmp_path) -> None:
    by_report, by_statement = extracted(tmp_path, "report"), extracted(tmp_path, "statement")
    place = ["report_id", "entity", "start", "end"]
    assert by_report.select(place).sort(place).equals(by_statement.select(place).sort(place))
    assert read_json(tmp_path / "report/cost.json")["questions"] == 3
    assert read_json(tmp_path / "statement/cost.json")["questions"] == 5
    for report_id, entity, start, end in by_statement.select(place).iter_rows():
        assert REPORTS[report_id][start:end].replace(".", "") == entity


def test_a_report_with_an_unusable_statement_is_listed_and_has_no_mentions(tmp_path, asked) -> None:
    asked(lambda message: "what?" if "axis" in message.rpartition(":")[2] else "[sinus rhythm]")
    mentions = extracted(tmp_path, "statement")
    assert set(mentions["report_id"]) == {"r2"}
    lost = read_table(tmp_path / "statement/unusable.parquet", UNUSABLE)
    assert lost.select("report_id", "reason", "answer").rows() == [
        ("r1", "no list", "what?"),
        ("r3", "no list", "what?"),
    ]


# --- the guard

TEXT = "sinus rhythm. no evidence of lvh. pvcs have resolved. possible infarct."
MENTIONED = [("r", "sinus rhythm", 0, 12), ("r", "lvh", 29, 32), ("r", "pvcs", 34, 38), ("r", "af", None, None)]
MENTIONED.append(("r", "infarct", TEXT.index("infarct"), TEXT.index("infarct") + 7))


@pytest.mark.parametrize("guard", ["off", "flag", "drop"])
def test_the_guard_notes_what_is_denied_or_not_written_and_drops_it_if_told(tmp_path, asked, guard) -> None:
    asked(lambda message: "YES")
    mentions = pl.DataFrame([(*one, "q") for one in MENTIONED], MENTIONS.names, orient="row")
    reports = pl.DataFrame({"report_id": ["r"], "text": [TEXT]})
    params = VerifyParams(enabled=True, max_tokens=5, unit="entity", shows="report", guard=guard)
    counts = verify(reports, mentions, who(tmp_path), params, tmp_path / "v")
    rows = {row["entity"]: row for row in read_table(tmp_path / "v/verified.parquet", VERIFIED).iter_rows(named=True)}
    assert {row["answer"] for row in rows.values()} == {"yes"}
    doubtful = {"lvh", "pvcs", "af"} if guard != "off" else set()
    assert {name for name, row in rows.items() if row["flagged"]} == doubtful
    assert {name for name, row in rows.items() if not row["kept"]} == (doubtful if guard == "drop" else set())
    assert (rows["af"]["occurs"], rows["af"]["negated"]) == ((None, None) if guard == "off" else (False, None))
    assert counts["flagged"] == len(doubtful)
    if guard != "off":
        assert (rows["lvh"]["occurs"], rows["lvh"]["negated"]) == (True, True)
        assert rows["infarct"]["negated"] is False


def test_questions_that_show_a_statement_are_shared_and_answered_alike(tmp_path) -> None:
    mentions = extracted(tmp_path, "report")
    rows = {}
    for shows in ("report", "statement"):
        params = VerifyParams(enabled=True, max_tokens=5, unit="entity", shows=shows, guard="flag")
        verify(FRAME, mentions, who(tmp_path), params, tmp_path / shows)
        rows[shows] = read_table(tmp_path / shows / "verified.parquet", VERIFIED).drop("request")
    assert rows["report"].equals(rows["statement"])
    counts = [read_json(tmp_path / shows / "cost.json")["questions"] for shows in ("report", "statement")]
    assert counts == [mentions.height, mentions["entity"].n_unique()]
    with pytest.raises(ValueError, match="stands in several statements"):
        VerifyParams(enabled=True, max_tokens=5, unit="list", shows="statement", guard="off")
