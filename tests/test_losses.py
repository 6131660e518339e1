import math

import pytest
import torch
import torch.nn.functional as F

from kmerl.methods.merl import unimodal_loss
from kmerl.methods.simclr import views_loss
from kmerl.model.losses import RAREST, contrastive_loss, query_loss
from kmerl.model.params import ContrastParams, QueryParams
from kmerl.model.query import QueryNetwork

TEMPERATURE = 0.07


def loss_params(**changes):
    values = {
        "contrastive": "symmetric",
        "temperature": TEMPERATURE,
        "duplicates": "negative",
        "gather": "with_gradient",
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


def test_the_sum_over_queries_is_their_mean_as_often_as_there_are_queries():
    logits, labels = torch.randn(4, 5), torch.randint(0, 2, (4, 5))
    assert float(query_loss(logits, labels, "sum")) == pytest.approx(5 * float(query_loss(logits, labels)), rel=1e-6)


def labelled(*positives, records=1000):
    """Labels of as many queries, the first records of each positive, and the shares of these."""
    labels = (torch.arange(records)[:, None] < torch.tensor(positives)).long()
    return labels, labels.float().mean(0)


def test_positives_and_negatives_of_a_query_weigh_alike_over_the_training_records():
    """So that over all of them nothing is gained by moving a constant answer away from even odds."""
    labels, shares = labelled(1, 20, 500, 999)
    constant = torch.zeros(4, requires_grad=True)
    loss = query_loss(constant.expand_as(labels), labels, "balanced", shares)
    (gradient,) = torch.autograd.grad(loss, constant)
    assert float(loss.detach()) == pytest.approx(math.log(2), rel=1e-5) and gradient.abs().max() < 1e-6
    (plain,) = torch.autograd.grad(query_loss(constant.expand_as(labels), labels), constant)
    assert plain.abs().max() > 0.1


def test_the_balanced_loss_of_even_shares_is_the_mean_and_its_weights_depend_on_no_batch():
    labels, _ = labelled(3, 5, 1, records=8)
    logits, even = torch.randn(8, 3), torch.full((3,), 0.5)
    whole = query_loss(logits, labels, "balanced", even)
    assert float(whole) == pytest.approx(float(query_loss(logits, labels)), rel=1e-6)
    shares = torch.tensor([0.01, 0.3, 0.9])
    parts = [query_loss(logits[rows], labels[rows], "balanced", shares) for rows in (slice(4), slice(4, 8))]
    assert float(sum(parts)) / 2 == pytest.approx(float(query_loss(logits, labels, "balanced", shares)), rel=1e-6)


def test_a_query_with_hardly_a_positive_stays_finite():
    labels = torch.tensor([[1, 0, 1]])
    logits = torch.zeros(1, 3, requires_grad=True)
    query_loss(logits, labels, "balanced", torch.tensor([0.0, 0.0, 1.0])).backward()
    assert logits.grad.tolist()[0] == pytest.approx([-0.25 / RAREST / 3, 0.25 / 3, -0.25 / 3], rel=1e-2)


LABELS = (torch.arange(12).reshape(4, 3) % 5 == 0).long()
COMPUTED = {
    "symmetric": lambda one, other: contrastive_loss(one, other, torch.tensor([0, 1, 1, 2]), loss_params()),
    "paper_eq4": lambda one, other: contrastive_loss(
        one, other, torch.arange(4), loss_params(contrastive="paper_eq4", duplicates="masked")
    ),
    "unimodal": lambda one, other: unimodal_loss(one, other, TEMPERATURE),
    "views": lambda one, other: views_loss(one, other, TEMPERATURE),
    "balanced": lambda one, other: query_loss(one, LABELS[:, [0, 1, 2, 0, 1]], "balanced", torch.full((5,), 0.1)),
}


def close_pairs():
    """Pairs at a cosine of about 0.99, where single precision is needed most."""
    torch.manual_seed(3)
    one = F.normalize(torch.randn(4, 5), dim=1)
    return [x.requires_grad_() for x in (one, F.normalize(one + 0.06 * torch.randn(4, 5), dim=1))]


@pytest.mark.parametrize("loss", ["symmetric", "paper_eq4", "unimodal", "views", "balanced"])
def test_autocast_changes_neither_a_loss_nor_its_gradient(loss):
    found = []
    for half in (False, True):
        vectors = close_pairs()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = COMPUTED[loss](*vectors)
        value.backward()
        found.append([value.detach(), *(x.grad for x in vectors if x.grad is not None)])
    assert found[0][0].dtype == torch.float32 and len(found[0]) > 1
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("loss", ["symmetric", "unimodal", "views", "balanced"])
def test_a_loss_of_half_precision_is_computed_in_single(loss):
    half = [x.detach().bfloat16().requires_grad_() for x in close_pairs()]
    single = [x.detach().float().requires_grad_() for x in half]
    values = [COMPUTED[loss](*vectors) for vectors in (half, single)]
    assert torch.equal(*values)
    for value in values:
        value.backward()
    assert torch.equal(half[0].grad, single[0].grad.bfloat16())


def test_the_query_networks_residual_stream_and_classifier_are_in_single_precision():
    torch.manual_seed(0)
    sizes = {"width": 8, "depth": 2, "heads": 2, "head_dim": 4, "feed_forward": 16, "dropout": 0.0}
    network = QueryNetwork(QueryParams(**sizes, self_attention=True), text_width=6, ecg_width=8)
    tokens, queries, seen = torch.randn(3, 7, 8), torch.randn(5, 6), []
    for layer in network.layers:
        layer.register_forward_hook(lambda _, inward, out: seen.extend([inward[0].dtype, out.dtype]))
    plain = network(tokens, queries)
    with torch.autocast("cpu", torch.bfloat16):
        even = network(tokens, queries)
        with torch.no_grad():
            network.classify.bias -= 7  # the usual logit of a rare class
        rare = network(tokens, queries)
    assert {*seen} == {torch.float32} and even.dtype == torch.float32
    assert torch.allclose(even, plain, atol=0.02)
    assert torch.allclose(rare + 7, even, atol=1e-5)  # bfloat16 would round it by 0.03


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
