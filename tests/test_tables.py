import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from kmerl.archives import classes
from kmerl.artifacts import write_table
from kmerl.errors import UserError
from kmerl.evaluation.params import ZeroshotParams
from kmerl.evaluation.schemas import PREDICTIONS, SCORES
from kmerl.evaluation.tables import (
    CLASS_COLUMNS,
    COLUMNS,
    RunScores,
    markdown,
    markdown_by_class,
    metrics,
    notice,
    published,
    tidy,
    tidy_by_class,
)
from kmerl.evaluation.zeroshot import score
from kmerl.randomness import generator
from stages import tables as stage

SEEN = ["normal ECG"]
LEADS = {"12 leads": ["I", "II"], "I": ["I"]}
PARAMS = ZeroshotParams.model_validate(
    {
        "splits": ["test"], "leads": LEADS, "batch": 4, "threads": 1, "bootstrap": 100, "confidence": 0.95,
        "min_positives": 10,
    }
)  # fmt: skip


def predictions(n=60):
    """Every task's classes for ``n`` records; the last class of every task has no positives."""
    frames = []
    for leads in LEADS:
        for task in classes.tasks():
            rng = generator(1, leads, task)
            codes = list(classes.class_names(task))
            for c, code in enumerate(codes):
                positive = rng.random(n) < 0.3 if c < len(codes) - 1 else np.zeros(n, bool)
                frames.append(
                    pl.DataFrame(
                        {
                            "record_id": [f"r{i}" for i in range(n)], "patient_id": [f"p{i // 2}" for i in range(n)],
                            "task": task, "code": code, "leads": leads,
                            "probability": (rng.random(n) * 0.7 + 0.3 * positive).astype(np.float32),
                            "positive": positive,
                        }
                    )
                )  # fmt: skip
    return pl.concat(frames)


def run(origin="simulated", trained="simulated", name="kmerl"):
    scores = score(predictions(), name, "ptb_xl", PARAMS, 1)
    trained_on = {"archive": "mimic_iv_ecg", "origin": trained, "records": 10, "reports": 5}
    metadata = {"archive": "ptb_xl", "origin": origin, "trained_on": trained_on, "vocabulary_seen": SEEN}
    return RunScores(name, scores, metadata)


@pytest.fixture(scope="module")
def simulated_run():
    return run()


def test_a_published_figure_never_shares_a_row_with_one_of_ours(simulated_run):
    table = tidy([simulated_run])
    assert table.columns == COLUMNS
    assert table.filter(pl.col("published").is_not_null() & pl.col("value").is_not_null()).is_empty()
    theirs = table.filter(pl.col("published").is_not_null())
    assert set(theirs["dataset"]) == {"average of six tasks"}
    assert theirs.height == len(published())
    assert theirs["published"].is_between(0.5, 1).all()


def test_every_task_and_average_has_a_value_per_lead_set(simulated_run):
    ours = tidy([simulated_run]).filter(pl.col("value").is_not_null())
    expected = 2 * (len(classes.tasks()) + 1) * len(LEADS)  # both averages
    assert ours.height == expected
    assert (ours["low"] <= ours["value"]).all()
    assert (ours["value"] <= ours["high"]).all()


@pytest.mark.parametrize(
    ("origin", "trained", "data", "words"),
    [
        ("simulated", "simulated", "simulated", "Simulated data"),
        ("recorded", "simulated", "recorded (trained on simulated)", "pretrained on simulated"),
        ("simulated", "recorded", "simulated (trained on recorded)", "Simulated data"),
        ("recorded", "recorded", "recorded", "Recorded ECGs"),
    ],
)
def test_the_data_behind_the_numbers_is_named(origin, trained, data, words):
    one = run(origin, trained)
    assert set(tidy([one]).filter(pl.col("value").is_not_null())["data"]) == {data}
    assert words in notice([one])
    assert notice([one]) in markdown([one], 10, 0.95)
    assert notice([one]) in markdown_by_class([one], 0.95)


def test_scores_of_unknown_data_are_refused(simulated_run):
    with pytest.raises(UserError, match="do not say"):
        tidy([RunScores("kmerl", simulated_run.scores, {})])


def test_classes_without_positives_are_named_and_empty(simulated_run):
    text = markdown([simulated_run], 10, 0.95)
    left_out = text.split("Left out of every average")[1].split("##")[0]
    by_class = tidy_by_class([simulated_run])
    assert by_class.columns == CLASS_COLUMNS
    for task in classes.tasks():
        code, name = list(classes.class_names(task).items())[-1]
        assert f"{name} ({code})" in left_out
        value = by_class.filter(pl.col("dataset") == task, pl.col("code") == code)["value"]
        assert value.null_count() == len(LEADS)
    assert left_out.count("\n- ") == len(classes.tasks())


def test_cells_are_the_scores(simulated_run):
    row = simulated_run.macro().row(0, named=True)
    cell = f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
    line = next(line for line in markdown([simulated_run], 10, 0.95).splitlines() if line.startswith("| PTB-XL Super"))
    assert line.split(" | ")[3] == cell
    assert line.split(" | ")[1:3] == ["60", "4 of 5"]


def test_counts_that_differ_between_lead_sets_are_shown_from_smallest_to_largest(simulated_run):
    dead = pl.when(pl.col("leads") == "I")
    fewer = simulated_run.scores.with_columns(
        dead.then(pl.col("n") - 3).otherwise("n").alias("n"),
        dead.then(pl.lit(["CD"])).otherwise(pl.lit(["CD"]).list.head(0)).alias("left_out"),
    )
    one = RunScores("kmerl", fewer, simulated_run.metadata)
    lines = markdown([one], 10, 0.95).splitlines()
    assert next(line for line in lines if line.startswith("| PTB-XL Super")).split(" | ")[1] == "57–60"
    assert next(line for line in lines if line.startswith("| Average")).split(" | ")[1] == "57–60"
    assert "(CD, I only)" in next(line for line in lines if line.startswith("- PTB-XL Super"))
    assert "## PTB-XL Form, run `kmerl`, 57–60 records" in markdown_by_class([one], 0.95)


def test_classes_that_were_in_the_training_vocabulary_are_marked(simulated_run):
    by_class = tidy_by_class([simulated_run])
    assert set(by_class.filter("seen")["name"]) == set(SEEN)
    text = markdown_by_class([simulated_run], 0.95)
    marked = [line.split(" | ")[1] for line in text.splitlines() if " | ✓ | " in line and "Asked as" not in line]
    assert set(marked) == set(SEEN)
    names = {name for task in classes.tasks() for name in classes.class_names(task).values()}
    assert f"1 of {len(names)} distinct class names occur in the vocabulary" in text


def test_scores_that_do_not_say_what_was_in_the_vocabulary_are_refused(simulated_run):
    unsaid = {key: value for key, value in simulated_run.metadata.items() if key != "vocabulary_seen"}
    with pytest.raises(UserError, match="run zeroshot again"):
        tidy_by_class([RunScores("kmerl", simulated_run.scores, unsaid)])


def test_metrics_hold_every_run_lead_set_and_task(simulated_run):
    value = metrics([simulated_run])
    assert set(value["kmerl"]) == set(LEADS)
    assert set(value["kmerl"]["I"]) == {*classes.tasks(), "average"}


def test_the_stage_writes_the_same_bytes_again(simulated_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data/scores/kmerl"
    write_table(path / "scores.parquet", simulated_run.scores, SCORES, simulated_run.metadata)
    write_table(path / "predictions.parquet", predictions(), PREDICTIONS, simulated_run.metadata)
    params = SimpleNamespace(runs={"kmerl": {}}, zeroshot=SimpleNamespace(min_positives=10, confidence=0.95))
    first = {}
    for _ in range(2):
        assert stage.main(params).startswith("1 runs")
        found = {p.name: p.read_bytes() for p in (tmp_path / "results").rglob("*.*")}
        assert set(found) == {
            "metrics.json", "zeroshot_auc.csv", "zeroshot_auc.md", "zeroshot_auc_by_class.csv",
            "zeroshot_auc_by_class.md",
        }  # fmt: skip
        assert not first or found == first
        first = found
    assert json.loads(first["metrics.json"])["kmerl"]["12 leads"]["average"] > 0.5
    with pytest.raises(UserError, match="no such file"):
        stage.main(SimpleNamespace(runs={"other": {}}, zeroshot=params.zeroshot))
