"""Intervals around a score, from what it is under each resample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A value with its bootstrap interval."""

    value: float
    low: float
    high: float


def interval(value: float, resampled: NDArray[np.floating], confidence: float) -> Estimate:
    """Percentile interval around ``value`` from its resampled counterparts; NaN ones are left out."""
    usable = resampled[~np.isnan(resampled)]
    if not len(usable):
        return Estimate(value, float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(usable, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
