"""Linear probes on frozen features: all heads of a task are one linear layer (paper App. D.3, Table 4)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.errors import UserError
from kmerl.evaluation.auc import auc
from kmerl.evaluations.linear_probe import Kind, LinearProbeParams
from kmerl.evaluations.linear_probe.logistic import fit_logistic
from kmerl.randomness import generator

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Judge = Callable[[Tensor], float]
"""Weights (D + 1, H) -> how good they are; NaN if that cannot be told."""
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # of Adam
MILESTONE = 40  # of MERL's released code: meant as epochs, counted in batches


@dataclass(frozen=True)
class Task:
    """The records of one task: those that have a label in it.

    Attributes:
        name: of the task.
        codes: (C,) of its classes.
        rows: (n,) rows of the archive's store, ascending.
        labels: (n, C).
        splits: (n,) train, valid or test.
    """

    name: str
    codes: list[str]
    rows: NDArray[np.int64]
    labels: Bools
    splits: NDArray[np.str_]

    def within(self, splits: Sequence[str]) -> NDArray[np.int64]:
        """Which of ``rows`` are in one of ``splits``."""
        return np.flatnonzero(np.isin(self.splits, list(splits)))


@dataclass(frozen=True)
class Examples:
    """Features (n, D) and labels (n, C) of some records."""

    features: Floats
    labels: Bools


def read_task(name: str, codes: Sequence[str], records: pl.DataFrame, targets: pl.DataFrame) -> Task:
    """A task's records and labels by name.

    Args:
        name: of the task.
        codes: of its classes.
        records: record_id and split of every row of the store.
        targets: record_id, task, code of every positive label; without a code for a record that has none in a task.

    Raises:
        UserError: a label is none of the classes.
    """
    column = {code: c for c, code in enumerate(codes)}
    indexed = records.select("record_id").with_row_index("place")
    members = targets.filter(pl.col("task") == name).join(indexed, on="record_id")
    own = members.drop_nulls("code")
    unknown = sorted({*own["code"]} - {*codes})
    if unknown:
        raise UserError(f"label {unknown[0]!r} is no class of task {name}; run catalogue again")
    labels = np.zeros((len(records), len(codes)), bool)
    labels[own["place"].to_numpy(), [column[code] for code in own["code"]]] = True
    rows = np.unique(members["place"].to_numpy())
    return Task(name, list(codes), rows, labels[rows], records["split"].fill_null("none").to_numpy().astype(str)[rows])


def draw_share(n: int, share: float, seed: int, *names: object) -> NDArray[np.int64]:
    """Which of ``n`` training records a share holds: nested, two at least, ascending.

    Records are drawn (as in MERL's code), not patients; the draw depends on the seed and ``names`` alone.
    """
    order = generator(seed, "linear probe", "share", *names).permutation(n)
    return np.sort(order[: min(n, max(2, round(share * n)))])


def learnable(labels: Bools) -> Bools:
    """(C,) whether a class has both positives and negatives among the training labels (n, C)."""
    return np.asarray(labels.any(0) & ~labels.all(0))


def standardizer(features: Floats) -> tuple[Floats, Floats]:
    """Mean and inverse deviation of each feature (D,); a constant feature's inverse is zero."""
    wide = features.astype(np.float64)
    mean, deviation = wide.mean(0), wide.std(0)
    varies = deviation > 1e-6 * np.abs(mean)
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    return mean.astype(np.float32), inverse.astype(np.float32)


def probe(
    train: Examples,
    valid: Examples,
    test: Examples,
    params: LinearProbeParams,
    kind: Kind,
    rng: np.random.Generator,
) -> Floats:
    """Logits (n, C) of the test records from a probe that learnt from ``train``.

    A class without positives or without negatives in ``train`` cannot be learnt: its logits are zero for every record,
    so that its AUC is 0.5.

    Args:
        train: of one share.
        valid: for choosing the epoch or the penalty.
        test: what to answer; its labels count only with ``merl_code``, which chooses the epoch by them.
        params: the section ``linear_probe``.
        kind: which classifier.
        rng: orders the batches.
    """
    answers = np.zeros((len(test.features), train.labels.shape[1]), np.float32)
    can = learnable(train.labels) if len(train.features) else np.zeros(train.labels.shape[1], bool)
    if not can.any() or not len(test.features):
        return answers
    mean, inverse = standardizer(train.features)
    if kind not in ("standardized", "logistic"):
        mean, inverse = np.zeros_like(mean), np.ones_like(inverse)

    def inputs(examples: Examples) -> Tensor:
        ones = np.ones((len(examples.features), 1), np.float32)
        return torch.from_numpy(np.concatenate([(examples.features - mean) * inverse, ones], 1))

    x, y = inputs(train), torch.from_numpy(train.labels[:, can]).float()
    chosen_on = test if kind == "merl_code" else valid
    judge = judge_by(inputs(chosen_on), chosen_on.labels[:, can])
    if kind == "logistic":
        weights = choose(list(fit_logistic(x[:, :-1].double(), y.double(), sorted(params.logistic_c)).float()), judge)
    elif kind == "merl_code":
        weights = fit_merl_code(x, y, params, rng, judge)
    else:
        weights = fit_paper(x, y, params, rng, judge if params.select == "best" else None)
    answers[:, can] = (inputs(test) @ weights).numpy()
    return answers


def judge_by(inputs: Tensor, labels: Bools) -> Judge:
    """Macro AUC over the classes of ``labels`` that have both kinds."""

    def judge(weights: Tensor) -> float:
        areas = auc((inputs @ weights).numpy(), labels)
        return float(np.nanmean(areas)) if not np.isnan(areas).all() else math.nan

    return judge


def choose(candidates: Sequence[Tensor], judge: Judge) -> Tensor:
    """The best candidate; the first of equal ones, and where nothing can be told."""
    values = [judge(weights) for weights in candidates]
    best = max(range(len(values)), key=lambda i: (-math.inf if math.isnan(values[i]) else values[i], -i))
    return candidates[best]


def fit_paper(
    inputs: Tensor, labels: Tensor, params: LinearProbeParams, rng: np.random.Generator, judge: Judge | None
) -> Tensor:
    """AdamW with linear warm-up and a cosine to zero over all steps, from zero weights.

    Args:
        inputs: (n, D + 1), the last column ones.
        labels: (n, H).
        params: learning rate, weight decay, batch, epochs, warm-up.
        rng: orders the batches.
        judge: picks the best epoch; None takes the last.

    Returns:
        (D + 1, H). The loss is the mean over records of the sum over heads: each head learns as if it were alone.
    """
    weights = torch.zeros(inputs.shape[1], labels.shape[1])
    steps = params.epochs * math.ceil(len(inputs) / params.batch)

    def rate(step: int, epoch: int) -> float:
        if step < params.warmup_steps:
            return params.learning_rate * (step + 1) / params.warmup_steps
        progress = (step - params.warmup_steps) / max(1, steps - params.warmup_steps)
        return params.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    return _descend(weights, True, rate, 1, inputs, labels, params, rng, judge)


def fit_merl_code(
    inputs: Tensor, labels: Tensor, params: LinearProbeParams, rng: np.random.Generator, judge: Judge
) -> Tensor:
    """As MERL's released code: Adam, a tenth of the rate after 40 batches or so, the best of all epochs.

    Its scheduler, with a milestone at epoch 40, steps once per batch and once more per epoch; its best epoch is chosen
    on test. Both are mistakes, kept for comparison. Arguments and result as :func:`fit_paper`, but the loss is the
    mean over heads.
    """
    weights = torch.zeros(inputs.shape[1], labels.shape[1])

    def rate(step: int, epoch: int) -> float:
        return params.learning_rate * (0.1 if step + epoch >= MILESTONE else 1)

    return _descend(weights, False, rate, labels.shape[1], inputs, labels, params, rng, judge)


def _descend(
    weights: Tensor,
    decoupled: bool,
    rate: Callable[[int, int], float],
    divisor: int,
    inputs: Tensor,
    labels: Tensor,
    params: LinearProbeParams,
    rng: np.random.Generator,
    judge: Judge | None,
) -> Tensor:
    """Epochs of binary cross-entropy under AdamW, or Adam where the decay is not ``decoupled`` from the gradient.

    Gradient and steps are written out: at this size autograd and an optimiser object take several times as long.
    """
    best, best_value, step = weights, -math.inf, 0
    mean, square = torch.zeros_like(weights), torch.zeros_like(weights)
    for epoch in range(params.epochs):
        order = torch.from_numpy(rng.permutation(len(inputs)))
        x, y = inputs[order], labels[order]
        for xb, yb in zip(x.split(params.batch), y.split(params.batch), strict=True):
            gradient = xb.T @ torch.sigmoid(xb @ weights).sub_(yb).div_(len(xb) * divisor)
            now, step = rate(step, epoch), step + 1
            if decoupled:
                weights.mul_(1 - now * params.weight_decay)
            else:
                gradient.add_(weights, alpha=params.weight_decay)
            mean.lerp_(gradient, 1 - _BETAS[0])
            square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
            deviation = square.sqrt().div_(math.sqrt(1 - _BETAS[1] ** step)).add_(_EPSILON)
            weights.addcdiv_(mean, deviation, value=-now / (1 - _BETAS[0] ** step))
        value = judge(weights) if judge else math.nan
        if judge and (value > best_value or epoch == 0):
            best, best_value = weights.clone(), -math.inf if math.isnan(value) else value
    return best if judge else weights
