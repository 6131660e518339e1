"""WFDB records: the header, and signals in format 16 read in one go.

The format is PhysioNet's (header(5), signal(5) of the WFDB Applications Guide). Format 16 with one sample per
frame, no skew and one signal file is read here; whatever else a header describes goes to the wfdb package.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmerl.errors import UserError

MISSING = -32768
"""The sample of format 16 that means "not a number"."""

_UNITS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3, "nv": 1e-6}  # in mV
_DEFAULT_GAIN, _DEFAULT_FS = 200.0, 250.0  # header(5)
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


@dataclass(frozen=True)
class SignalLine:
    """One signal as its header line describes it; physical value = (sample - baseline) / gain, in ``unit``."""

    file: str
    format: str
    samples_per_frame: int
    skew: int
    byte_offset: int
    gain: float
    baseline: int
    unit: str
    name: str


@dataclass(frozen=True)
class Header:
    """A record's header; ``samples`` is None where it is not stated, ``comments`` have their ``#`` stripped."""

    name: str
    segments: int
    fs: float
    samples: int | None
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """Signals of one record, as stored.

    Attributes:
        leads: names as the header gives them.
        fs: samples per second.
        samples: (L, S) int16, lead-major, :data:`MISSING` where there is no value.
        gain: (L,) steps per ``unit``.
        baseline: (L,) the sample that stands for 0.
        unit: (L,) mV per unit.
    """

    leads: tuple[str, ...]
    fs: float
    samples: NDArray[np.int16]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    unit: NDArray[np.float64]

    def millivolts(self) -> NDArray[np.float64]:
        """The signals (L, S) in mV, NaN where there is no value."""
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
    if segments:
        return Header(name, int(segments), fs, samples or None, (), comments)
    if int(fields[1]) != len(lines) - 1:
        raise RecordError("bad_header", f"{fields[1]} signals announced, {len(lines) - 1} lines follow")
    signals = tuple(_signal_line(line) for line in lines[1:])
    return Header(name, 1, fs, samples or None, signals, comments)


def read_recording(header_path: Path) -> Recording:
    """Read a record.

    Raises:
        RecordError: with the reason ``no_header``, ``bad_header``, ``no_signal_file``, ``empty_signal_file``,
            ``truncated_signal_file``, ``unknown_unit`` or ``unreadable_signal``.
    """
    try:
        header = parse_header(header_path.read_bytes().decode("utf-8", errors="replace"))
    except FileNotFoundError:
        raise RecordError("no_header", f"no file {header_path.name}") from None
    except OSError as error:
        raise RecordError("no_header", f"{header_path.name}: {error.strerror}") from None
    if not header.signals and header.segments == 1:
        raise RecordError("bad_header", f"{header_path.name} announces no signals")
    if not _is_plain(header):
        return _read_with_wfdb(header_path, header)
    signals = header.signals
    samples = _read_format_16(
        header_path.parent / signals[0].file, len(signals), signals[0].byte_offset, header.samples
    )
    return Recording(
        leads=tuple(s.name for s in signals),
        fs=header.fs,
        samples=samples,
        gain=np.array([s.gain for s in signals]),
        baseline=np.array([s.baseline for s in signals], np.float64),
        unit=np.array([millivolts_in(s.unit) for s in signals]),
    )


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
    gain = 65534.0 / (high - low) if high - low > 1e-6 else 1000.0
    baseline = -gain * (low + high) / 2
    samples = np.full(value.shape, MISSING, np.int16)
    samples[known] = np.clip(np.rint(value[known] * gain + baseline), -32767, 32767).astype(np.int16)
    return samples, gain, baseline


def _is_plain(header: Header) -> bool:
    """Whether the record is format 16, unframed, without skew, all its signals in one file."""
    first = header.signals[0] if header.signals else None
    return first is not None and all(
        (s.file, s.format, s.samples_per_frame, s.skew, s.byte_offset) == (first.file, "16", 1, 0, first.byte_offset)
        for s in header.signals
    )


def _read_format_16(path: Path, n: int, byte_offset: int, samples: int | None) -> NDArray[np.int16]:
    """Interleaved little-endian samples as (n, S) lead-major."""
    try:
        present = path.stat().st_size
    except OSError:
        raise RecordError("no_signal_file", f"no file {path.name}") from None
    if present <= byte_offset:
        raise RecordError("empty_signal_file", f"{path.name} holds no samples")
    if samples is None:
        samples = (present - byte_offset) // (2 * n)
    needed = byte_offset + 2 * n * samples
    if present < needed or not samples:
        raise RecordError("truncated_signal_file", f"{path.name} has {present} of {needed} bytes")
    frames = np.fromfile(path, "<i2", count=n * samples, offset=byte_offset).reshape(samples, n)
    return np.ascontiguousarray(frames.T, np.int16)


def _read_with_wfdb(header_path: Path, header: Header) -> Recording:
    """Any other format, through the wfdb package, on a 16-bit grid of its own per lead."""
    import wfdb  # slow to import, and most archives never need it

    for s in header.signals:
        if s.file not in ("-", "~") and not (header_path.parent / s.file).exists():
            raise RecordError("no_signal_file", f"no file {s.file}")
    try:
        record = wfdb.rdrecord(str(header_path.with_suffix("")))
        value = np.asarray([] if record.p_signal is None else record.p_signal, np.float64).T  # (L, S)
        names, units, fs = tuple(record.sig_name), list(record.units), float(record.fs)
    except Exception as error:  # wfdb raises whatever its parsers meet
        raise RecordError("unreadable_signal", f"{header_path.name}: wfdb says {error}"[:200]) from None
    if not value.size:
        raise RecordError("bad_header", f"{header_path.name} leads to no signals")
    parts = [quantise(signal) for signal in value]
    return Recording(
        leads=names,
        fs=fs,
        samples=np.stack([samples for samples, _, _ in parts]),
        gain=np.array([gain for _, gain, _ in parts]),
        baseline=np.array([baseline for _, _, baseline in parts]),
        unit=np.array([millivolts_in(unit) for unit in units]),
    )


def _signal_line(line: str) -> SignalLine:
    """One signal line: file, format, gain, ADC resolution and zero, first value, checksum, block size, name."""
    fields = line.split(None, 8)
    match = _FORMAT.fullmatch(fields[1]) if len(fields) > 1 else None
    if match is None:
        raise RecordError("bad_header", f"signal line {line[:60]!r} has no format")
    per_frame, skew, byte_offset = (int(group or 0) for group in match.groups()[1:])
    gain, baseline, unit = _DEFAULT_GAIN, None, "mV"
    if len(fields) > 2:
        parts = _GAIN.fullmatch(fields[2])
        if parts is None:
            raise RecordError("bad_header", f"gain {fields[2][:40]!r} of signal line {line[:60]!r}")
        gain = float(parts[1]) or _DEFAULT_GAIN
        baseline = int(parts[2]) if parts[2] else None
        unit = parts[3] or unit
    if baseline is None:
        baseline = int(fields[4]) if len(fields) > 4 and _INTEGER.fullmatch(fields[4]) else 0
    name = fields[8] if len(fields) > 8 else ""
    return SignalLine(fields[0], match[1], per_frame or 1, skew, byte_offset, gain, baseline, unit, name)


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
