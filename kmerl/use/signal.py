"""One record on its way to the model: numbers, lead names, rate and unit put together, or refused in one line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kmerl.archives.wfdb_format import MISSING, Recording, millivolts_in, quantise
from kmerl.errors import UserError
from kmerl.leads import LEADS, canonical

SHORTEST = 2.0
"""s; with less there may be no whole heart beat."""

_ABSURD = 1e6  # mV from peak to peak: no unit of an ECG, and too much for the 16-bit grid


@dataclass(frozen=True)
class Stated:
    """What a caller says of numbers that do not say it themselves.

    Attributes:
        fs: samples per second.
        unit: of the values, or with ``gain`` of what the gain counts: mV (if None), uV, V.
        gain: steps per unit, one number or one per lead: the values are then what a converter gave, and the signal is
            (value - baseline) / gain. Whole numbers are kept bit by bit.
        baseline: the step that stands for 0, one number or one per lead.
    """

    fs: float | None = None
    unit: str | None = None
    gain: ArrayLike | None = None
    baseline: ArrayLike | None = None


@dataclass(frozen=True)
class Signal:
    """Leads of one record, named as the project names them, in the order of ``LEADS``.

    Attributes:
        recording: the samples.
        warnings: what was left out or assumed on the way here, one line each.
    """

    recording: Recording
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it lasts, s."""
        return self.recording.samples.shape[1] / self.recording.fs


def from_array(
    values: ArrayLike,
    leads: Sequence[str] | None,
    stated: Stated,
    asked: Sequence[str] | None = None,
    foreign: bool = False,
) -> Signal:
    """A record from numbers.

    Args:
        values: (L, S), a row per lead; (S, L) is turned if only that fits the number of leads; (S,) for one lead. NaN
            where there is no value.
        leads: L names in any usual spelling and order.
        stated: rate and unit.
        asked: which of them to use; all by default.
        foreign: whether a row that is none of the twelve leads is left out with a warning, not refused.

    Raises:
        UserError: anything is missing, or does not fit.
    """
    rate, gain, unit = checked_rate(stated.fs), stated.gain, stated.unit
    array = _numbers(values)
    if not leads:
        raise UserError("the signal's leads have no names; give leads, one name per row, e.g. I,II")
    names = [leads] if isinstance(leads, str) else list(leads)
    array, turned = _lead_major(array, len(names))
    scale = millivolts_in(unit or "mV")
    warnings = [f"the signal is (S, L) = {array.shape[::-1]}; it was turned"] if turned else []
    if gain is None:
        if stated.baseline is not None:
            raise UserError("a baseline without a gain says nothing; give gain, in steps per mV")
        if unit is None and _whole(array):
            warnings.append("the values are whole numbers without a gain or unit; they were taken as mV")
    steps, zero = (
        _per_lead(1.0 if gain is None else gain, len(names), "gain"),
        _per_lead(stated.baseline, len(names), "baseline"),
    )
    if not (np.abs(steps) > 0).all():
        raise UserError("gain 0; give the converter's steps per mV, e.g. 200")
    if gain is not None and _whole(array) and np.nanmin(array) >= MISSING and np.nanmax(array) < -MISSING:
        samples = np.where(np.isfinite(array), array, MISSING).astype(np.int16)
        recording = Recording(tuple(names), rate, samples, steps, zero, np.full(len(names), scale))
    else:
        recording = _on_a_grid(names, rate, (array - zero[:, None]) / steps[:, None] * scale)
    chosen = select(recording, asked, foreign)
    return replace(chosen, warnings=(*warnings, *chosen.warnings))


def select(recording: Recording, leads: Sequence[str] | None, foreign: bool = False) -> Signal:
    """The leads asked for, or all there are, in the order of ``LEADS``.

    Args:
        recording: leads by any name.
        leads: names in any spelling; None for all.
        foreign: whether a channel that is none of the twelve leads is left out with a warning, not refused.

    Raises:
        UserError: a lead is unknown, named twice or not there; no lead is left; it is too short or has no values.
    """
    found: dict[str, int] = {}
    warnings = []
    for i, name in enumerate(recording.leads):
        try:
            lead = canonical(name)
        except UserError:
            if not foreign:
                raise
            warnings.append(f"channel {name!r} is none of the twelve leads; it was left out")
            continue
        if lead in found:
            raise UserError(
                f"lead {lead} is there twice ({recording.leads[found[lead]]!r}, {name!r}); name one of them"
            )
        found[lead] = i
    if not found:
        raise UserError(f"none of the twelve leads is there, but {', '.join(map(repr, recording.leads))}; rename them")
    wanted = [canonical(name) for name in leads] if leads is not None else list(found)
    if len(set(wanted)) < len(wanted):
        raise UserError(f"leads {', '.join(leads or ())} name one lead twice; name it once")
    absent = [lead for lead in wanted if lead not in found]
    if absent or not wanted:
        raise UserError(f"lead {', '.join(absent) or 'none'} asked, but the record has {', '.join(found)}")
    if leads is not None:
        warnings = []  # who names leads knows of the other channels
    kept = _take(recording, sorted(wanted, key=LEADS.index), found)
    seconds = kept.samples.shape[1] / kept.fs
    if seconds < SHORTEST:
        raise UserError(f"{seconds:.3g} s of signal; at least {SHORTEST:g} s are needed")
    if (kept.samples == MISSING).all():
        raise UserError("the signal holds no values, only gaps")
    return Signal(kept, tuple(warnings))


def checked_rate(fs: float | None) -> float:
    """A sampling rate that can be one.

    Raises:
        UserError: it is missing, not a number, or not positive.
    """
    if fs is None:
        raise UserError("the sampling rate is not known; give fs, in samples per second, e.g. 500")
    try:
        rate = float(fs)
    except (TypeError, ValueError):
        rate = math.nan
    if not 0 < rate < math.inf:
        raise UserError(f"sampling rate {fs!r}; give samples per second, e.g. 500")
    return rate


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise UserError("the signal is no array of numbers; give (L, S), a row per lead") from None
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise UserError(f"the signal holds {array.dtype}, not real numbers; give (L, S), a row per lead")
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or not array.size:
        raise UserError(f"a signal of shape {array.shape}; give (L, S), a row per lead")
    return array.astype(np.float64, copy=False)


def _whole(array: NDArray[np.float64]) -> bool:
    """Whether all values are whole numbers, as a converter's steps are."""
    known = array[np.isfinite(array)]
    return bool(known.size and (known == np.rint(known)).all() and known.any())


def _lead_major(array: NDArray[np.float64], leads: int) -> tuple[NDArray[np.float64], bool]:
    """(L, S), and whether it had to be turned."""
    if array.shape[0] == leads:
        return array, False
    if array.shape[1] == leads:
        return array.T, True
    raise UserError(f"a signal of shape {array.shape} for {leads} lead names; give (L, S), a row per name")


def _per_lead(value: ArrayLike | None, leads: int, what: str) -> NDArray[np.float64]:
    try:
        numbers = np.broadcast_to(np.asarray(0.0 if value is None else value, np.float64), (leads,)).copy()
    except (TypeError, ValueError):
        raise UserError(f"{what} {value!r} for {leads} leads; give one number, or one per lead") from None
    if not np.isfinite(numbers).all():
        raise UserError(f"{what} {value!r} is no number")
    return numbers


def _on_a_grid(leads: list[str], fs: float, millivolts: NDArray[np.float64]) -> Recording:
    known = np.where(np.isfinite(millivolts), millivolts, np.nan)
    if np.isfinite(known).any() and np.nanmax(known) - np.nanmin(known) > _ABSURD:
        raise UserError(f"values up to {np.nanmax(np.abs(known)):.3g} mV are no ECG; give the right unit or gain")
    parts = [quantise(lead) for lead in known]
    return Recording(
        tuple(leads), fs, np.stack([samples for samples, _, _ in parts]), np.array([gain for _, gain, _ in parts]),
        np.array([baseline for _, _, baseline in parts]), np.ones(len(leads)),
    )  # fmt: skip


def _take(recording: Recording, leads: list[str], found: dict[str, int]) -> Recording:
    rows = [found[lead] for lead in leads]
    return Recording(
        tuple(leads), recording.fs, recording.samples[rows], recording.gain[rows], recording.baseline[rows],
        recording.unit[rows],
    )  # fmt: skip
