"""Penalised logistic regressions on the same features for many labels and penalties at once, exactly.

With more features than records all solutions lie in the span of the records, so the features are turned by their
singular vectors first (a penalty on the squared weights does not notice). There a diagonal bounds the curvature of
every regression, and accelerated steps scaled by it need a few dozen matrix products for all of them together.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_STEPS, _TOLERANCE = 2000, 1e-5


def fit_logistic(features: Tensor, labels: Tensor, strengths: Sequence[float]) -> Tensor:
    """The minimum of ``|w|^2 / 2 + C * sum of logistic losses`` for each label and each C; the bias is not penalised.

    Args:
        features: (n, D), every column of mean zero.
        labels: (n, H) 0 or 1, with both kinds in every column.
        strengths: the values of C.

    Returns:
        (len(strengths), D + 1, H) weights, the bias in the last row.
    """
    heads = labels.shape[1]
    left, values, right = torch.linalg.svd(features, full_matrices=False)
    kept = values > values.amax() * 1e-5
    turned, right, values = left[:, kept] * values[kept], right[kept], values[kept]
    penalty = torch.tensor(strengths, dtype=features.dtype).reciprocal().repeat_interleave(heads)
    weights, bias = _minimize(turned, values, labels.repeat(1, len(strengths)), penalty)
    solution = torch.cat([right.T @ weights, bias[None]])
    return solution.reshape(len(solution), len(strengths), heads).transpose(0, 1)


def _minimize(turned: Tensor, values: Tensor, labels: Tensor, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Nesterov's accelerated gradient with restarts, every column on its own.

    Args:
        turned: (n, r) with orthogonal columns of lengths ``values``, orthogonal to the constant too.
        values: (r,).
        labels: (n, K).
        penalty: (K,) on half the squared weights.

    Returns:
        weights (r, K), bias (K,).
    """
    n = len(labels)
    basis = torch.cat([turned, turned.new_ones(n, 1)], 1)
    ridge = penalty.repeat(basis.shape[1], 1)
    ridge[-1] = 0
    curvature = torch.cat([values.square(), values.new_tensor([n])])[:, None] / 4 + ridge  # bound: p (1 - p) <= 1/4
    rate = labels.mean(0)
    now = torch.zeros_like(curvature)
    now[-1] = (rate / (1 - rate)).log()
    ahead, momentum = now, torch.ones_like(rate)
    for _ in range(_STEPS):
        gradient = basis.T @ (torch.sigmoid(basis @ ahead) - labels) + ridge * ahead
        after = ahead - gradient / curvature
        move = after - now
        turned_back = (gradient * move).sum(0) > 0
        grown = torch.where(turned_back, 1.0, (1 + (1 + 4 * momentum.square()).sqrt()) / 2)
        ahead = after + torch.where(turned_back, 0.0, (momentum - 1) / grown) * move
        now, momentum = after, grown
        # what a step still changes, in the unit of the answers
        if ((gradient.square() / curvature).sum(0) / n).sqrt().amax() < _TOLERANCE:
            break
    return now[:-1], now[-1]
