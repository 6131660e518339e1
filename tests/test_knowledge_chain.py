import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from kmerl.artifacts import read_json, read_jsonl, read_table, write_json, write_table
from kmerl.errors import UserError
from kmerl.knowledge import engines
from kmerl.knowledge.asking import Asking
from kmerl.knowledge.cleaning import Reports, ReportsParams, clean
from kmerl.knowledge.constraints import NAMES
from kmerl.knowledge.engines import lexicon, open_engine
from kmerl.knowledge.engines.lexicon import LexiconEngine
from kmerl.knowledge.engines.messages import Request, Response, make_response
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.extract import extract
from kmerl.knowledge.labels import ancestors, make_labels, trace_bits, unusable_reports
from kmerl.knowledge.merge import merge
from kmerl.knowledge.params import KnowledgeParams
from kmerl.knowledge.prompts import prompt
from kmerl.knowledge.requests import AskParams, RequestMaker
from kmerl.knowledge.schemas import LABELS, MENTIONS, REPORTS, STUDIES, TRACE, UNUSABLE, VERIFIED
from kmerl.knowledge.superclass import superclass
from kmerl.knowledge.trace import Folders, explain
from kmerl.knowledge.verify import verify
from kmerl.knowledge.vocabulary import dense, load_labels
from kmerl.parts import part_of, read_parts

STATEMENTS = {
    "s1": ["Sinus rhythm with PVC(s)", "Possible inferior infarct - age undetermined"],
    "s2": ["Sinus rhythm with PVCs", "Inferior infarct, old", "No st elevation"],
    "s3": ["Compared to prior ECG, atrial fibrillation has resolved"],
    "s4": ["Sinus bradycardia with RBBB", "Cannot rule out anterior infarct"],
    "s5": ["Sinus rhythm with PVC(s)", "Possible inferior infarct - age undetermined"],
    "s6": ["Sinus rhythm"],
}
ENGINE = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["knowledge"]["engine"]
KNOWLEDGE = KnowledgeParams.model_validate(
    {
        "parts": ["1of1"],
        "scored": [],
        "engine": ENGINE,
        "ask": {"prompting": "paper", "constraint": "none", "system": None, "retries": 1, "growth": 2.0},
        "extract": {"unit": "report", "max_tokens": 1024, "longest_report": 20000},
        "verify": {"enabled": True, "max_tokens": 16, "unit": "entity", "shows": "report", "guard": "flag"},
        "merge": {"enabled": True, "max_tokens": 32768, "chunk": 500, "overlap": 50},
        "superclass": {"enabled": True, "max_tokens": 32768, "chunk": 500, "min_members": 2},
        "labels": {"min_records": 1, "without_entities": "keep"},
    }
)
REPORTS_PARAMS = ReportsParams(
    joiner=". ",
    replace={},
    strip="*=-",
    strip_ends_of="report",
    lower_case=True,
    full_stop=True,
    min_words=4,
    splits=["train", "valid"],
)


def changed(**changes: Any) -> KnowledgeParams:
    """The parameters above with some steps' values changed."""
    values = KNOWLEDGE.model_dump()
    laid = {name: value | changes.get(name, {}) if isinstance(value, dict) else value for name, value in values.items()}
    return KnowledgeParams.model_validate(laid)


def asking(folder: Path, params: KnowledgeParams = KNOWLEDGE) -> Asking:
    return Asking(params.engine, params.ask, folder / "answers")


def chain(folder: Path, params: KnowledgeParams = KNOWLEDGE, parts: int = 1) -> tuple[Folders, dict[str, int]]:
    """Run every step on the statements above."""
    at = Folders(*(folder / name for name in ("reports", "extract", "verify", "merge", "superclass", "labels")))
    frame = pl.DataFrame({"record_id": list(STATEMENTS), "statements": list(STATEMENTS.values())})
    reports: Reports = clean(frame, REPORTS_PARAMS)
    write_table(at.reports / "reports.parquet", reports.reports, REPORTS)
    write_table(at.reports / "studies.parquet", reports.studies, STUDIES)
    who = asking(folder, params)
    for part in (f"{i + 1}of{parts}" for i in range(parts)):
        extract(part_of(reports.reports, part), who, params.extract, at.extract / part)
        found = read_table(at.extract / part / "mentions.parquet", MENTIONS)
        verify(reports.reports, found, who, params.verify, at.verify / part)
    mentions = read_parts(at.extract, "mentions.parquet", MENTIONS)
    verified = read_parts(at.verify, "verified.parquet", VERIFIED)
    merge(dict(verified.filter("kept")["entity"].value_counts().iter_rows()), who, params.merge, at.merge)
    merged = read_json(at.merge / "merged.json")
    superclass(merged, who, params.superclass, at.superclass)
    groups = read_json(at.superclass / "superclasses.json")
    unusable = unusable_reports(read_parts(at.extract, "unusable.parquet", UNUSABLE), verified)
    trace = trace_bits(mentions, verified, merged, groups)
    counts = make_labels(
        reports.studies, unusable, trace, merged, groups, params.labels, at.labels, {"archive": "mimic_iv_ecg"}
    )
    return at, counts


def positives(at: Folders) -> dict[str, set[str]]:
    """Record -> names of its positive queries."""
    vocabulary, labels = load_labels(at.labels)
    return {record: {vocabulary.queries[i] for i in bits} for record, bits in labels.iter_rows()}


class Scripted:
    """An engine that answers in reverse order what a function says; what it says may be a whole response."""

    model = "scripted"

    def __init__(self, reply) -> None:
        self.reply = reply
        self.asked: list[str] = []

    def close(self) -> None:
        pass

    def answer(self, asked: Iterator[Request]) -> Iterator[Response]:
        for request in reversed(list(asked)):
            self.asked.append(request["body"]["messages"][0]["content"])
            reply = self.reply(self.asked[-1])
            if reply is not None:
                yield make_response(request, *reply) if isinstance(reply, tuple) else make_response(request, reply)


def scripted(monkeypatch: pytest.MonkeyPatch, reply) -> Scripted:
    """Let every step ask a scripted engine."""
    engine = Scripted(reply)
    monkeypatch.setattr("kmerl.knowledge.asking.open_engine", lambda params: engine)
    return engine


def test_labels_are_the_asserted_entities_and_their_superclasses(tmp_path: Path) -> None:
    at, counts = chain(tmp_path)
    found = positives(at)
    assert found["s1"] == found["s5"]
    assert {"sinus rhythm", "ventricular premature complex", "inferior myocardial infarction"} <= found["s1"]
    # the old infarct sets its superclass, which is an entity of another report
    assert {"old inferior myocardial infarction", "inferior myocardial infarction"} <= found["s2"]
    assert "st elevation" not in found["s2"]
    assert found["s3"] == set()
    assert "right bundle branch block" in found["s4"]
    assert "anterior myocardial infarction" not in found["s4"]
    assert "s6" not in found
    assert counts["without_entities"] == 1


def test_hedged_findings_are_negative_if_so_asked(tmp_path: Path) -> None:
    rules = {"lexicon": {"uncertain": "negative", "not_excluded": "negative"}}
    at, _ = chain(tmp_path, changed(engine=rules))
    assert "inferior myocardial infarction" not in positives(at)["s1"]
    rules = {"lexicon": {"uncertain": "positive", "not_excluded": "positive"}}
    at, _ = chain(tmp_path, changed(engine=rules))
    assert "anterior myocardial infarction" in positives(at)["s4"]


def test_every_label_bit_leads_back_to_the_sentence(tmp_path: Path) -> None:
    at, _ = chain(tmp_path)
    trace = read_table(at.labels / "trace.parquet", TRACE)
    texts = dict(read_table(at.reports / "reports.parquet", REPORTS).select("report_id", "text").iter_rows())
    studies = dict(read_table(at.reports / "studies.parquet", STUDIES).iter_rows())
    asked = {line["custom_id"]: line for line in read_jsonl(at.extract / "1of1/requests.jsonl")}
    assert {(r, q) for r, qs in positives(at).items() for q in qs} == {
        (record, row["query"])
        for record, report in studies.items()
        for row in trace.filter(pl.col("report_id") == report).iter_rows(named=True)
    }
    for row in trace.iter_rows(named=True):
        written = texts[row["report_id"]][row["start"] : row["end"]]
        assert written.replace(",", "") == row["entity"]
        assert texts[row["report_id"]] in asked[row["extract_request"]]["body"]["messages"][0]["content"]


def test_a_bit_leads_to_the_sentence_that_asserts_it_and_not_to_one_that_denies_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "no lvh. sinus tachycardia. brugada pattern absent. possible lvh. broad tachycardia. brugada pattern."
    scripted(monkeypatch, lambda message: "[sinus tachycardia, lvh, tachycardia, brugada pattern]")
    frame = pl.DataFrame({"report_id": ["r"], "text": [text], "records": [1]})
    extract(frame, asking(tmp_path), KNOWLEDGE.extract, tmp_path)
    mentions = read_table(tmp_path / "mentions.parquet", MENTIONS)
    assert dict(mentions.select("entity", "start").iter_rows()) == {
        "sinus tachycardia": text.index("sinus tachycardia"),
        "lvh": text.index("possible lvh") + len("possible "),
        "tachycardia": text.index("broad tachycardia") + len("broad "),
        "brugada pattern": text.rindex("brugada pattern"),
    }


def test_explain_tells_the_whole_way(tmp_path: Path) -> None:
    at, _ = chain(tmp_path)
    told = explain(at, "s2")
    for part in (
        "sinus rhythm with pvcs. inferior infarct, old. no st elevation.",
        "[sinus rhythm, pvcs, inferior infarct old]",
        "pvcs (characters 18 to 22: 'pvcs')",
        "inferior infarct old: yes 'YES', occurs -> kept",
        "inferior infarct old -> old inferior myocardial infarction in inferior myocardial infarction",
        "inferior myocardial infarction <- old inferior myocardial infarction <- 'inferior infarct old'",
    ):
        assert part in told
    assert "all zero" in explain(at, "s3")
    with pytest.raises(UserError, match="s6 has no report"):
        explain(at, "s6")


def test_a_questions_id_changes_with_model_prompt_text_and_sampling() -> None:
    def identity(task="extract", tokens=9, report="a", ask=None, constraint=None, **params) -> str:
        section = EngineParams.model_validate(KNOWLEDGE.engine.model_dump() | params)
        way = AskParams.model_validate(KNOWLEDGE.ask.model_dump() | (ask or {}))
        fields = {"report": report} if task == "extract" else {"entities": report}
        model = LexiconEngine(section).model
        return RequestMaker(prompt(task), model, section, way, tokens).make(constraint, **fields)["custom_id"]

    ids = [identity(), identity("merge"), identity(report="b"), identity(temperature=0.5), identity(model="other")]
    ids.append(identity(temperature=0.5, seed=2))
    ids.append(identity(lexicon={"uncertain": "negative", "not_excluded": "negative"}))
    ids += [identity(ask={"prompting": "few_shot"}), identity(ask={"system": "You are a cardiologist."})]
    ids.append(identity(ask={"constraint": "structured"}, constraint=NAMES))
    assert len(set(ids)) == len(ids)
    assert identity() == identity()
    # an answer that was not cut off is one under any limit
    assert identity(tokens=8) == identity(tokens=9)


@pytest.mark.parametrize("file", ["lexicon/lexicon.csv", "lexicon/cues.csv", "lexicon/reading.py", "words.py"])
def test_other_rules_of_the_lexicon_are_another_model(tmp_path: Path, file: str) -> None:
    rules = Path(lexicon.__file__).parent.parent
    for name in ("same", "other"):
        shutil.copytree(rules, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "other" / file).open("a") as changed_file:
        changed_file.write("\n")
    assert lexicon.version(tmp_path / "same") == lexicon.version(rules)
    assert lexicon.version(tmp_path / "other") != lexicon.version(rules)
    assert lexicon.version(rules) in open_engine(KNOWLEDGE.engine).model


def test_answers_in_any_order_go_to_their_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = chain(tmp_path / "plain")
    lexicon = open_engine(KNOWLEDGE.engine)

    def reply(message: str) -> str:
        line = {"custom_id": "x", "body": {"model": "m", "messages": [{"content": message}]}}
        (response,) = lexicon.answer(iter([line]))
        return response["response"]["body"]["choices"][0]["message"]["content"]

    scripted(monkeypatch, reply)
    mixed, _ = chain(tmp_path / "mixed")
    for file in ("labels.parquet", "vocabulary.json"):
        assert (plain.labels / file).read_bytes() == (mixed.labels / file).read_bytes()


def test_unusable_answers_are_listed_and_their_records_get_no_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(message: str):
        if not message.startswith("Please extract"):
            return "{}" if "JSON" in message else "YES"
        if "bradycardia" in message:
            return "[rbbb, anterior", "length"
        return "I see nothing" if "resolved" in message else None if "infarct, old" in message else "[sinus rhythm]"

    scripted(monkeypatch, reply)
    at, counts = chain(tmp_path)
    lost = read_table(at.extract / "1of1/unusable.parquet", UNUSABLE)
    assert set(lost.select("reason", "answer").iter_rows()) == {
        ("cut off by length", "[rbbb, anterior"),
        ("no list", "I see nothing"),
        ("no answer", ""),
    }
    assert positives(at) == {record: {"sinus rhythm"} for record in ("s1", "s5")}
    assert counts["unusable"] == 3
    rejected = read_table(at.labels / "rejected.parquet")
    assert set(rejected.iter_rows()) == {(record, "unusable extraction") for record in ("s2", "s3", "s4")}


def test_only_entities_answered_with_yes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(message: str) -> str:
        if message.startswith("Please extract"):
            return "[sinus rhythm, pvcs, lvh]"
        if message.startswith("Please verify"):
            return "NO" if '"lvh"' in message else "Yes."
        return "{}"

    scripted(monkeypatch, reply)
    at, _ = chain(tmp_path)
    verified = read_table(at.verify / "1of1/verified.parquet", VERIFIED)
    assert set(verified.select("entity", "answer", "kept").iter_rows()) == {
        ("sinus rhythm", "yes", True),
        ("pvcs", "yes", True),
        ("lvh", "no", False),
    }
    assert set.union(*positives(at).values()) == {"sinus rhythm", "pvcs"}


@pytest.mark.parametrize("unit", ["entity", "list"])
def test_a_report_whose_verification_cannot_be_used_is_no_report_without_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    def reply(message: str) -> str:
        if message.startswith("Please extract"):
            return "[sinus rhythm, pvcs]" if "pvc(s)" in message else "[sinus rhythm]"
        if message.startswith("Please verify"):
            return "maybe" if "pvcs" in message.split("entities:")[1] else "YES"
        return "{}"

    scripted(monkeypatch, reply)
    at, counts = chain(tmp_path, changed(verify={"unit": unit}))
    verified = read_table(at.verify / "1of1/verified.parquet", VERIFIED)
    assert ("pvcs", "unusable", False) in set(verified.select("entity", "answer", "kept").iter_rows())
    assert read_table(at.verify / "1of1/unusable.parquet")["answer"].to_list() == ["maybe"]
    assert set(positives(at)) == {"s2", "s3", "s4"}
    assert counts["unusable"] == 2
    rejected = read_table(at.labels / "rejected.parquet")
    assert set(rejected.iter_rows()) == {(record, "unusable verification") for record in ("s1", "s5")}
    # what is known of them in part counts nowhere
    assert read_json(at.labels / "summary.json")["records_per_query"] == {"sinus rhythm": 3}
    assert set(read_table(at.labels / "trace.parquet", TRACE)["report_id"]).isdisjoint(
        read_table(at.reports / "studies.parquet", STUDIES).filter(pl.col("record_id") == "s1")["report_id"]
    )


def test_a_whole_list_can_be_verified_at_once_or_not_at_all(tmp_path: Path) -> None:
    by_entity, _ = chain(tmp_path / "entity")
    by_list, _ = chain(tmp_path / "list", changed(verify={"unit": "list"}))
    unverified, _ = chain(tmp_path / "off", changed(verify={"enabled": False}))
    assert positives(by_entity) == positives(by_list) == positives(unverified)
    assert sum(1 for _ in read_jsonl(by_list.verify / "1of1/requests.jsonl")) == 3
    assert list(read_jsonl(unverified.verify / "1of1/requests.jsonl")) == []


def test_the_lexicon_says_no_to_what_the_report_does_not_assert() -> None:
    engine = open_engine(KNOWLEDGE.engine)

    def ask(report: str, *entities: str) -> str:
        listed = json.dumps(entities)
        maker = RequestMaker(prompt("verify"), engine.model, KNOWLEDGE.engine, KNOWLEDGE.ask, 9)
        request = maker.make(report=report, entities=listed)
        (response,) = engine.answer(iter([request]))
        return response["response"]["body"]["choices"][0]["message"]["content"]

    assert ask("sinus rhythm, no pvcs.", "sinus rhythm") == "YES"
    assert ask("sinus rhythm, no pvcs.", "pvcs") == "NO"
    assert ask("sinus rhythm, no pvcs.", "sinus rhythm", "pvcs") == "NO"
    assert ask("sinus rhythm, no pvcs.", "lvh") == "NO"
    assert ask("rbbb.", "Right Bundle Branch Block") == "YES"


def test_merging_and_superclasses_can_be_left_out(tmp_path: Path) -> None:
    full, _ = chain(tmp_path / "full")
    unmerged, _ = chain(tmp_path / "unmerged", changed(merge={"enabled": False}))
    flat, counts = chain(tmp_path / "flat", changed(superclass={"enabled": False}))
    # spellings are one name without a model, synonyms are not
    assert positives(unmerged)["s1"] >= {"sinus rhythm", "pvcs"}
    assert positives(unmerged)["s2"] >= {"sinus rhythm", "pvcs", "inferior infarct old"}
    assert "rbbb" in positives(unmerged)["s4"]
    assert counts["superclasses"] == 0
    assert positives(flat)["s1"] < positives(full)["s1"]


def test_an_unusable_answer_over_all_entities_stops_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, lambda message: ('{"lvh": "left', "length"))
    with pytest.raises(UserError, match=r"merge prompt cannot be used \(cut off by length.*knowledge.merge.max_tokens"):
        merge({"lvh": 1}, asking(tmp_path), KNOWLEDGE.merge, tmp_path / "merge")


@pytest.mark.parametrize("answer", ['{"pvcs": "PVC"}', '{"pvcs": "ventricular premature complex"}', "{}"])
def test_every_spelling_is_merged_and_merged_names_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    scripted(monkeypatch, lambda message: answer)
    merge({"pvcs": 5, "pvc": 1, "pvc(s)": 2}, asking(tmp_path), KNOWLEDGE.merge, tmp_path / "merge")
    merged = read_json(tmp_path / "merge/merged.json")
    assert set(merged) == {"pvcs", "pvc", "pvc(s)"}
    assert len(set(merged.values())) == 1
    assert all(merged.get(name, name) == name for name in merged.values())


def test_no_entities_at_all_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = scripted(monkeypatch, lambda message: "[]")
    _at, counts = chain(tmp_path)
    assert counts["queries"] == 0
    assert counts["without_entities"] == 5
    assert all(message.startswith("Please extract") for message in engine.asked)


def test_rare_queries_and_empty_records_can_be_left_out(tmp_path: Path) -> None:
    at, counts = chain(tmp_path, changed(labels={"min_records": 2, "without_entities": "drop"}))
    vocabulary, _ = load_labels(at.labels)
    assert "right bundle branch block" not in vocabulary.queries
    assert "inferior myocardial infarction" in vocabulary.queries
    # an entity that is left out still sets its superclass
    assert "inferior myocardial infarction" in positives(at)["s2"]
    assert ("s3", "no positive entity") in set(read_table(at.labels / "rejected.parquet").iter_rows())
    assert counts["labelled"] == len(positives(at))


def test_queries_are_sorted_entities_then_new_superclasses(tmp_path: Path) -> None:
    at, _ = chain(tmp_path)
    vocabulary, _ = load_labels(at.labels)
    n = len(vocabulary.entities)
    assert vocabulary.queries[:n] == tuple(sorted(vocabulary.entities)) == vocabulary.entities
    assert list(vocabulary.queries[n:]) == sorted(set(vocabulary.superclasses) - set(vocabulary.entities))
    assert len(set(vocabulary.queries)) == len(vocabulary.queries)


def test_a_superclass_above_a_superclass_is_set_too_and_circles_end() -> None:
    groups = {"av block": ["first"], "conduction": ["av block"], "first": ["conduction"]}
    assert ancestors("first", groups) == ["av block", "conduction"]
    assert ancestors("alone", groups) == []


def test_labels_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    at, _ = chain(tmp_path)
    stored = read_json(at.labels / "vocabulary.json")
    write_json(at.labels / "vocabulary.json", stored | {"queries": stored["queries"][::-1]})
    with pytest.raises(UserError, match="changed by hand"):
        load_labels(at.labels)
    labels = read_table(at.labels / "labels.parquet", LABELS)
    write_json(at.labels / "vocabulary.json", stored)
    write_table(at.labels / "labels.parquet", labels, LABELS, {"vocabulary": "another"})
    with pytest.raises(UserError, match="another vocabulary"):
        load_labels(at.labels)


def test_the_dense_matrix_follows_the_records_asked_for(tmp_path: Path) -> None:
    at, _ = chain(tmp_path)
    vocabulary, labels = load_labels(at.labels)
    matrix = dense(vocabulary, labels, ["s4", "s1", "s3", "s1"])
    assert matrix.shape == (4, len(vocabulary.queries))
    assert matrix.dtype == np.uint8
    for row, record in zip(matrix, ["s4", "s1", "s3", "s1"], strict=True):
        assert {vocabulary.queries[i] for i in np.flatnonzero(row)} == positives(at)[record]
    with pytest.raises(UserError, match="record s6 has no labels"):
        dense(vocabulary, labels, ["s1", "s6"])


def test_equal_inputs_give_equal_bytes(tmp_path: Path) -> None:
    _first, _ = chain(tmp_path / "a")
    _second, _ = chain(tmp_path / "b")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*") if path.is_file())
    files = [file for file in files if file.parts[0] != "answers"]
    assert len(files) > 15
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_the_registry_knows_every_engine_that_the_parameters_allow() -> None:
    assert isinstance(engines.open_engine(KNOWLEDGE.engine), LexiconEngine)
