"""What is told about the mining of reports: quality by rules that are fair to any engine, counts, trees, costs."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml
from test_knowledge_chain import KNOWLEDGE, chain

from kmerl import inspect
from kmerl.archives.schemas import TRUTH as SCHEMA
from kmerl.archives.simulate import conditions, hearts, population, reporting
from kmerl.archives.simulate.mimic_iv_ecg import SimulateMimicParams
from kmerl.artifacts import frame, read_metadata, read_table, write_json, write_table
from kmerl.documents.markdown import block, markdown
from kmerl.errors import UserError
from kmerl.knowledge.engines.lexicon import LexiconEngine
from kmerl.knowledge.judging import Score, Truth, judge, label_agreement, overlap, score, truths, verification
from kmerl.knowledge.schemas import STUDIES, UNUSABLE, VERIFIED
from kmerl.knowledge.vocabulary import load_labels
from kmerl.tables import mining
from kmerl.tables.mining_quality import Judged, compared, for_people, tidy
from stages import mining as mining_stage
from stages import mining_quality as quality_stage

TRUTH = Truth(
    frozenset({"sinus_rhythm", "left_ventricular_hypertrophy", "inferior_infarct_old"}), frozenset(), frozenset({"pvc"})
)


@pytest.mark.parametrize(
    ("entity", "judged"),
    [
        ("sinus rhythm", "right"),
        ("LVH", "right"),
        ("left ventricular hypertrophy", "right"),
        ("inferior infarct", "right"),  # broader than an old one
        ("old inferior myocardial infarction", "right"),
        ("possible inferior infarct", "right"),
        ("myocardial infarction", "right"),
        ("pvcs", "denied"),
        ("atrial fibrillation", "wrong"),
        ("anterior infarct", "neutral"),  # a wording of hypertrophy weighs it
        ("pericarditis", "wrong"),
        ("brugada pattern", "wrong"),
        ("abnormal ecg", "neutral"),
        ("data quality", "neutral"),
        ("rapid ventricular response", "neutral"),
    ],
)
def test_an_entity_is_judged_by_what_it_means_and_not_by_its_words(entity, judged) -> None:
    assert judge(entity, TRUTH) == judged


def test_what_the_report_cannot_rule_out_counts_neither_way() -> None:
    open_ = Truth(frozenset({"sinus_rhythm"}), frozenset({"anterior_infarct_old"}), frozenset())
    assert judge("anterior infarct", open_) == "neutral"
    one = score({"r": ["sinus rhythm", "anterior infarct"]}, {"r": open_})
    assert (one.right, one.wrong, one.neutral, one.found, one.missed) == (1, 0, 1, 1, 0)


def test_what_a_wording_names_beside_its_condition_counts_neither_way_nor_does_what_is_broader() -> None:
    early = Truth(frozenset({"early_repolarisation", "atrial_fibrillation"}), frozenset(), frozenset())
    named = ["st elevation", "st-t changes", "early repolarization", "atrial fibrillation"]
    rate = ["rapid ventricular response", "tachycardia"]
    assert score({"r": [*named, *rate]}, {"r": early}) == Score(2, 0, 4, 0, 2, 0)
    assert score({"r": [*named, "tachycardia"]}, {"r": early}).wrong == 1  # no rate was named


def test_a_finding_that_is_worded_as_two_is_found_by_both_together() -> None:
    both = Truth(frozenset({"inferolateral_infarct_old"}), frozenset(), frozenset())
    assert score({"r": ["old inferior infarct", "old lateral infarct"]}, {"r": both}).found == 1
    assert score({"r": ["old inferior infarct"]}, {"r": both}).found == 0


def test_inventions_lower_precision_and_silence_lowers_recall() -> None:
    known = {"r": TRUTH}
    full = score({"r": ["sinus rhythm", "lvh", "inferior infarct"]}, known)
    assert (full.precision, full.recall, full.f1) == (1, 1, 1)
    more = score({"r": ["sinus rhythm", "lvh", "inferior infarct", "atrial flutter"]}, known)
    assert (more.precision, more.recall) == (0.75, 1)
    less = score({"r": ["sinus rhythm"]}, known)
    assert less.precision == 1
    assert less.recall == pytest.approx(1 / 3)
    none = score({}, known)
    assert (none.recall, none.f1 == 0 or np.isnan(none.f1)) == (0, True)


def row(
    entity: str, answer: str = "yes", occurs: bool | None = True, negated: bool | None = False, kept: bool | None = None
):
    flagged = occurs is False or negated is True
    return ("r", entity, answer, occurs, negated, flagged, answer == "yes" if kept is None else kept, "q")


def test_verification_is_judged_by_what_it_removes_and_what_it_loses() -> None:
    rows = [row("sinus rhythm"), row("lvh", "no"), row("pvcs", "no"), row("af", "yes", None, None)]
    rows += [row("pvc", "yes", True, True), row("abnormal ecg", "no")]
    verified = frame(rows, VERIFIED)
    one = verification(verified, {"r": TRUTH})
    assert (one.right, one.right_lost, one.errors, one.errors_removed, one.errors_flagged) == (2, 1, 3, 1, 1)


def test_the_truth_of_a_report_is_what_its_statements_say() -> None:
    """A careful reader of the texts finds what the simulator says it asserted, and nothing that it denied."""
    section = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["simulate"]["mimic_iv_ecg"]
    made = SimulateMimicParams.model_validate(section | {"records": 300})
    engine = LexiconEngine(KNOWLEDGE.engine)
    named, known, denied = {}, {}, 0
    for i, visit in enumerate(population.visits(3, "mimic_iv_ecg", "all", 300, made.population, 0)):
        recording = hearts.record(visit.patient, visit.conditions, visit.draw, 500, 1000, made.noise)
        report = reporting.machine_report(recording, visit.prior, recording.noisy, made.reports, visit.draw)
        named[str(i)] = engine._extract(". ".join(report.statements).lower() + ".")
        known[str(i)] = Truth(*map(frozenset, (report.asserted, report.not_excluded, report.denied)))
        denied += len(report.denied)
        assert set(report.asserted) <= set(conditions.table())
        assert not set(report.asserted) & set(report.denied)
    one = score(named, known)
    assert one.precision > 0.98
    assert one.recall > 0.98
    assert denied > 10


def test_records_with_one_text_share_its_truth() -> None:
    rows = [("a", ["af"], [], ["pvc"]), ("b", ["pvc"], ["svt"], []), ("c", None, None, None)]
    types = {"record_id": pl.String, **dict.fromkeys(["asserted", "not_excluded", "denied"], pl.List(pl.String))}
    studies = pl.DataFrame({"record_id": ["a", "b", "c"], "report_id": ["r", "r", "other"]})
    found = truths(pl.DataFrame(rows, types, orient="row"), studies)
    assert found == {"r": Truth(frozenset({"af", "pvc"}), frozenset({"svt"}), frozenset())}


def test_agreement_of_two_engines_is_over_all_their_entities() -> None:
    assert overlap({"r": ["a", "b"]}, {"r": ["b", "c"]}, ["r"]) == pytest.approx(1 / 3)
    assert overlap({}, {}, ["r"]) == 1


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The chain run on a few statements, as the pipeline lays it down."""
    at, _ = chain(tmp_path / "data/knowledge/base", parts=2)
    monkeypatch.chdir(tmp_path)
    Path("data/knowledge/base/reports").rename("data/reports")
    Path("data/labels").mkdir()
    Path("data/knowledge/base/labels").rename("data/labels/base")
    studies = read_table("data/reports/studies.parquet", STUDIES)
    write_table("data/reports/studies.parquet", studies, STUDIES, {"origin": "simulated"})
    assert read_metadata("data/reports/studies.parquet")
    return SimpleNamespace(figures=SimpleNamespace(dpi=50), pretraining_archive="mimic_iv_ecg"), at


def test_results_stand_beside_the_papers_and_say_what_they_are_of(project) -> None:
    params, _ = project
    summary = mining_stage.main(params)
    assert "0 unusable answers" in summary
    out = Path("results/knowledge")
    assert {path.name for path in out.iterdir()} == {
        "steps.md", "steps.csv", "reports.md", "reports.csv", "cost.md", "cost.csv", "hierarchy.txt", "hierarchy.png",
        "hierarchy.svg",
    }  # fmt: skip
    for name in ("steps.md", "reports.md", "cost.md", "hierarchy.txt"):
        assert "Simulated reports" in (out / name).read_text()
    counts = {what: (number, told) for _, what, number, told in pl.read_csv(out / "steps.csv").iter_rows()}
    assert [counts[what][1] for what in mining.PUBLISHED] == [341, 252, 25, 277]
    assert counts["queries"][0] == counts["merged entities"][0] + counts["superclasses"][0]
    frequent = pl.read_csv(out / "reports.csv")
    assert frequent["records"][0] == 2
    assert "pvc(s) → ventricular premature complex" in frequent["kept"][0]
    assert "inferior myocardial infarction" in (out / "hierarchy.txt").read_text()
    assert read_table("data/unusable_answers.parquet").columns == ["step", *UNUSABLE.names]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    mining_stage.main(params)
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}


def test_every_unusable_answer_is_listed_with_its_step_and_text(project) -> None:
    params, _ = project
    lost = frame([(None, "no JSON object", "what?", "q")], UNUSABLE)
    write_table("data/knowledge/base/merge/unusable.parquet", lost, UNUSABLE)
    mining_stage.main(params)
    assert read_table("data/unusable_answers.parquet").rows() == [("merge", None, "no JSON object", "what?", "q")]


def test_quality_is_told_for_the_archive_that_was_mined(project) -> None:
    params, _ = project
    asserted = {name: ["sinus_rhythm", "pvc", "inferior_infarct_old"] for name in ("s1", "s2", "s5")}
    asserted |= {"s3": [], "s4": ["sinus_bradycardia", "right_bundle_branch_block"]}
    rows = [(name, "p", keys, keys, [], []) for name, keys in asserted.items()]
    write_table("data/truth/mimic_iv_ecg.parquet", frame(rows, SCHEMA), SCHEMA)
    summary = quality_stage.main(params, "mimic_iv_ecg")
    assert "4 reports; extraction P 1.000 R 1.000" in summary
    text = Path("results/mining_quality/mimic_iv_ecg/quality.md").read_text()
    assert "Simulated reports" in text
    assert "lexicon" in text
    with pytest.raises(UserError, match="the reports of mimic_iv_ecg are mined, not those of ptb_xl"):
        quality_stage.main(params, "ptb_xl")


def test_a_label_vector_is_explained_under_the_variant_that_is_named(project, capsys) -> None:
    shutil.copytree("data/labels/base", "data/labels/other")
    assert inspect.main(["label", "s1"]) == 0
    base = capsys.readouterr().out
    assert "sinus rhythm" in base
    assert inspect.main(["label", "s1", "other"]) == 1
    assert "data/knowledge/other" in capsys.readouterr().err
    shutil.copytree("data/knowledge/base", "data/knowledge/other")
    assert inspect.main(["label", "s1", "other"]) == 0
    assert capsys.readouterr().out == base


def test_a_wrong_bit_is_counted(project) -> None:
    vocabulary, labels = load_labels("data/labels/base")
    studies = read_table("data/reports/studies.parquet", STUDIES)
    known = {studies["report_id"][0]: Truth(frozenset({"digitalis_effect"}), frozenset(), frozenset())}
    found = label_agreement(vocabulary, labels, studies, known)
    assert (found.reports, found.faultless) == (1, 0)
    assert found.bits.wrong > 0
    assert found.bits.missed == 1


def test_engines_are_compared_on_the_same_reports() -> None:
    verified = frame([row("sinus rhythm"), row("pvcs", "no")], VERIFIED)
    judged = Judged(verified, {"r": TRUTH})
    assert "| small | 0.500 | 0.333 |" in block(compared({"small": judged}))
    assert "Label vectors" not in markdown(for_people(judged, "small", "mimic_iv_ecg"))
    assert tidy(judged).filter(step="verify", measure="precision")["value"].item() == 1


def test_what_a_run_cost_is_told_with_its_seconds(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert inspect.main(["cost"]) == 1
    assert "no stage that asks a language model has run here" in capsys.readouterr().err
    one = {"model": "m", "engine": "vllm", "questions": 2000, "kept": 500, "asked": 1500, "prompt_tokens": 1000,
           "completion_tokens": 10, "cached_tokens": 250, "seconds": 12.5}  # fmt: skip
    write_json("logs/extract@1of1.cost.json", one)
    assert inspect.main(["cost"]) == 0
    told = capsys.readouterr().out
    for word in ("extract@1of1", "vllm", "2,000", "1,500", "25%", "12.5"):
        assert word in told
