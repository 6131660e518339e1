"""Flaws that a signal shows by its shape: stretches that stay at one value, and what only a wrong name explains."""

import numpy as np
from numpy.typing import NDArray

_FLAT_TOP, _TOPS, _CLIPPED = 0.01, 3, 0.01  # s at the extreme in one go; how many such tops; their share of samples
_FAR = 0.25  # of the range: a clipped extreme is at least so far from the median


def stretches(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Lengths of the unbroken stretches of marks (S,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(np.int8), [0]])))
    return edges[1::2] - edges[::2]


def flat_top(fs: float) -> int:
    """Samples at an extreme in one go that make a flat top, at a sampling rate in Hz."""
    return max(3, round(_FLAT_TOP * fs))


def is_clipped(lead: NDArray[np.floating] | NDArray[np.int16], fs: float) -> bool:
    """Whether a lead (S,) stays at an extreme again and again, as an overdriven amplifier does."""
    low, high = float(lead.min()), float(lead.max())
    middle, least = float(np.median(lead)), flat_top(fs)
    for extreme in (low, high):
        tops = stretches(lead == extreme)
        tops = tops[tops >= least]  # one alone is the held value at the end of many records
        far = abs(extreme - middle) > _FAR * (high - low)
        if far and len(tops) >= _TOPS and tops.sum() > _CLIPPED * lead.size:
            return True
    return False


def may_be_clipped(
    leads: NDArray[np.int16], rows: NDArray[np.intp], low: NDArray[np.int16], high: NDArray[np.int16], fs: float
) -> NDArray[np.bool_]:
    """Which rows of (L, S) have to be asked :func:`is_clipped`, by the extremes (L,) of all.

    One sample in ``flat_top`` is looked at, so each flat top is met.
    """
    thinned = leads[rows, :: flat_top(fs)]
    tops = [(thinned == extreme[rows, None]).sum(axis=1, dtype=np.uint32) >= _TOPS for extreme in (low, high)]
    return np.asarray(tops[0] | tops[1])


def longest_constant(lead: NDArray[np.int16]) -> int:
    """Samples in the longest stretch of a lead (S,) in which nothing changes."""
    same = stretches(lead[1:] == lead[:-1])
    return int(same.max()) + 1 if same.size else 1


def may_stand_still(leads: NDArray[np.int16], samples: int) -> NDArray[np.bool_]:
    """(L,) False where no stretch of ``samples`` without a change can be in (L, S), by looking at one in a tenth."""
    step = max(1, samples // 10)
    thinned = np.ascontiguousarray(leads[:, ::step])
    same = thinned[:, 1:] == thinned[:, :-1]
    return np.asarray(same.sum(axis=1, dtype=np.uint32) >= samples // step - 1)
