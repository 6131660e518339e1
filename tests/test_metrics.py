import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from kmerl.evaluation.auc import auc, macro
from kmerl.evaluation.bootstrap import bootstrap_auc, resample
from kmerl.evaluation.intervals import interval
from kmerl.randomness import generator


@settings(deadline=None)
@given(st.integers(4, 200), st.integers(1, 5), st.integers(0, 2**32), st.sampled_from([1, 3, 1000]))
def test_auc_equals_scikit_learns_with_ties(n, classes, seed, levels):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels + 1, (n, classes)) / levels
    labels = rng.random((n, classes)) < 0.4
    for c, value in enumerate(auc(scores, labels)):
        if labels[:, c].all() or not labels[:, c].any():
            assert np.isnan(value)
        else:
            assert value == pytest.approx(roc_auc_score(labels[:, c], scores[:, c]))


@settings(deadline=None)
@given(st.integers(4, 60), st.integers(0, 2**32))
def test_the_auc_of_a_resample_equals_that_of_its_repeated_records(n, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 5, n).astype(float), rng.random(n) < 0.5
    weights = rng.integers(0, 4, (3, n)).astype(float)
    found = bootstrap_auc(scores[:, None], labels[:, None], weights.astype(np.uint16))[:, 0]
    for weight, value in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(n), weight.astype(int))
        expected = auc(scores[rows, None], labels[rows, None])[0] if len(rows) else np.nan
        assert value == pytest.approx(expected, nan_ok=True)


def test_each_replicate_equals_scikit_learns_weighted_auc():
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(0, 20, (70, 3)) / 20, rng.random((70, 3)) < [0.5, 0.1, 0.9]
    weights = resample(np.arange(70).astype(str), 40, generator(0))
    found = bootstrap_auc(scores.astype(np.float32), labels, weights)
    assert found.shape == (40, 3)
    for c in range(3):
        expected = [roc_auc_score(labels[:, c], scores[:, c], sample_weight=weight) for weight in weights]
        assert found[:, c] == pytest.approx(expected)


def test_replicates_do_not_depend_on_how_many_are_worked_on_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    scores, labels = rng.random((50, 2)), rng.random((50, 2)) < 0.3
    weights = resample(np.arange(50).astype(str), 30, generator(0))
    whole = bootstrap_auc(scores, labels, weights)
    monkeypatch.setattr("kmerl.evaluation.bootstrap._AT_ONCE", 120)
    assert np.array_equal(bootstrap_auc(scores, labels, weights), whole)


def test_classes_of_one_kind_have_no_replicates():
    weights = resample(np.arange(6).astype(str), 5, generator(0))
    labels = np.stack([np.zeros(6, bool), np.ones(6, bool)], axis=1)
    assert np.isnan(bootstrap_auc(np.random.default_rng(0).random((6, 2)), labels, weights)).all()
    assert bootstrap_auc(np.empty((0, 2)), np.empty((0, 2), bool), weights[:, :0]).shape == (5, 2)


def test_patients_are_drawn_whole():
    weights = resample(np.array(["a", "a", "b", "c"]), 50, generator(0))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        labels = rng.random((150, 1)) < 0.4
        scores = rng.normal(size=(150, 1)) + labels  # AUC = Phi(1 / sqrt 2) = 0.760
        weights = resample(np.arange(150).astype(str), 200, generator(trial))
        estimate = interval(float(auc(scores, labels)[0]), bootstrap_auc(scores, labels, weights)[:, 0], 0.95)
        inside += estimate.low <= 0.7602 <= estimate.high
    assert 88 <= inside <= 100


def test_macro_leaves_out_classes_without_an_auc():
    per_class = np.array([0.5, np.nan, 0.9, 0.1])
    assert macro(per_class, np.array([True, True, True, False])) == pytest.approx(0.7)
    assert np.isnan(macro(per_class, np.array([False, True, False, False])))
