import math

import pytest
import torch
import torch.nn.functional as F

from kmerl.methods.merl import unimodal_loss
from kmerl.methods.simclr import views_loss
from kmerl.model.losses import contrastive_loss, query_loss
from kmerl.model.params import ContrastParams

TEMPERATURE = 0.07


def loss_params(**changes):
    values = {
        "contrastive": "symmetric",
        "temperature": TEMPERATURE,
        "duplicates": "negative",
        "contrastive_weight": 1.0,
    }
    return ContrastParams(**(values | changes))


def pairs(n=6, seed=0):
    torch.manual_seed(seed)
    return F.normalize(torch.randn(n, 5), dim=1).double(), F.normalize(torch.randn(n, 5), dim=1).double()


def naive(ecg, text, reports, form, duplicates):
    """Eq. 4 and its symmetric reading, term by term."""

    def direction(a, b):
        total = 0.0
        for i in range(len(a)):
            score = [float(a[i] @ b[k]) / TEMPERATURE for k in range(len(b))]
            same = [k for k in range(len(b)) if reports[k] == reports[i]]
            positives = same if duplicates == "positive" else [i]
            left_out = set(same) - {i} if duplicates == "masked" else set()
            if form == "paper_eq4":
                left_out |= set(positives)
            normalizer = math.log(sum(math.exp(s) for k, s in enumerate(score) if k not in left_out))
            total += sum(normalizer - score[k] for k in positives) / len(positives)
        return total / len(a)

    return direction(ecg, text) if form == "paper_eq4" else (direction(ecg, text) + direction(text, ecg)) / 2


@pytest.mark.parametrize("form", ["symmetric", "paper_eq4"])
@pytest.mark.parametrize("duplicates", ["negative", "masked", "positive"])
def test_the_loss_equals_a_naive_loop(form, duplicates):
    ecg, text = pairs()
    reports = torch.tensor([0, 1, 2, 1, 3, 0])
    value = contrastive_loss(ecg, text, reports, loss_params(contrastive=form, duplicates=duplicates))
    assert float(value) == pytest.approx(naive(ecg, text, reports.tolist(), form, duplicates))


def test_the_symmetric_loss_is_cross_entropy_both_ways():
    ecg, text = pairs()
    logits, target = ecg @ text.T / TEMPERATURE, torch.arange(6)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    assert float(contrastive_loss(ecg, text, target, loss_params())) == pytest.approx(float(expected))


@pytest.mark.parametrize("duplicates", ["masked", "positive"])
@pytest.mark.parametrize("form", ["symmetric", "paper_eq4"])
def test_a_batch_of_one_report_gives_a_finite_loss_and_gradient(form, duplicates):
    ecg, text = pairs()
    ecg.requires_grad_()
    params = loss_params(contrastive=form, duplicates=duplicates)
    loss = contrastive_loss(ecg, text, torch.zeros(6, dtype=torch.long), params)
    loss.backward()
    assert loss.isfinite() and ecg.grad.isfinite().all()


def test_distinct_reports_give_the_same_loss_however_duplicates_are_treated():
    ecg, text = pairs()
    values = {
        float(contrastive_loss(ecg, text, torch.arange(6), loss_params(duplicates=d)))
        for d in ("negative", "masked", "positive")
    }
    assert max(values) - min(values) < 1e-12


def test_the_query_loss_is_averaged_over_records_and_queries():
    logits, labels = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[1, 0], [0, 1]])
    assert float(query_loss(logits, labels)) == pytest.approx(math.log(2))


def test_the_unimodal_loss_of_two_ecgs_by_hand():
    """Views at right angles but for the first pair, which is alike: cosines 1, 0, 0, 0."""
    one, other = torch.eye(4)[[0, 1]], torch.eye(4)[[0, 2]]
    first = math.log(1 + math.exp(-1 / 0.5))  # -log of e^2 / (e^2 + e^0), both ways
    second = math.log(2)
    assert float(unimodal_loss(one, other, 0.5)) == pytest.approx((first + second) / 2)


def test_the_unimodal_loss_is_the_contrast_of_distinct_reports():
    one, other = pairs()
    expected = contrastive_loss(one, other, torch.arange(6), loss_params())
    assert float(unimodal_loss(one, other, TEMPERATURE)) == pytest.approx(float(expected))


def test_the_loss_between_views_equals_simclrs_equation_view_by_view():
    one, other = pairs()
    views = torch.cat([one, other])
    score = (views @ views.T / TEMPERATURE).exp()
    each = []
    for i in range(12):
        against = sum(score[i, k] for k in range(12) if k != i)
        each.append(-torch.log(score[i, (i + 6) % 12] / against))
    assert float(views_loss(one, other, TEMPERATURE)) == pytest.approx(float(sum(each) / 12))
