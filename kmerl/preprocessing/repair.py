"""From a record's samples as found to the twelve leads of the waveform store, with what was found and mended."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kmerl.archives.wfdb_format import MISSING, UNSTATED, RecordError, Recording, quantise
from kmerl.errors import UserError
from kmerl.leads import LEADS, canonical, derive_limb_leads
from kmerl.preprocessing import flaws
from kmerl.section import Section
from kmerl.shards import Waveform

_RATIO = 50  # rates further apart than this are a mangled header, not a sampling rate
_GAINS = (1e-2, 1e12)  # steps per mV; beyond them too
_LARGE, _SMALL = 20.0, 0.05  # mV: further from its mean no lead goes; less from peak to peak no record has in all leads
_ZERO = 1e4  # mV between 0 mV and the sample 0; beyond them too, and float32 would hold no more than 0.001 mV
_CLIPPING = 1.0  # mV from the mean, below which no amplifier clips
_STILL = 1.0  # s without a change, while the lead is not flat as a whole
_CONTRADICTION = 0.5  # of what unrelated leads would show
_THINNED = 10  # limb leads are compared in every tenth sample
_BITS = 1 << np.arange(len(LEADS), dtype=np.uint32)
_I, _II = 0, 1  # rows
_Some = list[int] | slice  # rows of leads, or of signals
_EVERY = slice(0, len(LEADS))  # twelve in the order of LEADS: no list, as numpy is slower with one
_SUMS = ((slice(0, 3), np.array([1, -1, 1])), (slice(3, 6), np.ones(3)))
"""Limb leads that add up to nothing with these signs: Einthoven's I - II + III, Goldberger's aVR + aVL + aVF."""


class WaveformParams(Section):
    """What a stored waveform is, and which records are good enough to be one."""

    fs: int = Field(ge=50, le=5000, description="sampling rate of the store, Hz (paper section 3.1: 500)")
    seconds: float = Field(gt=0, le=600, description="length of every stored waveform, s (paper section 3.1: 10)")
    min_seconds: float = Field(gt=0, le=600, description="shorter records are rejected, s; others are padded with 0 mV")
    min_leads: int = Field(ge=1, le=12, description="records with fewer usable leads are rejected")
    max_nan_share: float = Field(
        ge=0, lt=1, description="a lead with a larger share of missing samples is not used; others are interpolated"
    )
    derive_limb_leads: bool = Field(
        description="compute unusable III, aVR, aVL, aVF from I and II (Einthoven, Goldberger) instead of leaving out"
    )

    @property
    def samples(self) -> int:
        """S, the number of samples of a stored waveform."""
        return round(self.fs * self.seconds)


@dataclass
class _Leads:
    """Twelve leads in the order of ``LEADS`` on the way into the store; mV = (sample - baseline) / gain.

    Attributes:
        samples: (12, S); zeros for leads not present.
        gain: (12,) steps per mV.
        baseline: (12,) the sample that stands for 0 mV.
        present: (12,) whether a lead is in use.
        low, high: (12,) extremes.
        total, squares: (12,) sums of the samples and of their squares, exact.
    """

    samples: NDArray[np.int16]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    present: NDArray[np.bool_]
    low: NDArray[np.int16]
    high: NDArray[np.int16]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    @classmethod
    def none(cls, samples: NDArray[np.int16]) -> "_Leads":
        """No lead present."""
        ends, sums = np.zeros((2, len(LEADS)), np.int16), np.zeros((3, len(LEADS)))
        return cls(samples, np.ones(len(LEADS)), sums[0], np.zeros(len(LEADS), np.bool_), *ends, *sums[1:])

    def measure(self) -> None:
        """Work out extremes and sums."""
        self.low, self.high = self.samples.min(axis=1), self.samples.max(axis=1)
        values = self.samples.astype(np.float64)  # whole numbers below 2^53: sums are exact in any order
        self.total, self.squares = np.vecdot(values, _ones(values.shape[1])), np.vecdot(values, values)

    def drop(self, rows: NDArray[np.bool_]) -> None:
        """Use some leads no more."""
        self.samples[rows] = 0
        self.present &= ~rows

    def millivolts(self, row: int, step: int = 1) -> NDArray[np.float64]:
        """Every ``step``-th sample of one lead."""
        return np.asarray((self.samples[row, ::step] - self.baseline[row]) / self.gain[row])


def prepare(
    recording: Recording,
    params: WaveformParams,
    out: NDArray[np.int16] | None = None,
    crop_seconds: float | None = None,
) -> Waveform:
    """Crop or pad, resample, interpolate gaps, and leave out leads without a signal.

    A record at the target rate without gaps keeps its samples bit by bit. Flags:

    - length and rate: ``cropped``, ``padded``, ``resampled``;
    - leads mended: ``nan_repaired`` (gaps interpolated), ``derived_lead``;
    - leads left out: ``nan_lead`` (too many missing samples), ``flat_lead`` (constant), ``missing_lead`` (not
      recorded), ``unknown_lead`` (none of the twelve), ``repeated_lead`` (there twice: one is kept if both hold the
      same, else none);
    - doubtful, kept as they are: ``clipped_lead`` (:func:`~kmerl.preprocessing.flaws.is_clipped`, more than 1 mV from
      the mean), ``flat_part`` (no change for 1 s or more), ``large_amplitude`` (more than 20 mV from the mean),
      ``large_offset`` (a mean of more than 20 mV), ``small_amplitude`` (less than 0.05 mV from peak to peak in every
      lead), ``limb_leads`` (they contradict Einthoven's or Goldberger's relation, as swapped names do), ``checksum``
      (samples are not those that the header vouches for).

    Args:
        recording: as read.
        params: what a stored waveform is.
        out: (12, S) memory for the waveform's samples, if they are not to get their own.
        crop_seconds: s that are used of a longer record, the rest of the waveform padded.

    Raises:
        RecordError: ``unknown_lead``, ``repeated_lead``, ``unusable_rate``, ``unusable_gain``, ``unusable_baseline``,
            ``too_short`` or ``too_few_leads``.
    """
    length, flags = _length(recording, params, crop_seconds)
    as_recorded = recording.fs == params.fs
    shape = (len(LEADS), params.samples if as_recorded else length)
    memory = out if as_recorded and out is not None else np.empty(shape, np.int16)
    leads = _gather(recording, memory[:, :length], flags)
    zeros, nans = _mend(leads, params, flags)
    _doubt(leads, recording.fs, flags)
    if not as_recorded:
        memory = _resample(leads, recording.fs, params, out)
    if params.derive_limb_leads and _derive(leads):
        flags.add("derived_lead")
    usable = int(leads.present.sum())
    if usable < params.min_leads:
        raise RecordError(
            "too_few_leads", f"{usable} usable leads of {len(recording.leads)} ({', '.join(sorted(flags))})"
        )
    return _assemble(leads, memory, recording.fs, zeros, nans, flags)


def _length(recording: Recording, params: WaveformParams, crop_seconds: float | None) -> tuple[int, set[str]]:
    """How many samples are used, at the record's own rate, and the flags of its length and rate."""
    length = recording.samples.shape[1]
    if not 1 / _RATIO <= params.fs / recording.fs <= _RATIO:
        raise RecordError("unusable_rate", f"{recording.fs:g} Hz")
    if length < params.min_seconds * recording.fs:
        raise RecordError("too_short", f"{length / recording.fs:g} s, at least {params.min_seconds:g} s are needed")
    wanted = math.ceil(params.samples * recording.fs / params.fs)
    most = wanted if crop_seconds is None else min(wanted, max(1, round(crop_seconds * recording.fs)))
    flags = set()
    if length > most:
        flags.add("cropped")
    if min(length, most) < wanted:
        flags.add("padded")
    if recording.fs != params.fs:
        flags.add("resampled")
    return min(length, most), flags


@lru_cache(256)
def _places(names: tuple[str, ...]) -> dict[int, list[int]]:
    """Row of each lead that is there -> the signals that bear its name."""
    found: dict[int, list[int]] = {}
    for i, name in enumerate(names):
        try:
            found.setdefault(LEADS.index(canonical(name)), []).append(i)
        except UserError:
            continue
    return found


def _chosen(recording: Recording, flags: set[str]) -> tuple[_Some, _Some]:
    """Rows and signals of the leads that are there once, or more than once with the same samples."""
    places = _places(recording.leads)
    if len(places) == len(recording.leads) == len(LEADS):
        rows, signals = list(places), [signal for (signal,) in places.values()]
        return (_EVERY, _EVERY) if rows == signals else (rows, signals)
    if sum(map(len, places.values())) < len(recording.leads):
        flags.add("unknown_lead")
    if len(places) < len(LEADS):
        flags.add("missing_lead")
    if not places:
        names = ", ".join(map(repr, recording.leads))
        raise RecordError("unknown_lead", f"none of the twelve leads, but {names}"[:200])
    chosen = {}
    for row, (first, *others) in places.items():
        if others:
            flags.add("repeated_lead")
        if all(_same(recording, first, other) for other in others):
            chosen[row] = first
    if not chosen:
        raise RecordError("repeated_lead", f"leads {', '.join(recording.leads)}"[:200])
    return list(chosen), list(chosen.values())


def _same(recording: Recording, one: int, other: int) -> bool:
    stored = [(recording.gain[i], recording.baseline[i], recording.unit[i]) for i in (one, other)]
    return stored[0] == stored[1] and np.array_equal(recording.samples[one], recording.samples[other])


def _gather(recording: Recording, samples: NDArray[np.int16], flags: set[str]) -> _Leads:
    """The first samples of a record's leads in the order of ``LEADS``, compared with what its header says of them."""
    rows, signals = _chosen(recording, flags)
    leads = _Leads.none(samples)
    if isinstance(rows, list) and len(rows) < len(LEADS):
        samples[:] = 0
    samples[rows] = recording.samples[signals, : samples.shape[1]]
    leads.gain[rows] = recording.gain[signals] / recording.unit[signals]
    leads.baseline[rows] = recording.baseline[signals]
    leads.present[rows] = True
    steps = np.abs(leads.gain)
    usable = (steps >= _GAINS[0]) & (steps <= _GAINS[1]) & (np.abs(leads.baseline) <= _ZERO * steps)
    if not usable.all():
        row = int((~usable).argmax())
        gain, zero = leads.gain[row], leads.baseline[row]
        if _GAINS[0] <= abs(gain) <= _GAINS[1]:
            raise RecordError("unusable_baseline", f"lead {LEADS[row]}: sample {zero:g} is 0 mV")
        raise RecordError("unusable_gain", f"lead {LEADS[row]}: {gain:g} steps per mV")
    leads.measure()
    if not recording.vouched or not _vouched(recording, leads, rows, signals):
        flags.add("checksum")
    return leads


def _vouched(recording: Recording, leads: _Leads, rows: _Some, signals: _Some) -> bool:
    """Whether first samples and checksums are those of the header, as far as it states them."""
    if recording.first is not None:
        stated = recording.first[signals]
        if ((stated != recording.samples[signals, 0]) & (stated != UNSTATED)).any():
            return False
    if recording.checksum is None:
        return True
    stated, total = recording.checksum[signals], leads.total[rows].astype(np.int64)
    beyond = recording.samples[:, leads.samples.shape[1] :]
    if beyond.shape[1]:
        total += beyond[signals].sum(axis=1, dtype=np.int64)
    return not (((total - stated) % 65536 != 0) & (stated != UNSTATED)).any()


def _mend(leads: _Leads, params: WaveformParams, flags: set[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Interpolate gaps and leave out leads without a signal; the numbers of zeros and gaps there were."""
    whole = leads.present & (leads.baseline == np.rint(leads.baseline)) & (np.abs(leads.baseline) < -MISSING)
    zero = np.where(whole, leads.baseline, 0).astype(np.int16)
    zeros = np.add.reduce(leads.samples == zero[:, None], axis=1, dtype=_counting(leads.samples)).astype(np.int32)
    zeros *= whole
    nans = np.zeros(len(LEADS), np.int32)
    gaps = leads.present & (leads.low == MISSING)
    if gaps.any():
        missing = leads.samples == MISSING
        nans = missing.sum(axis=1, dtype=np.int32) * gaps
        lost = nans > params.max_nan_share * leads.samples.shape[1]
        if lost.any():
            flags.add("nan_lead")
            leads.drop(lost)
        for row in np.flatnonzero(gaps & leads.present):
            leads.samples[row] = _interpolate(leads.samples[row], missing[row])
            flags.add("nan_repaired")
        leads.measure()
    flat = leads.present & (leads.low == leads.high)
    if flat.any():
        flags.add("flat_lead")
        leads.drop(flat)
    return zeros, nans


def _interpolate(samples: NDArray[np.int16], missing: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Gaps filled linearly between their neighbours, at the ends with the nearest sample."""
    at = np.arange(samples.size)
    repaired = samples.copy()
    repaired[missing] = np.rint(np.interp(at[missing], at[~missing], samples[~missing])).astype(np.int16)
    return repaired


def _doubt(leads: _Leads, fs: float, flags: set[str]) -> None:
    """Flag what looks wrong but is kept."""
    length, present = leads.samples.shape[1], leads.present
    if not present.any():
        return
    mean, step = leads.total / length, present / np.abs(leads.gain)  # mV
    reach = np.maximum(leads.high - mean, mean - leads.low) * step  # mV from the mean
    if reach.max() > _LARGE:
        flags.add("large_amplitude")
    if (np.abs(mean - leads.baseline) * step).max() > _LARGE:
        flags.add("large_offset")
    if (np.subtract(leads.high, leads.low, dtype=np.int32) * step).max() < _SMALL:
        flags.add("small_amplitude")
    tall = np.flatnonzero(reach > _CLIPPING)
    if tall.size:
        tall = tall[flaws.may_be_clipped(leads.samples, tall, leads.low, leads.high, fs)]
        if any(flaws.is_clipped(leads.samples[row], fs) for row in tall):
            flags.add("clipped_lead")
    still = max(2, round(_STILL * fs))
    doubtful = present & flaws.may_stand_still(leads.samples, still)
    if doubtful.any() and any(flaws.longest_constant(leads.samples[row]) >= still for row in np.flatnonzero(doubtful)):
        flags.add("flat_part")
    if _contradicting(leads):
        flags.add("limb_leads")


def _contradicting(leads: _Leads) -> bool:
    """Whether I + III - II or aVR + aVL + aVF is far from constant, for leads that show anything.

    The deviation of the sum is compared with what it would be if the leads had nothing to do with one another.
    """
    length = leads.samples.shape[1]
    power = (leads.squares / length - (leads.total / length) ** 2) / leads.gain**2  # mV^2
    for rows, signs in _SUMS:
        if leads.present[rows].all():
            total = (signs / leads.gain[rows]) @ leads.samples[rows, ::_THINNED].astype(np.float64)
            total -= total.sum() / total.size
            if np.vdot(total, total) / total.size > _CONTRADICTION**2 * power[rows].sum():
                return True
    return False


def _resample(leads: _Leads, fs: float, params: WaveformParams, out: NDArray[np.int16] | None) -> NDArray[np.int16]:
    """Bring the leads to the store's rate, each on a 16-bit grid over its range, into ``out`` or memory of its own."""
    from scipy.signal import resample_poly  # takes longer to import than all the rest of this module

    memory = out if out is not None else np.empty((len(LEADS), params.samples), np.int16)
    ratio = Fraction(params.fs / fs).limit_denominator(1000)
    found = min(params.samples, math.ceil(leads.samples.shape[1] * ratio))
    samples = memory[:, :found]
    samples[:] = 0
    for row in np.flatnonzero(leads.present).tolist():
        # the line through both ends is taken off first, or an offset would ring at the ends
        resampled = resample_poly(leads.millivolts(row), ratio.numerator, ratio.denominator, padtype="line")[:found]
        samples[row, : resampled.size], leads.gain[row], leads.baseline[row] = quantise(resampled)
    leads.samples = samples
    leads.measure()
    return memory


def _derive(leads: _Leads) -> bool:
    """Add the limb leads that I and II determine and that are not usable themselves; whether there were any."""
    if not leads.present[[_I, _II]].all():
        return False
    before = leads.present.copy()
    for name, value in derive_limb_leads(leads.millivolts(_I), leads.millivolts(_II)).items():
        row = LEADS.index(name)
        if not before[row]:
            leads.samples[row], leads.gain[row], leads.baseline[row] = quantise(value)
            leads.present[row] = True
    leads.measure()
    return not np.array_equal(before, leads.present)


def _reach_zero(leads: _Leads) -> None:
    """Put leads that have no sample for 0 mV, with which they are to be padded, on a grid that has one."""
    for row in np.flatnonzero(leads.present & (np.abs(leads.baseline) > -MISSING - 1)).tolist():
        samples, leads.gain[row], leads.baseline[row] = quantise(np.append(leads.millivolts(row), 0.0))
        leads.samples[row] = samples[:-1]
        leads.measure()


def _assemble(
    leads: _Leads,
    memory: NDArray[np.int16],
    fs: float,
    zeros: NDArray[np.int32],
    nans: NDArray[np.int32],
    flags: set[str],
) -> Waveform:
    """The store's arrays, padded with 0 mV."""
    found, present = leads.samples.shape[1], leads.present
    if found < memory.shape[1]:
        _reach_zero(leads)
    scale = np.where(present, 1 / leads.gain, 1.0)
    offset = np.where(present, -leads.baseline / leads.gain, 0.0)
    if found < memory.shape[1]:
        memory[:, found:] = np.where(present, np.rint(leads.baseline), 0)[:, None]
    ends = np.stack([leads.low, leads.high]) * scale + offset
    mean = leads.total / found
    deviation = np.sqrt(np.maximum(leads.squares / found - mean**2, 0))

    def known(statistic: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.where(present, statistic, np.nan).astype(np.float32)

    return Waveform(
        samples=memory,
        scale=scale.astype(np.float32),
        offset=offset.astype(np.float32),
        fs=fs,
        length=found,
        leads=int(_BITS[present].sum()),
        minimum=known(ends.min(axis=0)),  # a negative gain swaps the ends
        maximum=known(ends.max(axis=0)),
        mean=known(mean * scale + offset),
        deviation=known(deviation * np.abs(scale)),
        zeros=zeros,
        nans=nans,
        flags=tuple(sorted(flags)),
    )


def _counting(samples: NDArray[np.int16]) -> type[np.uint16] | type[np.uint32]:
    """The smallest number that counts the samples of a lead: sums of marks are the faster for it."""
    return np.uint16 if samples.shape[1] < 65536 else np.uint32


@lru_cache(16)
def _ones(n: int) -> NDArray[np.float64]:
    return np.ones(n)
