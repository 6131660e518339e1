"""AUC of many classes at once."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    rank_sum = np.where(labels, _ranks(scores), 0.0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return area


def _ranks(scores: NDArray[np.floating]) -> Floats:
    """Ranks from 1 in each column of (n, C), ties sharing their mean; a column with a NaN has none.

    As ``scipy.stats.rankdata``, which takes longer to import than most stages take to run.
    """
    ranks = np.empty(scores.shape, np.float64)
    for column, rank in zip(scores.T, ranks.T, strict=True):
        ordered = np.sort(column)
        rank[:] = (np.searchsorted(ordered, column, "left") + np.searchsorted(ordered, column, "right") + 1) / 2
    ranks[:, np.isnan(scores).any(0)] = np.nan
    return ranks


def macro(per_class: Floats, keep: NDArray[np.bool_]) -> Floats:
    """Mean over the kept classes along the last axis, classes without an AUC left out; NaN if none remains."""
    kept = per_class[..., keep]
    present = ~np.isnan(kept)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(present, kept, 0.0).sum(-1) / present.sum(-1)
    return mean
