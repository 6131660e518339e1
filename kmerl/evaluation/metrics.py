"""AUC of many classes at once, and bootstrap intervals that resample patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from kmerl.randomness import generator

Floats = NDArray[np.float64]
Weights = NDArray[np.uint16]
_AT_ONCE = 1_000_000  # weights turned to floating point at a time: bounds memory on large test sets


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


def auc(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> Floats:
    """Area under the ROC curve of every class; ties count half.

    Args:
        scores: (n, C).
        labels: (n, C) True where positive.

    Returns:
        (C,), NaN for a class without positives or without negatives.
    """
    positives = labels.sum(0).astype(np.float64)
    negatives = len(labels) - positives
    rank_sum = np.where(labels, rankdata(scores, axis=0), 0.0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return area


def weighted_auc(scores: NDArray[np.floating], labels: NDArray[np.bool_], weights: Weights | Floats) -> Floats:
    """AUC of one class under many weightings of its records.

    Args:
        scores: (n,).
        labels: (n,).
        weights: (R, n), how often each record counts in each of R resamples.

    Returns:
        (R,), NaN where a resample has only one kind.
    """
    order = np.argsort(scores, kind="stable")
    ordered = weights[:, order].astype(np.float64)
    positive = np.where(labels[order], ordered, 0.0)
    negative = ordered - positive
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) > 0])  # first record of each run of ties
    tied_positive = np.add.reduceat(positive, starts, axis=1)
    tied_negative = np.add.reduceat(negative, starts, axis=1)
    below = np.cumsum(tied_negative, axis=1) - tied_negative
    wins = (tied_positive * (below + tied_negative / 2)).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = wins / (positive.sum(1) * negative.sum(1))
    return area


def resample(groups: NDArray[np.str_], repeats: int, rng: np.random.Generator) -> Weights:
    """Bootstrap weights: whole groups (patients) are drawn with replacement.

    Args:
        groups: (n,) the group of each record.
        repeats: R.
        rng: the source of the draws.

    Returns:
        (R, n) how often each record was drawn.
    """
    names, member = np.unique(groups, return_inverse=True)
    draws = rng.integers(0, len(names), size=(repeats, len(names)))
    counts = np.zeros((repeats, len(names)), dtype=np.uint16)
    np.add.at(counts, (np.arange(repeats)[:, None], draws), 1)
    return counts[:, member]


def bootstrap_auc(scores: NDArray[np.floating], labels: NDArray[np.bool_], weights: Weights) -> Floats:
    """(R, C) AUC of every class in every resample; the resamples are the same for all classes."""
    parts = np.array_split(weights, -(-weights.size // _AT_ONCE))
    classes = range(scores.shape[1])
    return np.concatenate(
        [np.stack([weighted_auc(scores[:, c], labels[:, c], part) for c in classes], axis=1) for part in parts]
    )


def interval(value: float, resampled: Floats, confidence: float) -> Estimate:
    """Percentile interval around ``value`` from its resampled counterparts; NaN ones are left out."""
    usable = resampled[~np.isnan(resampled)]
    if not len(usable):
        return Estimate(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def macro(per_class: Floats, keep: NDArray[np.bool_]) -> Floats:
    """Mean over the kept classes along the last axis, classes without an AUC left out; NaN if none remains."""
    kept = per_class[..., keep]
    present = ~np.isnan(kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(present, kept, 0.0).sum(-1) / present.sum(-1)
    return mean


def patient_weights(patients: NDArray[np.str_], repeats: int, seed: int, *names: object) -> Weights:
    """:func:`resample` with a generator named after what is resampled."""
    return resample(patients, repeats, generator(seed, "bootstrap", *names))
