"""Which leads of a record a flag is about, as far as the index and the drawn waveform tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmerl.leads import LEADS
from kmerl.preprocessing import flaws

WHOLE = frozenset({"checksum", "cropped", "padded", "resampled", "small_amplitude", "unknown_code"})
"""Flags that are about a record as a whole."""
_STILL = 1.0  # s
_FAR = 20.0  # mV
_SUMS = ((0, 1, 2), (1, -1, 1)), ((3, 4, 5), (1, 1, 1))  # leads and signs of sums that vanish (Einthoven, Goldberger)


@dataclass(frozen=True)
class Recorded:
    """One record of the store, its leads in the order of ``LEADS``.

    Attributes:
        flags: of the record.
        signal: (12, S) mV without padding; zeros for leads not in use.
        fs: samples per second.
        present: (12,) whether a lead is in use.
        zeros, nans: (12,) samples of exactly 0 mV and without a value, before any repair.
        minimum, maximum, mean: (12,) mV; NaN for leads not in use.
    """

    flags: tuple[str, ...]
    signal: NDArray[np.float32]
    fs: int
    present: NDArray[np.bool_]
    zeros: NDArray[np.int32]
    nans: NDArray[np.int32]
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    mean: NDArray[np.float32]


def marks(flag: str, record: Recorded) -> dict[str, str]:
    """The leads that a flag is about, each with a few words; empty if that cannot be told, or if it is about all."""
    find = _FINDERS.get(flag)
    return {LEADS[row]: words for row, words in sorted(find(record).items())} if find else {}


def _nan_lead(record: Recorded) -> dict[int, str]:
    return {row: f"{record.nans[row]:,} samples missing" for row in _rows(~record.present & (record.nans > 0))}


def _nan_repaired(record: Recorded) -> dict[int, str]:
    return {row: f"{record.nans[row]:,} samples mended" for row in _rows(record.present & (record.nans > 0))}


def _flat_lead(record: Recorded) -> dict[int, str]:
    absent = ~record.present & (record.nans == 0)
    zero = absent & (record.zeros > 0)
    # one that is flat at another value looks like one that was not recorded
    alone = not {"missing_lead", "repeated_lead"} & set(record.flags)
    return dict.fromkeys(_rows(absent if alone else zero), "flat")


def _missing_lead(record: Recorded) -> dict[int, str]:
    absent = ~record.present & (record.nans == 0) & (record.zeros == 0)
    alone = not {"flat_lead", "repeated_lead"} & set(record.flags)
    return dict.fromkeys(_rows(absent), "not in the file") if alone else {}


def _repeated_lead(record: Recorded) -> dict[int, str]:
    absent = ~record.present & (record.nans == 0) & (record.zeros == 0)
    alone = not {"flat_lead", "missing_lead"} & set(record.flags)
    return dict.fromkeys(_rows(absent), "there twice, with other samples") if alone else {}


def _large_amplitude(record: Recorded) -> dict[int, str]:
    """The lead that goes farthest."""
    reach = np.maximum(record.maximum - record.mean, record.mean - record.minimum)
    row = int(np.nanargmax(np.where(record.present, reach, -1)))
    return {row: f"{reach[row]:.1f} mV from its mean"} if record.present[row] else {}


def _large_offset(record: Recorded) -> dict[int, str]:
    means = np.where(record.present, record.mean, 0)
    return {row: f"a mean of {means[row]:.0f} mV" for row in _rows(np.abs(means) > _FAR)}


def _clipped_lead(record: Recorded) -> dict[int, str]:
    found = [row for row in _rows(record.present) if flaws.is_clipped(record.signal[row], record.fs)]
    ends = {row: f"from {record.minimum[row]:.2f} to {record.maximum[row]:.2f} mV" for row in found}
    return {row: words.replace("-", "−") for row, words in ends.items()}


def _flat_part(record: Recorded) -> dict[int, str]:
    still = {row: flaws.longest_constant(record.signal[row]) / record.fs for row in _rows(record.present)}
    return {row: f"no change for {seconds:.1f} s" for row, seconds in still.items() if seconds >= _STILL}


def _limb_leads(record: Recorded) -> dict[int, str]:
    """The group of three whose sum is farthest from constant."""
    found: tuple[float, list[int]] = (0.0, [])
    for rows, signs in _SUMS:
        traces = record.signal[list(rows)].astype(np.float64)
        power = traces.var(axis=1).sum()
        if record.present[list(rows)].all() and power > 0:
            found = max(found, (float((np.array(signs) @ traces).var() / power), list(rows)))
    return dict.fromkeys(found[1], "")


def _rows(which: NDArray[np.bool_]) -> list[int]:
    return [int(row) for row in np.flatnonzero(which)]


_FINDERS: Mapping[str, Callable[[Recorded], dict[int, str]]] = {
    "nan_lead": _nan_lead,
    "nan_repaired": _nan_repaired,
    "flat_lead": _flat_lead,
    "missing_lead": _missing_lead,
    "repeated_lead": _repeated_lead,
    "large_amplitude": _large_amplitude,
    "large_offset": _large_offset,
    "clipped_lead": _clipped_lead,
    "flat_part": _flat_part,
    "limb_leads": _limb_leads,
}
