"""WFDB headers, and what any reader makes of a record.

The format is PhysioNet's (header(5), signal(5) of the WFDB Applications Guide).
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmerl.errors import UserError

MISSING = -32768
"""The sample of format 16 that means "not a number"."""
UNSTATED = -(2**63)
"""Stands for a first sample or checksum that a header does not give."""
MOST_VALUES = 1 << 26
"""A record with more samples over all its signals is not read: 12 leads for 3 hours at 500 Hz."""

_UNITS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3, "nv": 1e-6}  # in mV
_DEFAULT_GAIN, _DEFAULT_FS = 200.0, 250.0  # header(5)
_WIDEST = 1e30  # range of a signal beyond which arithmetic overflows
_NUMBER = r"(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?"
_FORMAT = re.compile(r"([0-9]{1,4})(?:x([0-9]{1,6}))?(?::([0-9]{1,9}))?(?:\+([0-9]{1,12}))?")
_GAIN = re.compile(rf"(-?(?:{_NUMBER}))(?:\((-?[0-9]{{1,12}})\))?(?:/(\S+))?")
_FREQUENCY = re.compile(rf"({_NUMBER})(?:/\S*)?")
_COUNT = re.compile(r"[0-9]{1,12}")
_INTEGER = re.compile(r"-?[0-9]{1,12}")


class RecordError(UserError):
    """One record cannot be used.

    Attributes:
        reason: short fixed category, for the table of rejected records.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(" ".join(detail.split()))
        self.reason = reason


class SignalLine(NamedTuple):
    """One signal as its header line describes it; physical value = (sample - baseline) / gain, in ``unit``.

    ``first`` and ``checksum`` are the first sample and the sum of all samples modulo 65,536; None if not stated.
    """

    file: str
    format: str
    samples_per_frame: int
    skew: int
    byte_offset: int
    gain: float
    baseline: int
    unit: str
    name: str
    first: int | None = None
    checksum: int | None = None


class Header(NamedTuple):
    """A record's header; ``samples`` is None where it is not stated, ``comments`` have their ``#`` stripped.

    Where a record is made of segments, ``parts`` are their names and numbers of samples, and ``channels`` is the number
    of signals announced; it has no ``signals`` of its own.
    """

    name: str
    segments: int
    fs: float
    samples: int | None
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]
    parts: tuple[tuple[str, int], ...] = ()
    channels: int = 0


@dataclass(frozen=True)
class Recording:
    """Signals of one record, as stored.

    Attributes:
        leads: names as the header gives them.
        fs: samples per second.
        samples: (L, S) int16, :data:`MISSING` where there is no value.
        gain: (L,) steps per ``unit``.
        baseline: (L,) the sample that stands for 0.
        unit: (L,) mV per unit.
        first, checksum: (L,) what the header says of the samples, the sum modulo 65,536; :data:`UNSTATED` for a lead
            of which it says nothing, None if of none.
        vouched: False if whoever read the samples found that they are not those of the header's checksums.
    """

    leads: tuple[str, ...]
    fs: float
    samples: NDArray[np.int16]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    unit: NDArray[np.float64]
    first: NDArray[np.int64] | None = None
    checksum: NDArray[np.int64] | None = None
    vouched: bool = True

    def millivolts(self) -> NDArray[np.float64]:
        """The signals (L, S) in mV, NaN where there is no value, and in all of a channel that is not electric."""
        value = (self.samples - self.baseline[:, None]) / self.gain[:, None] * self.unit[:, None]
        value[self.samples == MISSING] = np.nan
        return value


def parse_header(text: str) -> Header:
    """The fields of a WFDB header.

    The record's own name may carry an extension and is not compared with the file's; a gain of 0 or none is 200,
    a missing baseline is the ADC's zero, a missing unit is mV, as header(5) says.

    Raises:
        RecordError: (``bad_header``) the text is no header.
    """
    lines = [line.strip() for line in text.splitlines()]
    comments = tuple(line.lstrip("#").strip() for line in lines if line.startswith("#"))
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise RecordError("bad_header", "the header is empty")
    fields = lines[0].split()
    name, _, segments = fields[0].partition("/")
    if segments and not _COUNT.fullmatch(segments):
        raise RecordError("bad_header", f"number of segments {segments[:40]!r}")
    if len(fields) < 2 or not _COUNT.fullmatch(fields[1]):
        raise RecordError("bad_header", f"first line {lines[0][:60]!r} gives no number of signals")
    fs = _sampling_rate(fields[2]) if len(fields) > 2 else _DEFAULT_FS
    samples = _count(fields[3], "number of samples") if len(fields) > 3 else 0
    announced = int(segments or fields[1])
    if announced != len(lines) - 1:
        what = "segments" if segments else "signals"
        raise RecordError("bad_header", f"{announced} {what} announced, {len(lines) - 1} lines follow")
    if segments:
        parts = tuple(map(_segment_line, lines[1:]))
        return Header(name, announced, fs, samples or None, (), comments, parts, int(fields[1]))
    return Header(name, 1, fs, samples or None, tuple(map(_signal_line, lines[1:])), comments)


def quantise(value: NDArray[np.floating]) -> tuple[NDArray[np.int16], float, float]:
    """A signal on a 16-bit grid over its own range; the error is at most half a step of (max - min) / 65,534.

    Args:
        value: (S,), NaN allowed.

    Returns:
        samples (S,), gain and baseline, with value = (sample - baseline) / gain.
    """
    known = np.isfinite(value)
    if not known.any():
        return np.full(value.shape, MISSING, np.int16), 1.0, 0.0
    low, high = float(value[known].min()), float(value[known].max())
    samples = np.full(value.shape, MISSING, np.int16)
    if high - low > _WIDEST:
        return samples, 0.0, 0.0  # no gain to use: the record is refused
    gain = 65534.0 / (high - low) if high - low > 1e-6 else 1000.0
    baseline = -gain * (low + high) / 2
    samples[known] = np.clip(np.rint(value[known] * gain + baseline), -32767, 32767).astype(np.int16)
    return samples, gain, baseline


def _signal_line(line: str) -> SignalLine:
    """One signal line: file, format, gain, ADC resolution and zero, first value, checksum, block size, name."""
    fields = line.split(None, 8)
    if len(fields) < 2:
        raise RecordError("bad_header", f"signal line {line[:60]!r} has no format")
    file, format, gain, resolution, zero, first, checksum, block, name = [*fields, *[""] * 7][:9]
    try:
        stored = storage(format, gain, resolution, zero, block)
        return SignalLine(file, *stored, name, _integer(first), _integer(checksum))
    except RecordError as error:
        raise RecordError("bad_header", f"{error} of signal line {line[:60]!r}") from None


def _segment_line(line: str) -> tuple[str, int]:
    name, *rest = line.split()
    if not rest:
        raise RecordError("bad_header", f"segment line {line[:60]!r} has no number of samples")
    return name, _count(rest[0], "number of samples")


@lru_cache(4096)
def storage(
    format: str, gain: str, resolution: str, zero: str, block: str
) -> tuple[str, int, int, int, float, int, str]:
    """The fields of :class:`SignalLine` from ``format`` to ``unit``, from a line's second to fifth and its eighth.

    Raises:
        RecordError: (``bad_header``) a field is none.
    """
    match = _FORMAT.fullmatch(format)
    if match is None:
        raise RecordError("bad_header", f"format {format[:40]!r}")
    per_frame, skew, byte_offset = (int(group or 0) for group in match.groups()[1:])
    steps, baseline, unit = _DEFAULT_GAIN, None, "mV"
    if gain:
        parts = _GAIN.fullmatch(gain)
        if parts is None:
            raise RecordError("bad_header", f"gain {gain[:40]!r}")
        steps = float(parts[1]) or _DEFAULT_GAIN
        baseline = int(parts[2]) if parts[2] else None
        unit = parts[3] or unit
    adc_zero, _, _ = _integer(zero), _integer(resolution), _integer(block)
    if baseline is None:
        baseline = adc_zero or 0
    return match[1], per_frame or 1, skew, byte_offset, steps, baseline, unit


def _integer(text: str) -> int | None:
    """A number; None where there is nothing."""
    if text and not _INTEGER.fullmatch(text):
        raise RecordError("bad_header", f"{text[:40]!r} instead of a whole number")
    return int(text) if text else None


def _sampling_rate(text: str) -> float:
    match = _FREQUENCY.fullmatch(text)
    fs = float(match[1]) if match else 0.0
    if not (0 < fs < math.inf):
        raise RecordError("bad_header", f"sampling rate {text[:40]!r}")
    return fs


def _count(text: str, what: str) -> int:
    if not _COUNT.fullmatch(text):
        raise RecordError("bad_header", f"{what} {text[:40]!r}")
    return int(text)


def millivolts_in(name: str) -> float:
    """Millivolts in one unit."""
    try:
        return _UNITS[str(name).lower()]
    except KeyError:
        raise RecordError("unknown_unit", f"unit {str(name)[:40]!r} is none of mV, uV, V") from None
