"""The model card says what was computed, whatever the texts in it hold."""

import ast
import inspect
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import scored
import small
import test_report
import yaml
from engines.project import ROOT

from kmerl.archives import classes
from kmerl.archives.archive import PublishedSplit, SplitParams
from kmerl.archives.manifest import MANIFEST
from kmerl.artifacts import read_json, write_json, write_table
from kmerl.cards.card import Facts, card
from kmerl.cards.failures import LOW, falls
from kmerl.cards.learnt import learnt
from kmerl.documents import Listing, markdown
from kmerl.documents.html import block as html_block
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS
from kmerl.leads import LEADS, PARTIAL_ORDER
from kmerl.params import load
from kmerl.predict import parser
from kmerl.results.runs import Run
from kmerl.training.params import PretrainParams
from kmerl.use.model import Model
from stages import cards as stage

EVIL = "<img src=http://far.away/x.png> | *b*\n# Licence: free `x`"
FEW = 10
SETS = {"12 leads": list(LEADS), "I+II": ["I", "II"], "I": ["I"]}


def config(**changes):
    """As a run's folder tells it."""
    trained = {"archive": "mimic_iv_ecg", "origin": "simulated", "records": 3, "reports": 2}
    text = {"encoder": "package:some/model", "pooling": "mean", "max_tokens": 256, "batch": 64, "threads": 1}
    return {
        "method": "kmerl", "title": "K-MERL", "options": small.OPTIONS["kmerl"], "model": small.SHARED["model"],
        "normalize": {"rule": "zscore", "clip_mv": 5.0, "scope": "record"}, "text": text, "fs": 500.0, "samples": 5000,
        "vocabulary": ["af", "arrhythmia", "mi"], "vocabulary_hash": "x", "trained_on": trained, "seed": 7,
        "steps": 1234,
    } | changes  # fmt: skip


def counted(origin="simulated", archive="mimic_iv_ecg", patients=("p", "p", "q", "q", "r", "s")):
    """Six records: four in train, of which one has no report and one no labels; one in valid, one in test."""
    records = pl.DataFrame(
        {
            "record_id": [f"r{i}" for i in range(6)], "patient_id": patients,
            "flags": [["cropped"], ["cropped", "padded"], ["padded"], [], ["padded"], []],
            "split": ["train"] * 4 + ["valid", "test"],
        },
        schema_overrides={"patient_id": pl.String},
    )  # fmt: skip
    studies = pl.DataFrame({"record_id": ["r0", "r1", "r3", "r4"], "report_id": ["x", "x", "y", "y"]})
    labels = pl.DataFrame({"record_id": ["r0", "r1", "r4"]})
    rejected = pl.DataFrame({"reason": ["too_short", "too_short", "no_header"]})
    unused = pl.DataFrame({"reason": ["fewer than 4 words"]})
    return learnt(archive, origin, records, studies, labels, rejected, unused)


def facts(origin="simulated", **changes):
    """Of a run with all evaluations."""
    data = {"origin": origin, "trained": origin}
    scores = {"zeroshot": scored.zeroshot(**data), "partial_leads": scored.partial(**data)}
    scores["linear_probe"] = scored.probes(**data)
    bare = scored.probes("random_convolutions", 0.72, trained=None, origin=origin)
    given = {
        "run": Run("kmerl", config(), 4321, "ab" * 32, 1.25, 0.75), "called": None, "seeds": ["kmerl"],
        "learnt": counted(origin), "split": "the archive's own", "batch": 64,
        "training": {"loop": {"batch": 32, "processes": 2, "nodes": 1}}, "mining": "Mined by hand.", "entities": 2,
        "licence": None,
        "scores": scores, "over_seeds": None, "baselines": [bare], "lead_sets": SETS, "min_positives": FEW,
        "confidence": 0.95,
    }  # fmt: skip
    return Facts(**given | changes)


def cells(text, start):
    """The cells of the line of a Markdown table that begins with ``start``."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def section(text, title):
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def told():
    return card(facts())


# ----------------------------------------------------------------------------------------------------- what it learnt


def test_records_patients_and_reports_are_those_that_training_had():
    one = counted()
    assert (one.records, one.valid, one.patients, one.reports, one.without_report) == (2, 1, 1, 1, 2)
    assert dict(one.flags) == {"cropped": 2, "padded": 1}
    assert dict(one.rejected) == {"too_short": 2, "no_header": 1}
    assert counted(patients=[None] * 6).patients is None


def test_counts_steps_seed_size_and_input_are_said(told):
    for name, value in (
        ("Records learnt from", "2"), ("Patients of these", "1"), ("Distinct reports of these", "1"),
        ("Language of the reports", "en"), ("Steps", "1,234"), ("Records per step", "64"), ("Seed", "7"),
        ("Weights", "4,321"), ("Input", "10 s at 500 Hz, any of the twelve leads"),
        ("Normalisation", "z-score over all leads of the record"), ("Last training loss", "1.250"),
        ("Leads it was shown", "1 to 3 of twelve, drawn anew each time; 25% of their segments hidden"),
        ("method.loss.temperature", "0.07"), ("loop.processes", "2"),
    ):  # fmt: skip
        assert cells(told, name)[1] == value, name
    assert cells(told, "too_short")[2] == "2"
    assert "3 queries, 2 entities and 1 superclasses" in told
    assert "does not learn from them" not in told
    plain = facts(run=replace(facts().run, config=config(options=small.OPTIONS["merl"])))
    assert "does not learn from them" in card(plain)
    assert cells(card(plain), "Leads it was shown")[1] == "all of each record"


def test_simulated_data_are_said_before_anything_else_and_recorded_ones_are_not_called_so(told):
    front, title, first = told.split("\n---\n")[0], *told.split("\n---\n")[1].strip().split("\n\n")[:2]
    assert title == "# `kmerl`: K-MERL for electrocardiograms"
    assert first.startswith("**Learnt from SIMULATED ECGs and reports**")
    assert "simulated-data" in front and "simulated_mimic_iv_ecg" in front
    assert cells(told, "Origin")[1] == "**SIMULATED**"
    recorded = card(facts("recorded", licence="Open Data Commons"))
    assert "imulated" not in recorded.replace("SIMULATED", "simulated")
    assert "LICENSE.txt begins: Open Data Commons" in section(recorded, "Licence")
    assert "holds no LICENSE.txt" in section(card(facts("recorded")), "Licence")
    learnt_there = facts(scores={"zeroshot": scored.zeroshot(origin="recorded", trained="simulated")})
    assert "pretrained on simulated data" in card(learnt_there)


def test_hubs_can_read_the_front_matter(told):
    front = yaml.safe_load(told.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["language"] == ["en"]
    assert front["datasets"] == ["simulated_mimic_iv_ecg"]
    assert front["metrics"] == ["roc_auc"]
    assert {"ecg", "kmerl", "simulated-data"} <= {*front["tags"]}
    recorded = yaml.safe_load(card(facts("recorded")).split("---\n")[1])
    assert (recorded["license"], recorded["datasets"]) == ("other", ["mimic_iv_ecg"])
    assert "simulated-data" not in recorded["tags"]


# ------------------------------------------------------------------------------------------------------ how good it is


def shown(row):
    return f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"


def test_every_task_and_lead_set_has_its_score_with_its_interval_and_what_that_leaves_out(told):
    run = facts().scores["zeroshot"]
    lines = [("PTB-XL Super", "ptbxl_super", MACRO), ("CSN", "csn", MACRO), ("Average over the tasks", AVERAGE, MACRO)]
    lines.append((f"Average, classes with at least {FEW} positives", AVERAGE, MACRO_MIN))
    for start, task, metric in lines:
        rows = [run.row(metric, dataset=task, leads=leads, way="query", names="name") for leads in SETS]
        assert cells(section(told, "Results"), start)[3:] == [shown(row) for row in rows]
    assert "what another seed of pretraining would change is not in them" in told
    assert "normalisation sees all leads of the record" in told
    assert len(re.findall(r"^\| (PTB-XL|CPSC|CSN)", section(told, "Results"), re.MULTILINE)) == len(classes.tasks())


def test_of_several_seeds_the_mean_stands_beside_this_ones_scores():
    run = scored.zeroshot()
    seeds = pl.lit(2, pl.Int32).alias("seeds"), pl.lit(0.0125).alias("deviation")
    text = card(facts(seeds=["kmerl", "kmerl-2"], over_seeds=replace(run, scores=run.scores.with_columns(*seeds))))
    assert cells(text, "The same run from other seeds")[1] == "kmerl-2"
    assert "± 0.013" in cells(text, "Average, mean of 2 seeds ± deviation")[3]
    assert "±" not in cells(text, "Average over the tasks")[3]


def test_features_that_nothing_was_learnt_for_stand_beside_its_own(told):
    lines = [line for line in section(told, "Results").splitlines() if line.startswith("| the paper's |")]
    assert [line.split(" | ")[1] for line in lines] == ["`kmerl`", "`random_convolutions`"]
    assert "In 6 of 6 of these, features that nothing was learnt for reach more." in told
    better = facts(baselines=[scored.probes("random_convolutions", 0.5, trained=None)])
    assert "In 0 of 6 of these" in card(better)
    assert "reach more" not in card(facts(baselines=[]))


def test_classes_below_the_line_are_listed_and_those_with_few_positives_apart(told):
    failures = section(told, "Known failures")
    rows = facts().scores["zeroshot"].asked(PER_CLASS)
    enough = rows.filter(pl.col("positives") >= FEW)
    low = {*enough.filter(pl.col("value") < LOW).select("dataset", "code").iter_rows()}
    listed = [line for line in failures.splitlines() if re.match(r"\| (PTB-XL|CPSC|CSN)", line)]
    assert len(listed) == len(low) > 0
    for task, code in low:
        assert any(f"| {classes.class_names(task)[code]} |" in line for line in listed)
    few = rows.filter(pl.col("positives") < FEW, leads="I").select("dataset", "code").rows()
    assert f"little or nothing: {len(few)}." in failures
    assert "(0)" in failures  # a class without positives, which has no AUC
    assert not low & {*few}


def test_lead_sets_are_listed_by_what_is_lost_with_paired_intervals(told):
    run = facts().scores["partial_leads"]
    sets = {row["leads"]: row["names"] for row in run.tables["leads"].to_dicts()}
    found = falls(run, sets, 0.95)
    assert len(found) == len(sets) - 1
    assert [one["difference"] for one in found] == sorted(one["difference"] for one in found)
    where = {"dataset": AVERAGE, "scope": "record"}
    lost = run.row(leads="1", **where)["value"] - run.row(leads="12", **where)["value"]
    (one,) = (one for one in found if one["leads"] == "1")
    assert one["difference"] == pytest.approx(lost)
    assert one["low"] <= one["difference"] <= one["high"]
    assert f"| {', '.join(sets[found[0]['leads']])} |" in section(told, "Known failures")
    only = facts(scores={"zeroshot": facts().scores["zeroshot"]})
    assert "| I |" in section(card(only), "Known failures")  # without partial leads, of the zero-shot lead sets
    assert PARTIAL_ORDER[0] == "I"


def test_names_that_training_did_not_ask_for_are_listed(told):
    seen = facts().scores["zeroshot"].tables["seen"]
    unknown = seen.filter(~pl.col("seen"))
    assert f"did not ask for: {unknown.height} of {seen.height} classes" in told
    listed = told.split("did not ask for")[1].split("\n## ")[0]
    for name in unknown["name"]:
        assert name in listed


def test_a_run_that_was_not_evaluated_says_so():
    text = card(facts(scores={}, baselines=[]))
    assert "It was not evaluated." in section(text, "Results")
    assert "Not known" in section(text, "Known failures")


# ------------------------------------------------------------------------------------------------------- what it holds


def test_texts_from_outside_stay_texts():
    evil = facts("recorded", called=EVIL, licence=EVIL, learnt=replace(counted("recorded", EVIL), unused={EVIL: 3}))
    evil = replace(evil, run=replace(evil.run, config=config(title=EVIL, text=config()["text"] | {"encoder": EVIL})))
    text = card(evil)
    body = text.split("\n---\n", 1)[1]
    assert yaml.safe_load(text.split("---\n")[1])["datasets"] == [EVIL]
    assert not re.search(r"(?<!\\)<img", body)
    assert "\n# Licence" not in body
    headings = [line for line in body.splitlines() if line.startswith("#")]
    assert [line for line in headings if "Licence" in line and not line.startswith("# `kmerl`")] == ["## Licence"]
    rules = [len(re.findall(r"(?<!\\)\|", line)) for line in body.splitlines() if line.startswith("| ")]
    assert {*rules} <= {3, 4, 5, 6, 7}  # no cell was split


def test_it_is_loaded_and_asked_as_the_card_says(told):
    program, command = re.findall(r"```(?:python|sh)\n(.*?)```", told, re.DOTALL)
    calls = [node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Call)]
    asked = [call for call in calls if getattr(call.func, "attr", "") == "predict"]
    known = inspect.signature(Model.predict).parameters
    assert len(asked) == 2
    assert all(word.arg in known for call in asked for word in call.keywords)
    assert parser().parse_args(command.split()[3:]).run == Path("kmerl")


def test_a_listing_holds_any_line_and_hides_nothing():
    one = Listing("```\n<b>\x1b[2J````\n", "sh")
    assert markdown.block(one) == "`````sh\n```\n<b>\\x1b[2J````\n`````"
    assert "&lt;b&gt;\\x1b" in str(html_block(one))


# ------------------------------------------------------------------------------------------------------------ the stage


@pytest.fixture
def params(tmp_path, monkeypatch):
    """What the stages before it leave, small and invented; the stage's parameters."""
    monkeypatch.chdir(tmp_path)
    test_report.build()
    vocabulary = read_json("data/labels/base/vocabulary.json")
    known = {"vocabulary": vocabulary["queries"], "vocabulary_hash": vocabulary["hash"]}
    names = {"ours": 5, "ours-2": 5, "fresh": 0}
    test_report.run_folder(Path("data/runs/ours-2"), "K-MERL", 2)
    for name, steps in names.items():
        trained = config()["trained_on"] | {"records": 2}
        write_json(f"data/runs/{name}/config.json", config(steps=steps, trained_on=trained, **known))
    rows = pl.DataFrame({"path": ["LICENSE.txt"], "size": [9]}).with_columns(
        pl.lit(None, pl.Int64).alias("mtime_ns"), pl.lit(None, pl.String).alias("sha256")
    )
    write_table("data/manifests/mimic_iv_ecg.parquet", rows, MANIFEST)
    Path("raw").mkdir()
    Path("raw/LICENSE.txt").write_text("\n  Open <Data>  \nmore\n")
    runs = [scored.zeroshot("ours"), scored.zeroshot("ours-2", 0.8)]
    scored.write(tmp_path, runs, [scored.partial("ours")], [scored.probes("ours"), scored.probes("bare", trained=None)])
    knowledge = load(ROOT / "params.yaml").knowledge
    steps = {name: getattr(knowledge, name) for name in ("engine", "ask", "extract", "verify", "merge", "superclass")}
    mined = {name: {} for name in steps} | {
        "engine": {"name": "vllm", "model": "some/Llama"},
        "merge": {"enabled": False},
    }
    made = {"method": "kmerl", "seed": 1, "pretrain": {}, "options": {}, "knowledge": "base"}
    planned = {name: {**made, "run": name.partition("-")[0]} for name in names}
    return SimpleNamespace(
        pretraining_archive="mimic_iv_ecg", archives={"mimic_iv_ecg": SimpleNamespace(folder="raw", split="official")},
        pretrain=PretrainParams.model_validate(small.SHARED), knowledge=SimpleNamespace(**steps),
        runs={"ours": SimpleNamespace(title="Ours, whole"), "fresh": SimpleNamespace(title=None)},
        evaluation=SimpleNamespace(confidence=0.95, min_positives=FEW), zeroshot=SimpleNamespace(leads=SETS),
        plan=SimpleNamespace(
            pretrain=planned, knowledge={"base": mined}, zeroshot=scored.planned(["ours", "ours-2"]),
            partial_leads=scored.planned(["ours"]), linear_probe=scored.planned(["ours", "bare"]),
        ),
    )  # fmt: skip


def test_every_trained_run_has_a_card_of_its_own_scores_and_the_same_bytes_again(params):
    assert stage.main(params).startswith("2 cards; of 3 runs, 1 had no step")
    found = {path.name: path.read_bytes() for path in Path("results/cards").iterdir()}
    assert {*found} == {"ours.md", "ours-2.md"}
    texts = {name: content.decode() for name, content in found.items()}
    assert "# `ours`: Ours, whole, K-MERL for" in texts["ours.md"]
    for name, text in texts.items():
        scores = json.loads(pl.read_parquet(f"data/scores/zeroshot/{name[:-3]}/scores.parquet").write_json())
        where = {"dataset": AVERAGE, "metric": MACRO, "leads": "I", "way": "query", "names": "name", "scope": "record"}
        (row,) = (row for row in scores if where.items() <= row.items())
        assert cells(text, "Average over the tasks")[-1] == shown(row)
        assert cells(text, "Records learnt from")[1] == "2"
        assert "by some/Llama through vllm" in text and "left out: merge." in text
    assert cells(texts["ours-2.md"], "The same run from other seeds")[1] == "ours"
    assert "of 2 seeds" in texts["ours.md"]
    assert "`bare`" in texts["ours.md"] and "Linear probes" not in texts["ours-2.md"]
    stage.main(params)
    assert {path.name: path.read_bytes() for path in Path("results/cards").iterdir()} == found


def test_a_run_of_other_records_or_queries_than_there_are_gets_no_card(params):
    path = Path("data/runs/ours/config.json")
    write_json(path, read_json(path) | {"vocabulary_hash": "another"})
    with pytest.raises(UserError, match="data/runs/ours: of other records or queries"):
        stage.main(params)
    assert not Path("results/cards").exists()


def test_the_licence_is_how_the_archives_own_file_begins(params):
    manifest = Path("data/manifests/mimic_iv_ecg.parquet")
    assert stage.licence(Path("raw"), manifest) == "Open <Data>"
    write_table(manifest, pl.DataFrame(schema=dict.fromkeys(MANIFEST.names)), MANIFEST)
    assert stage.licence(Path("raw"), manifest) is None


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("official", "the archive's own"),
        (SplitParams(unit="patient", valid_share=0.05, test_share=0.0), "drawn by patient: 5% for validation, 0% for"),
        (PublishedSplit(published="data/raw/merl_splits"), "MERL's split files"),
    ],
)
def test_how_records_were_divided_is_said(rule, words):
    assert words in stage.split(rule)
