from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest
import small
import torch
from hypothesis import given
from hypothesis import strategies as st
from probes import evaluation_params, probe_params, separable
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from kmerl.errors import UserError
from kmerl.evaluation.auc import auc
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS, RESAMPLES, SCORES
from kmerl.evaluation.scoring import Item, score
from kmerl.evaluations.linear_probe import Kind
from kmerl.evaluations.linear_probe.logistic import fit_logistic
from kmerl.evaluations.linear_probe.probe import (
    Examples,
    choose,
    draw_share,
    fit_merl_code,
    fit_paper,
    learnable,
    probe,
    read_task,
    standardizer,
)
from kmerl.evaluations.linear_probe.run import probe_archive, splits_left_to_test
from kmerl.features.store import Features, write_features
from kmerl.randomness import generator

TRAIN, VALID, TEST = separable(200, "train"), separable(60, "valid"), separable(80, "test")


KINDS = get_args(Kind)


def answers(train=TRAIN, valid=VALID, test=TEST, kind="standardized", seed=0, **changes):
    return probe(train, valid, test, probe_params(**changes), kind, generator(seed))


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("logistic", {}), ("standardized", {}), ("standardized", {"select": "best"}),
        ("paper", {"learning_rate": 0.03, "epochs": 300}), ("merl_code", {"learning_rate": 0.1, "epochs": 400}),
    ],
)  # fmt: skip
def test_a_probe_recovers_what_a_line_separates(kind, changes):
    assert auc(answers(kind=kind, **changes), TEST.labels).min() > 0.97


def test_the_papers_probe_sees_features_as_they_are_and_the_standardised_one_their_scale_no_more():
    scaled = [replace(one, features=one.features * 3 + 1) for one in (TRAIN, VALID, TEST)]
    assert np.allclose(answers(), answers(*scaled), atol=1e-3)
    assert not np.allclose(answers(kind="paper"), answers(*scaled, kind="paper"), atol=1e-1)


def test_heads_trained_together_equal_heads_trained_alone():
    x = torch.from_numpy(np.c_[TRAIN.features, np.ones(200, np.float32)])
    y = torch.from_numpy(TRAIN.labels).float()
    together = fit_paper(x, y, probe_params(), generator(3), None)
    alone = [fit_paper(x, y[:, [c]], probe_params(), generator(3), None) for c in range(3)]
    torch.testing.assert_close(together, torch.cat(alone, 1), atol=1e-4, rtol=1e-3)


def test_the_written_gradient_trains_as_autograd_does():
    x = torch.from_numpy(np.c_[TRAIN.features, np.ones(200, np.float32)])
    y, params = torch.from_numpy(TRAIN.labels).float(), probe_params(epochs=2, batch=64)
    layer = torch.zeros(7, 3, requires_grad=True)
    optimizer, rng, step, steps = torch.optim.AdamW([layer], weight_decay=1e-5), generator(5), 0, 8
    for _ in range(2):
        order = torch.from_numpy(rng.permutation(200))
        for part in order.split(64):
            cosine = (1 + np.cos(np.pi * (step - 5) / (steps - 5))) / 2
            optimizer.param_groups[0]["lr"] = 0.01 * ((step + 1) / 5 if step < 5 else cosine)
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(x[part] @ layer, y[part], reduction="sum")
            (loss / len(part)).backward()
            optimizer.step()
            step += 1
    ours = fit_paper(x, y, params, generator(5), None)
    torch.testing.assert_close(ours, layer.detach(), atol=1e-5, rtol=1e-4)


def test_merl_code_takes_a_tenth_of_the_rate_after_forty_batches():
    x, y = torch.ones(40, 1), torch.ones(40, 1)
    seen = []
    fit_merl_code(
        x, y, probe_params(batch=1, epochs=2, weight_decay=0.0), generator(0), lambda w: seen.append(w.item()) or 0
    )
    assert seen[0] > 0.2  # 40 steps of about 0.01
    assert 0 < seen[1] - seen[0] < 0.06  # 40 of a tenth


def test_merl_code_chooses_on_test_and_the_paper_never_looks_there():
    turned = replace(TEST, labels=~TEST.labels)
    for changes in ({}, {"select": "best"}, {"kind": "paper"}, {"kind": "logistic"}):
        np.testing.assert_array_equal(answers(**changes), answers(test=turned, **changes))
    chosen = {"kind": "merl_code", "epochs": 40, "learning_rate": 0.3}
    assert not np.array_equal(answers(**chosen), answers(test=turned, **chosen))


@pytest.mark.parametrize("shape", [(60, 8), (25, 90)])
def test_the_logistic_path_equals_scikit_learns(shape):
    rng = generator(0, "logistic", shape)
    x = rng.normal(size=shape)
    x[:, 1] = x[:, 0] + 0.01 * x[:, 1]
    x -= x.mean(0)
    y = np.stack([x[:, 0] + rng.normal(size=len(x)) > 0, rng.random(len(x)) < 0.3], 1)
    cs = [0.01, 1.0]
    found = fit_logistic(torch.from_numpy(x), torch.from_numpy(y).double(), cs)
    for weights, c in zip(found.numpy(), cs, strict=True):
        for head in range(2):
            theirs = LogisticRegression(C=c, tol=1e-10, max_iter=5000).fit(x, y[:, head])
            expected = theirs.decision_function(x)
            np.testing.assert_allclose(x @ weights[:-1, head] + weights[-1, head], expected, atol=2e-3)


def test_the_penalty_is_chosen_on_valid():
    candidates = [torch.full((1, 1), v) for v in (1.0, 2.0, 3.0)]
    assert choose(candidates, lambda w: -abs(w.item() - 2)) is candidates[1]
    assert choose(candidates, lambda w: 0.5) is candidates[0]
    assert choose(candidates, lambda w: float("nan")) is candidates[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_without_both_kinds_in_training_is_answered_with_a_constant(kind):
    labels = TRAIN.labels.copy()
    labels[:, 0], labels[:, 2] = False, True
    found = answers(train=replace(TRAIN, labels=labels), kind=kind, logistic_c=[0.1])
    np.testing.assert_array_equal(learnable(labels), [False, True, False])
    assert auc(found, TEST.labels)[[0, 2]].tolist() == [0.5, 0.5]
    if kind != "merl_code":  # its loss is the mean over heads, and its epoch that of the best mean
        np.testing.assert_allclose(found[:, 1], answers(kind=kind, logistic_c=[0.1])[:, 1], atol=1e-2)


@pytest.mark.parametrize("kind", ["logistic", "standardized"])
def test_the_scale_of_features_does_not_count_if_they_are_standardised(kind):
    def scaled(one):
        factors = np.array([1000, 0.001, 1, 5, 2, 3], np.float32)
        return replace(one, features=one.features * factors - 7)

    plain = answers(kind=kind)
    changed = answers(scaled(TRAIN), scaled(VALID), scaled(TEST), kind)
    np.testing.assert_allclose(plain, changed, atol=0.03)


def test_constant_features_and_missing_records_do_no_harm():
    constant = [replace(one, features=np.full_like(one.features, 0.1)) for one in (TRAIN, VALID, TEST)]
    for kind in KINDS:
        found = answers(*constant, kind=kind)
        assert np.ptp(found, axis=0).max() < 1e-5
        none = Examples(TEST.features[:0], TEST.labels[:0])
        assert answers(test=none, kind=kind).shape == (0, 3)
        assert answers(train=none, kind=kind).tolist() == np.zeros((80, 3)).tolist()
        assert np.isfinite(answers(valid=none, kind=kind, select="best")).all()
    mean, inverse = standardizer(constant[0].features)
    assert inverse.tolist() == [0] * 6
    np.testing.assert_allclose(mean, 0.1)


@given(n=st.integers(0, 400), seed=st.integers(0, 5))
def test_shares_are_nested_and_hold_two_records_at_least(n, seed):
    drawn = [draw_share(n, share, seed, "task") for share in (0.01, 0.1, 1.0)]
    assert set(drawn[0]) <= set(drawn[1]) <= set(drawn[2]) == set(range(n))
    assert [len(d) for d in drawn] == [min(n, max(2, round(share * n))) for share in (0.01, 0.1, 1.0)]
    np.testing.assert_array_equal(drawn[1], draw_share(n, 0.1, seed, "task"))


TARGETS = pl.DataFrame(
    [("r0", "rhythm", "AF"), ("r1", "rhythm", "SR"), ("r1", "rhythm", "AF"), ("r2", "form", "Q"), ("x", "form", "Q")],
    schema=["record_id", "task", "code"],
    orient="row",
)


def test_a_record_belongs_to_a_task_if_it_has_a_label_there():
    records = pl.DataFrame({"record_id": ["r2", "r1", "r0", "r9"], "split": ["train", "test", "valid", "train"]})
    task = read_task("rhythm", ["SR", "AF", "PACE"], records, TARGETS)
    assert task.rows.tolist() == [1, 2]
    assert task.labels.tolist() == [[True, True, False], [False, True, False]]
    assert task.splits.tolist() == ["test", "valid"]
    with pytest.raises(UserError, match="'AF' is no class"):
        read_task("rhythm", ["SR"], records, TARGETS)


def test_probes_are_tested_on_no_split_that_they_learn_from():
    every = ["train", "valid", "test"]
    assert splits_left_to_test(every, probe_params()) == ["valid", "test"]
    assert splits_left_to_test(every, probe_params(select="best")) == ["test"]
    assert splits_left_to_test(every, probe_params(kinds=["paper", "logistic"])) == ["test"]
    with pytest.raises(UserError, match="leave linear_probe out"):
        splits_left_to_test(["train"], probe_params())


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """120 records, one feature of which tells CLASS; RARE has a single record, in test; two lead sets."""
    folder = tmp_path_factory.mktemp("archive")
    store = small.store(folder / "store", n=120)
    rng = generator(0, "archive")
    positive = rng.random(120) < 0.5
    split = np.where(np.arange(120) < 60, "train", np.where(np.arange(120) < 80, "valid", "test"))
    values = np.stack([positive + 0.1 * rng.normal(size=120), rng.normal(size=120)], 1).astype(np.float32)

    def embed(store, rows, leads):
        found = values[list(rows)].copy()
        found[np.asarray(rows) == 119] = np.nan  # has none of the leads
        return found

    write_features(folder / "f", "a", "toy", [store], {"12 leads": ["I", "II"], "I": ["I"]}, 2, embed, 50, None)
    store.records = store.records.with_columns(pl.Series("split", split))
    rows = [(f"r{i}", "task", "CLASS" if p else "OTHER") for i, p in enumerate(positive)]
    rows += [("r90", "task", "RARE"), ("r100", "empty", "NONE")]
    targets = pl.DataFrame(rows, schema=["record_id", "task", "code"], orient="row")
    codes = {"task": ["CLASS", "OTHER", "RARE", "NEVER"], "empty": ["NONE", "MORE"]}
    return Features(folder / "f"), store.records, targets, codes


def score_probes(answers):
    found = score(answers, Item("a"), "linear_probe", evaluation_params())
    return found.scores, found.resamples


def scored(archive, seed=1, **changes):
    params, evaluation = probe_params(**changes), evaluation_params()
    return score_probes(probe_archive("toy", *archive, params, evaluation, seed))


def test_scores_say_what_was_learnt_from_what_and_what_was_not(archive):
    scores, resamples = scored(archive)
    assert scores.columns == SCORES.names
    assert resamples.columns == RESAMPLES.names
    macro = scores.filter(dataset="task", leads="I", share=1.0, metric=MACRO).row(0, named=True)
    assert (macro["n"], macro["classes"], macro["train_records"]) == (39, 3, 60)  # the record without leads is out
    assert (macro["left_out"], macro["untrained"]) == (["NEVER"], ["RARE"])
    classes = {
        row["code"]: row for row in scores.filter(dataset="task", leads="I", share=1.0, metric=PER_CLASS).to_dicts()
    }
    assert classes["CLASS"]["value"] > 0.95
    assert (classes["RARE"]["value"], classes["RARE"]["untrained"]) == (0.5, ["RARE"])
    assert classes["RARE"]["low"] == classes["RARE"]["high"] == 0.5
    assert np.isnan(classes["NEVER"]["value"])
    assert macro["value"] == pytest.approx((classes["CLASS"]["value"] + classes["OTHER"]["value"] + 0.5) / 3)
    supported = scores.filter(dataset="task", leads="I", share=1.0, metric=MACRO_MIN).row(0, named=True)
    assert (supported["classes"], supported["left_out"], supported["untrained"]) == (2, ["RARE", "NEVER"], [])
    assert scores.filter(share=0.1, dataset="task")["train_records"].unique().to_list() == [6]


def test_the_average_leaves_out_and_names_tasks_without_a_value(archive):
    scores, resamples = scored(archive)
    row = scores.filter(dataset=AVERAGE, leads="I", share=1.0, metric=MACRO).row(0, named=True)
    assert (row["classes"], row["left_out"], row["untrained"], row["n"]) == (1, ["empty"], ["task/RARE"], 39)
    own = scores.filter(dataset="task", leads="I", share=1.0, metric=MACRO).row(0, named=True)
    assert (row["value"], row["low"], row["high"]) == (own["value"], own["low"], own["high"])
    assert len(resamples) == 3 * 2 * 2 * 2  # datasets, lead sets, shares, metrics
    assert resamples["values"].list.len().unique().to_list() == [100]


def test_probing_is_deterministic_and_the_same_features_of_two_lead_sets_score_alike(archive):
    first, second = scored(archive), scored(archive)
    for one, other in zip(first, second, strict=True):
        assert one.equals(other, null_equal=True)
    keys = ["dataset", "share", "code", "metric", "value"]
    sets = [first[0].filter(leads=leads).select(keys) for leads in ("12 leads", "I")]
    assert sets[0].equals(sets[1])


def test_a_score_is_the_mean_of_its_draws_and_says_how_far_they_lie_apart(archive):
    each = list(probe_archive("toy", *archive, probe_params(draws=4, kinds=["paper"]), evaluation_params(), 1))
    scores, _ = score_probes(each)
    one = next(one for one in each if (one.task, one.condition["leads"], one.condition["share"]) == ("task", "I", 0.1))
    areas = np.array([auc(logits, one.labels)[0] for logits in one.answers])
    row = scores.filter(code="CLASS", leads="I", share=0.1).row(0, named=True)
    assert (row["draws"], len({*areas.tolist()}) > 1) == (4, True)
    assert (row["value"], row["spread"]) == (pytest.approx(areas.mean()), pytest.approx(areas.std(ddof=1)))
    macros = [np.nanmean(auc(logits, one.labels)) for logits in one.answers]
    macro = scores.filter(dataset="task", leads="I", share=0.1, metric=MACRO).row(0, named=True)
    assert (macro["value"], macro["spread"]) == (pytest.approx(np.mean(macros)), pytest.approx(np.std(macros, ddof=1)))
    whole = scores.filter(share=1.0)
    assert set(whole["draws"]) == {1} and whole["spread"].is_null().all()


def test_kinds_of_probes_and_lead_sets_learn_from_the_same_records(archive):
    params = probe_params(kinds=["paper", "logistic"])
    found = [
        [*row]
        for row in score_probes(probe_archive("toy", *archive, params, evaluation_params(), 1))[0]
        .filter(metric=MACRO, share=0.1)
        .select("dataset", "leads", "train_records", "untrained")
        .rows()
    ]
    assert all(found.count(row) == 2 for row in found)


def test_resamples_agree_with_the_interval(archive):
    scores, resamples = scored(archive)
    for row in resamples.to_dicts():
        key = {name: row[name] for name in ("dataset", "leads", "share", "kind", "metric")}
        found = scores.filter(**key).row(0, named=True)
        values = np.array(row["values"], np.float64)
        if np.isnan(values).all():
            assert np.isnan(found["value"])
        else:
            low, high = np.nanquantile(values, [0.025, 0.975])
            assert (found["low"], found["high"]) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_probe_aucs_equal_scikit_learns(archive):
    records = archive[1]
    (one,) = [
        answered
        for answered in probe_archive("toy", *archive, probe_params(kinds=["logistic"]), evaluation_params(), 1)
        if (answered.task, answered.condition["leads"], answered.condition["share"]) == ("task", "I", 1.0)
    ]
    assert set(records["split"][one.rows.tolist()]) == {"test"}
    expected = roc_auc_score(one.labels[:, 0], one.answers[0, :, 0])
    scores, _ = scored(archive, kinds=["logistic"])
    assert scores.filter(code="CLASS", leads="I", share=1.0)["value"].item() == pytest.approx(expected)


def test_an_archive_without_tested_records_is_said_and_one_without_training_records_is_constant(archive):
    features, records, targets, codes = archive
    for split, replaced in (("test", "train"), ("train", "valid")):
        moved = records.with_columns(pl.col("split").replace(split, replaced))
        answers = probe_archive("toy", features, moved, targets, codes, probe_params(), evaluation_params(), 1)
        if split == "test":
            with pytest.raises(UserError, match="no labelled record in test"):
                list(answers)
        else:
            scores, _ = score_probes(answers)
            values = scores.filter(dataset="task", metric=MACRO)
            assert set(values["value"]) == {0.5}
            assert set(values["train_records"]) == {0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": []}, "at least 1"),
        ({"kinds": ["paper", "paper"]}, "named twice"),
        ({"kinds": ["linear"]}, "'paper', 'standardized', 'logistic' or 'merl_code'"),
        ({"draws": 0}, "greater than or equal to 1"),
        ({"shares": [0.0]}, "greater than 0"),
        ({"shares": [1.0, 1.0]}, "named twice"),
        ({"logistic_c": [-1.0]}, "greater than 0"),
        ({"logistic_c": []}, "at least 1"),
    ],
)
def test_senseless_parameters_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        probe_params(**changes)
