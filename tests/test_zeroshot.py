import numpy as np
import polars as pl
import pytest
import small
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from kmerl.evaluation.params import ZeroshotParams
from kmerl.evaluation.schemas import AVERAGE, PREDICTIONS, SCORES
from kmerl.evaluation.zeroshot import predict, score
from kmerl.leads import LEADS


def zeroshot_params(**changes):
    values = {
        "splits": ["test"],
        "leads": {"12 leads": list(LEADS), "I": ["I"]},
        "batch": 5,
        "threads": 1,
        "bootstrap": 200,
        "confidence": 0.95,
        "min_positives": 15,
    }
    return ZeroshotParams(**(values | changes))


TARGETS = pl.DataFrame(
    [("r0", "rhythm", "AF"), ("r1", "rhythm", "SR"), ("r2", "rhythm", "SR"), ("r2", "form", "Q"), ("r9", "form", "Q")],
    schema=["record_id", "task", "code"],
    orient="row",
)


def queries():
    rng = np.random.default_rng(0)
    names = {"rhythm": ["SR", "AF", "PACE"], "form": ["Q", "STE"]}
    return {task: {code: rng.normal(size=6).astype(np.float32) for code in codes} for task, codes in names.items()}


@pytest.fixture
def predictions(tmp_path):
    store, run = small.store(tmp_path / "store"), small.params()
    return predict(small.model(run).eval(), store, range(8), TARGETS, queries(), run.normalize, zeroshot_params())


def test_a_record_counts_only_in_tasks_in_which_it_has_a_label(predictions):
    assert predictions.columns == PREDICTIONS.names
    found = {task: set(part["record_id"]) for (task,), part in predictions.group_by("task")}
    assert found == {"rhythm": {"r0", "r1", "r2"}, "form": {"r2"}}


def test_labels_are_joined_by_name(predictions):
    positives = predictions.filter(pl.col("positive") & (pl.col("leads") == "I")).select("record_id", "task", "code")
    expected = TARGETS.filter(pl.col("record_id") != "r9")
    assert sorted(positives.rows()) == sorted(expected.rows())


def test_a_class_asked_under_another_order_of_classes_gets_the_same_answer(tmp_path, predictions):
    store, run = small.store(tmp_path / "other"), small.params()
    turned = {task: dict(reversed(classes.items())) for task, classes in queries().items()}
    again = predict(small.model(run).eval(), store, range(8), TARGETS, turned, run.normalize, zeroshot_params())
    key = ["record_id", "task", "code", "leads"]
    both = predictions.join(again, on=key, suffix="_again")
    assert both.height == predictions.height
    assert np.allclose(both["probability"], both["probability_again"], atol=1e-5)


def made_up(n=80):
    """Predictions of one task: class A is told apart, B is not, C has no positives."""
    rng = np.random.default_rng(0)
    positive = {"A": rng.random(n) < 0.4, "B": rng.random(n) < 0.05, "C": np.zeros(n, bool)}
    rows = [
        (f"r{i}", f"p{i // 2}", "task", code, leads, float(rng.random() + (code == "A") * labels[i]), bool(labels[i]))
        for leads in ("12 leads", "I")
        for code, labels in positive.items()
        for i in range(n)
    ]
    return pl.DataFrame(rows, schema=PREDICTIONS.names, orient="row")


def value(scores, **where):
    return scores.filter(**where)["value"].item()


def test_scores_equal_scikit_learns():
    predictions = made_up()
    scores = score(predictions, "run", "archive", zeroshot_params(), seed=1)
    assert scores.columns == SCORES.names
    for code in ("A", "B"):
        part = predictions.filter(code=code, leads="I")
        expected = roc_auc_score(part["positive"], part["probability"])
        assert value(scores, code=code, leads="I", metric="auc") == pytest.approx(expected)


def test_classes_without_positives_are_left_out_and_named():
    scores = score(made_up(), "run", "archive", zeroshot_params(), seed=1)
    macro = scores.filter(dataset="task", leads="I", metric="macro_auc").row(0, named=True)
    single = [value(scores, code=code, leads="I", metric="auc") for code in ("A", "B")]
    assert macro["value"] == pytest.approx(np.mean(single))
    assert (macro["classes"], macro["left_out"]) == (2, ["C"])
    supported = scores.filter(dataset="task", leads="I", metric="macro_auc_min").row(0, named=True)
    assert supported["left_out"] == ["B", "C"]
    assert supported["value"] == pytest.approx(single[0])


def test_intervals_hold_the_value_and_come_from_the_seed():
    one, two, other = (score(made_up(), "run", "archive", zeroshot_params(), seed) for seed in (1, 1, 2))
    assert one.equals(two)
    assert not one["low"].equals(other["low"])
    known = one.filter(pl.col("value").is_not_nan())
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()


def test_the_average_is_over_tasks():
    both = pl.concat([made_up(), made_up(60).with_columns(pl.lit("second").alias("task"))])
    scores = score(both, "run", "archive", zeroshot_params(), seed=1)
    tasks = [value(scores, dataset=task, leads="I", metric="macro_auc") for task in ("task", "second")]
    assert value(scores, dataset=AVERAGE, leads="I", metric="macro_auc") == pytest.approx(np.mean(tasks))


def test_leads_are_accepted_in_any_spelling_and_refused_if_unknown():
    assert zeroshot_params(leads={"limb": ["AVR", "lead ii"]}).leads == {"limb": ["aVR", "II"]}
    with pytest.raises(ValidationError, match="lead 'V7' is not one of"):
        zeroshot_params(leads={"chest": ["V7"]})
