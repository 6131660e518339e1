"""Bootstrap intervals that resample patients, and the AUC of many classes in every resample at once."""

import numpy as np
from numpy.typing import NDArray

from kmerl.evaluation.auc import Floats
from kmerl.randomness import generator

Weights = NDArray[np.uint16]
_AT_ONCE = 1_000_000  # weights at work on at a time: they stay in the processor's cache


def _by_record(weights: Weights | Floats) -> NDArray[np.float32]:
    """(R, n) -> (n, R): a record's weights lie together. Whole numbers below 2**24 are exact in float32."""
    return np.ascontiguousarray(weights.T, dtype=np.float32)


def _areas(scores: NDArray[np.floating], labels: NDArray[np.bool_], weights: NDArray[np.float32]) -> Floats:
    """(R,) AUC of one class for weights (n, R): the weight of the negatives below each positive, summed."""
    positive, negative = np.flatnonzero(labels), np.flatnonzero(~labels)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.zeros((len(negative) + 1, weights.shape[1]), np.float32)  # weight of the first k negatives
    np.cumsum(weights[negative], axis=0, out=below[1:])
    ordered, own = scores[negative], weights[positive]
    won = below[np.searchsorted(ordered, scores[positive], "left")]
    won += below[np.searchsorted(ordered, scores[positive], "right")]  # twice, so that ties stay whole numbers
    won *= own
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = won.sum(0, dtype=np.float64) / (2 * own.sum(0, dtype=np.float64) * below[-1])
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
    """(R, C) AUC of every class in every resample; the resamples are the same for all classes.

    Args:
        scores: (n, C).
        labels: (n, C).
        weights: (R, n) from :func:`resample`.
    """
    parts = [_by_record(part) for part in np.array_split(weights, max(1, -(-weights.size // _AT_ONCE)))]
    areas = [[_areas(scores[:, c], labels[:, c], part) for part in parts] for c in range(scores.shape[1])]
    return np.stack([np.concatenate(area) for area in areas], axis=1)


def patient_weights(patients: NDArray[np.str_], repeats: int, seed: int, *names: object) -> Weights:
    """:func:`resample` with a generator named after what is resampled."""
    return resample(patients, repeats, generator(seed, "bootstrap", *names))
