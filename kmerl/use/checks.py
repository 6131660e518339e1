"""What makes a signal doubtful, each in one line. Thresholds were set so that ordinary clinical records pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kmerl.preprocessing.flaws import is_clipped

_PLAUSIBLE = (0.1, 10.0)  # mV, an ECG's usual peak
_LARGE, _SMALL = 20.0, 0.02  # mV, beyond them the unit is in doubt
_OFFSET = 1.0  # mV
_INCONSISTENT = 0.25  # of the limb leads' power that Einthoven's and Goldberger's relations leave unexplained
_SLOW = 100.0  # Hz
_LIMB = {
    "I": (1.0, 0.0), "II": (0.0, 1.0), "III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0),
}  # fmt: skip
"""Every limb lead as a sum of I and II."""

_OTHER_UNITS = {"unit uV": 1e-3, "gain 200": 1 / 200, "gain 1000": 1e-3, "unit V": 1e3}


def doubts(leads: Sequence[str], millivolts: NDArray[np.floating], fs: float) -> list[str]:
    """What is doubtful about a signal.

    Args:
        leads: L names.
        millivolts: (L, S), NaN where there is no value; leads that are flat or empty are not looked at.
        fs: samples per second.
    """
    moving = [i for i, lead in enumerate(millivolts) if not is_flat(lead)]
    used, signal = [leads[i] for i in moving], millivolts[moving]
    if not used:
        return []
    found = [amplitude(signal, fs), gaps(used, signal), clipping(used, signal, fs), limb_leads(used, signal)]
    if found[0] is None:
        found.append(offset(used, signal))
    if fs < _SLOW:
        found.append(f"{fs:g} samples per second are few: sharp waves are lost below {_SLOW:g}")
    return [line for line in found if line]


def is_flat(lead: NDArray[np.floating]) -> bool:
    """Whether a lead has no values or only one."""
    known = lead[np.isfinite(lead)]
    return known.size == 0 or bool(known.min() == known.max())


def peak(signal: NDArray[np.floating], fs: float) -> float:
    """The usual excursion of (L, S) from its median, mV: largest per second, median over seconds and leads."""
    about = np.abs(signal - np.nanmedian(signal, axis=1, keepdims=True))
    second = min(about.shape[1], max(1, round(fs)))
    blocks = about[:, : about.shape[1] // second * second].reshape(len(about), -1, second)
    largest = np.where(np.isfinite(blocks), blocks, 0).max(axis=2)
    return float(np.median(largest))


def amplitude(signal: NDArray[np.floating], fs: float) -> str | None:
    """Whether the unit is in doubt, and which would fit."""
    usual = peak(signal, fs)
    if _SMALL <= usual <= _LARGE:
        return None
    fitting = [name for name, factor in _OTHER_UNITS.items() if _PLAUSIBLE[0] <= usual * factor <= _PLAUSIBLE[1]]
    advice = f"{' or '.join(fitting)} would fit" if fitting else "no usual unit fits"
    return (
        f"beats of {usual:.3g} mV are {'large' if usual > _LARGE else 'small'} for an ECG: is the unit right? {advice}"
    )


def gaps(leads: Sequence[str], signal: NDArray[np.floating]) -> str | None:
    """Leads with missing samples."""
    shares = {lead: 1 - float(np.isfinite(one).mean()) for lead, one in zip(leads, signal, strict=True)}
    holes = [f"{lead} {share:.2g}" for lead, share in shares.items() if share]
    return f"samples without a value were interpolated (shares: {', '.join(holes)})" if holes else None


def clipping(leads: Sequence[str], signal: NDArray[np.floating], fs: float) -> str | None:
    """Leads that stay at an extreme, as an overdriven amplifier does."""
    clipped = [lead for lead, one in zip(leads, signal, strict=True) if is_clipped(one[np.isfinite(one)], fs)]
    return f"lead {', '.join(clipped)} looks clipped: it stays at its extreme value for long" if clipped else None


def offset(leads: Sequence[str], signal: NDArray[np.floating]) -> str | None:
    """Leads that lie far from 0 mV."""
    medians = np.nanmedian(signal, axis=1)
    off = [f"{lead} {m:+.1f} mV" for lead, m in zip(leads, medians, strict=True) if abs(m) > _OFFSET]
    return f"a constant offset ({', '.join(off)}) which the model was not shown: centre it" if off else None


def limb_leads(leads: Sequence[str], signal: NDArray[np.floating]) -> str | None:
    """Three or more limb leads that contradict Einthoven's and Goldberger's relations, as swapped names do."""
    rows = [i for i, lead in enumerate(leads) if lead in _LIMB]
    if len(rows) < 3:
        return None
    share = unexplained([leads[i] for i in rows], signal[rows])
    if share <= _INCONSISTENT:
        return None
    names = ", ".join(leads[i] for i in rows)
    return f"the limb leads ({names}) contradict one another (II is not I + III): are names swapped?"


def unexplained(leads: Sequence[str], signal: NDArray[np.floating]) -> float:
    """The share (root of power) of limb leads (L, S) that no pair of I and II explains, 0..1."""
    known = signal[:, np.isfinite(signal).all(axis=0)].astype(np.float64)
    if not known.size:
        return 0.0
    known = known - np.median(known, axis=1, keepdims=True)
    mixing = np.array([_LIMB[lead] for lead in leads])  # (L, 2)
    left = known - mixing @ (np.linalg.pinv(mixing) @ known)
    power = float((known**2).sum())
    return float(np.sqrt((left**2).sum() / power)) if power else 0.0
