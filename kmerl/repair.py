"""From a record's samples as found to the twelve leads of the waveform store, with what was found and mended."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kmerl.archives.wfdb_format import MISSING, RecordError, Recording, quantise
from kmerl.errors import UserError
from kmerl.leads import LEADS, bit_mask, canonical, derive_limb_leads
from kmerl.section import Section
from kmerl.waveforms import Waveform

_RATIO = 50  # rates further apart than this are a mangled header, not a sampling rate
_GAINS = (1e-2, 1e12)  # steps per mV; beyond them too


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
class _Lead:
    """One lead on the way into the store; mV = (sample - baseline) / gain."""

    samples: NDArray[np.int16]
    gain: float
    baseline: float


def prepare(recording: Recording, params: WaveformParams) -> Waveform:
    """Crop or pad, resample, interpolate gaps, and leave out leads without a signal.

    A record at the target rate without gaps keeps its samples bit by bit. Flags: ``cropped``, ``padded``,
    ``resampled``, ``nan_repaired``, ``nan_lead`` (too many missing samples), ``flat_lead`` (constant),
    ``missing_lead`` (not recorded), ``derived_lead``.

    Raises:
        RecordError: ``unknown_lead``, ``repeated_lead``, ``unusable_rate``, ``unusable_gain``, ``too_short`` or
            ``too_few_leads``.
    """
    names = _lead_names(recording)
    kept, flags = _cut(recording, params)
    zeros, nans = np.zeros(12, np.int32), np.zeros(12, np.int32)
    usable: dict[str, _Lead] = {}
    for i, name in enumerate(names):
        samples, gain = kept[i], float(recording.gain[i] / recording.unit[i])
        baseline = float(recording.baseline[i])
        if not _GAINS[0] <= abs(gain) <= _GAINS[1]:
            raise RecordError("unusable_gain", f"lead {name}: {gain:g} steps per mV")
        missing = samples == MISSING
        position = LEADS.index(name)
        nans[position] = np.count_nonzero(missing)
        zeros[position] = np.count_nonzero(samples == baseline) if baseline != MISSING else 0
        if nans[position] > params.max_nan_share * samples.size:
            flags.add("nan_lead")
            continue
        if nans[position]:
            samples = _interpolate(samples, missing)
            flags.add("nan_repaired")
        if samples.min() == samples.max():
            flags.add("flat_lead")
            continue
        usable[name] = _resample(_Lead(samples, gain, baseline), recording.fs, params)
    if len(names) < len(LEADS):
        flags.add("missing_lead")
    if params.derive_limb_leads and _derive(usable):
        flags.add("derived_lead")
    if len(usable) < params.min_leads:
        raise RecordError("too_few_leads", f"{len(usable)} usable leads of {len(names)} ({', '.join(sorted(flags))})")
    return _assemble(usable, recording.fs, params.samples, zeros, nans, flags)


def _lead_names(recording: Recording) -> list[str]:
    try:
        names = [canonical(name) for name in recording.leads]
    except UserError as error:
        raise RecordError("unknown_lead", str(error)) from None
    if len(set(names)) < len(names):
        raise RecordError("repeated_lead", f"leads {', '.join(recording.leads)}")
    return names


def _cut(recording: Recording, params: WaveformParams) -> tuple[NDArray[np.int16], set[str]]:
    """The first ``seconds`` of a record at its own rate, and the flags of its length and rate."""
    length = recording.samples.shape[1]
    if not 1 / _RATIO <= params.fs / recording.fs <= _RATIO:
        raise RecordError("unusable_rate", f"{recording.fs:g} Hz")
    if length < params.min_seconds * recording.fs:
        raise RecordError("too_short", f"{length / recording.fs:g} s, at least {params.min_seconds:g} s are needed")
    wanted = math.ceil(params.samples * recording.fs / params.fs)
    flags = set()
    if length > wanted:
        flags.add("cropped")
    elif length < wanted:
        flags.add("padded")
    if recording.fs != params.fs:
        flags.add("resampled")
    return recording.samples[:, :wanted], flags


def _interpolate(samples: NDArray[np.int16], missing: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Gaps filled linearly between their neighbours, at the ends with the nearest sample."""
    at = np.arange(samples.size)
    repaired = samples.copy()
    repaired[missing] = np.rint(np.interp(at[missing], at[~missing], samples[~missing])).astype(np.int16)
    return repaired


def _resample(lead: _Lead, fs: float, params: WaveformParams) -> _Lead:
    """A lead at the store's rate; untouched if it has it already."""
    if fs == params.fs:
        return lead
    from scipy.signal import resample_poly  # takes longer to import than all the rest of this module

    ratio = Fraction(params.fs / fs).limit_denominator(1000)
    millivolts = (lead.samples - lead.baseline) / lead.gain
    # the line through both ends is taken off first, or an offset would ring at the ends
    resampled = resample_poly(millivolts, ratio.numerator, ratio.denominator, padtype="line")[: params.samples]
    return _Lead(*quantise(resampled))


def _derive(usable: dict[str, _Lead]) -> bool:
    """Add the limb leads that I and II determine and that are not usable themselves; whether there were any."""
    if not {"I", "II"} <= usable.keys():
        return False
    i, ii = ((usable[name].samples - usable[name].baseline) / usable[name].gain for name in ("I", "II"))
    absent = {name: value for name, value in derive_limb_leads(i, ii).items() if name not in usable}
    usable.update({name: _Lead(*quantise(value)) for name, value in absent.items()})
    return bool(absent)


def _assemble(
    usable: dict[str, _Lead], fs: float, length: int, zeros: NDArray[np.int32], nans: NDArray[np.int32], flags: set[str]
) -> Waveform:
    """The store's arrays from the usable leads, in the order of ``LEADS``, padded to ``length``."""
    samples = np.zeros((len(LEADS), length), np.int16)
    scale, offset = np.ones(len(LEADS)), np.zeros(len(LEADS))
    present = np.zeros(len(LEADS), np.bool_)
    found = min(length, next(iter(usable.values())).samples.size)
    for name, lead in usable.items():
        position = LEADS.index(name)
        present[position] = True
        scale[position], offset[position] = 1 / lead.gain, -lead.baseline / lead.gain
        samples[position, :found] = lead.samples[:found]
        samples[position, found:] = np.clip(round(lead.baseline), -32767, 32767)  # 0 mV
    values = samples[:, :found]
    ends = np.stack([values.min(axis=1), values.max(axis=1)]) * scale + offset

    def known(statistic: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.where(present, statistic, np.nan).astype(np.float32)

    return Waveform(
        samples=samples,
        scale=scale.astype(np.float32),
        offset=offset.astype(np.float32),
        fs=fs,
        length=found,
        leads=bit_mask(usable),
        minimum=known(ends.min(axis=0)),  # a negative gain swaps the ends
        maximum=known(ends.max(axis=0)),
        mean=known(values.mean(axis=1, dtype=np.float64) * scale + offset),
        deviation=known(values.std(axis=1, dtype=np.float64) * np.abs(scale)),
        zeros=zeros,
        nans=nans,
        flags=tuple(sorted(flags)),
    )
