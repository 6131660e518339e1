"""Reading WFDB records: format 16 straight from the file, anything else through the wfdb package.

Format 16 with one sample per frame, no skew and one signal file is what the archives use, in ``.dat`` files and behind
the 24 bytes that begin a MATLAB 4 file (``16x1+24``). Such a record costs two reads: its header, and its samples into
memory that the next record uses again. Headers of one archive differ in few fields, so what follows from the others is
worked out once.
"""

import os
import stat
import struct
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.wfdb_format import (
    UNSTATED,
    Header,
    RecordError,
    Recording,
    SignalLine,
    millivolts_in,
    parse_header,
    quantise,
    storage,
)

_LONGEST_HEADER = 1 << 20  # bytes
_MATLAB_4 = struct.Struct("<5i")  # type, rows, columns, imaginary part, length of the name
_INT16 = 30  # its type: little-endian, int16, full matrix
_FIELDS = 9  # of a whole signal line


class Layout(NamedTuple):
    """What the signal lines of a header say, but for the file and the values that differ from record to record."""

    plain: bool  # format 16, one sample per frame, no skew, one offset
    byte_offset: int
    leads: tuple[str, ...]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    unit: NDArray[np.float64]


class _Signals(NamedTuple):
    """A header as far as its samples need it."""

    layout: Layout
    file: str
    fs: float
    samples: int | None
    first: NDArray[np.int64]
    checksum: NDArray[np.int64]


class Reader:
    """Reads records one after another; the samples of one are there until the next is read."""

    def __init__(self) -> None:
        self._memory = np.empty(12 * 5000, np.int16)

    def read(self, header_path: Path | str) -> Recording:
        """Read a record.

        Raises:
            RecordError: with the reason ``no_header``, ``bad_header``, ``no_signal_file``, ``empty_signal_file``,
                ``truncated_signal_file``, ``unreadable_signal``, ``unreadable_file`` (permissions, a failing disk) or
                ``unknown_unit``.
        """
        path = os.fspath(header_path)
        folder, name = os.path.split(path)
        text = header_text(path)
        signals = quick(text) or _thorough(text, name)
        if signals is None or not signals.layout.plain:
            return _read_with_wfdb(path, parse_header(text))
        layout = signals.layout
        frames = self._frames(os.path.join(folder, signals.file), len(layout.leads), signals)  # noqa: PTH118 (speed)
        stated = signals.checksum.any() or signals.first.any()  # all zero: the writer did not work them out
        return Recording(
            leads=layout.leads,
            fs=signals.fs,
            samples=frames.T,
            gain=layout.gain,
            baseline=layout.baseline,
            unit=layout.unit,
            first=signals.first if stated else None,
            checksum=signals.checksum if stated else None,
        )

    def _frames(self, path: str, n: int, signals: _Signals) -> NDArray[np.int16]:
        """Interleaved samples (S, n), in memory of this reader."""
        name, offset = _name(path), signals.layout.byte_offset
        file, present = _open(path, "no_signal_file")
        try:
            if present <= offset:
                raise RecordError("empty_signal_file", f"{name} holds no samples")
            samples = signals.samples or (present - offset) // (2 * n)
            needed = offset + 2 * n * samples
            if present < needed or not samples:
                raise RecordError("truncated_signal_file", f"{name} has {present} of {needed} bytes")
            if n * samples > self._memory.size:
                self._memory = np.empty(n * samples, np.int16)
            values = self._memory[: n * samples]
            head = _fill(file, offset, values, name)
        except OSError as error:
            raise RecordError("unreadable_file", f"{name}: {error.strerror}") from None
        finally:
            os.close(file)
        if name.endswith(".mat") and offset == _MATLAB_4.size + 4:
            kind, rows, columns, *_ = _MATLAB_4.unpack_from(head)
            if kind == _INT16 and (rows, columns) != (n, samples):
                raise RecordError(
                    "unreadable_signal", f"{name} begins with a matrix of {rows} x {columns}, not {n} x {samples} int16"
                )
        return values.reshape(samples, n)


def read_recording(header_path: Path | str) -> Recording:
    """Read one record into memory of its own.

    Raises:
        RecordError: as :meth:`Reader.read`.
    """
    return Reader().read(header_path)


def header_text(path: Path | str) -> str:
    """The text of a header file.

    Raises:
        RecordError: ``no_header``, ``unreadable_file``, or ``bad_header`` where it is far too large for one.
    """
    file, size = _open(path, "no_header")
    try:
        if size > _LONGEST_HEADER:
            raise RecordError("bad_header", f"{_name(path)} is too large for a header")
        content = os.read(file, size)
    except OSError as error:
        raise RecordError("unreadable_file", f"{_name(path)}: {error.strerror}") from None
    finally:
        os.close(file)
    return content.decode("utf-8", "replace")


def quick(text: str) -> _Signals | None:
    """A header in which every signal line has all nine fields, none with a blank, and which is as usual else.

    Returns:
        What :func:`kmerl.archives.wfdb_format.parse_header` finds, in a fifth of its time; None for any other header.
    """
    lines, _, _ = text.partition("#")
    words = lines.split()
    if len(words) < 4 + _FIELDS or "/" in words[0] or not (words[1].isascii() and words[1].isdigit()):
        return None
    n, file = int(words[1][:4]), words[4]
    first_line, *body = [line for line in lines.splitlines() if line.strip()]
    # as many lines as there are files, each begins with one, and nine words on stands the next
    if not (
        len(words) == 4 + _FIELDS * n
        and words.count(file) == words[4::_FIELDS].count(file) == len(body) == n
        and all(line.lstrip().startswith(file) for line in body)
        and len(first_line.split()) == 4
        and _plain_numbers(words[2], words[3])
    ):
        return None
    try:
        fs, samples = float(words[2]), int(words[3])
        layout = layout_of(
            tuple(words[5::_FIELDS]), tuple(words[6::_FIELDS]), tuple(words[8::_FIELDS]), tuple(words[12::_FIELDS])
        )
        first, checksum = (np.array(list(map(int, words[at::_FIELDS])), np.int64) for at in (9, 10))
    except (ValueError, OverflowError, RecordError):
        return None
    return _Signals(layout, file, fs, samples or None, first, checksum) if fs > 0 else None


def _plain_numbers(fs: str, samples: str) -> bool:
    """Whether sampling rate and number of samples are digits, the first perhaps with a point."""
    whole, point, part = fs.partition(".")
    digits = whole + (part if point else "0") + samples
    return (
        digits.isascii() and digits.isdigit() and len(digits) < 30 and bool(whole and samples and (part or not point))
    )


@lru_cache(1024)
def layout_of(
    formats: tuple[str, ...], gains: tuple[str, ...], zeros: tuple[str, ...], leads: tuple[str, ...]
) -> Layout:
    """The layout of a header by the fields of its signal lines.

    Raises:
        RecordError: ``bad_header`` or ``unknown_unit``.
    """
    lines = [
        SignalLine("", *storage(format, gain, zero), lead)
        for format, gain, zero, lead in zip(formats, gains, zeros, leads, strict=True)
    ]
    return _layout(lines)


def _layout(lines: Sequence[SignalLine]) -> Layout:
    first = lines[0]
    plain = all(
        (line.file, line.format, line.samples_per_frame, line.skew, line.byte_offset)
        == (first.file, "16", 1, 0, first.byte_offset)
        for line in lines
    )
    return Layout(
        plain=plain,
        byte_offset=first.byte_offset,
        leads=tuple(line.name for line in lines),
        gain=np.array([line.gain for line in lines]),
        baseline=np.array([line.baseline for line in lines], np.float64),
        unit=np.array([millivolts_in(line.unit) for line in lines]) if plain else np.ones(len(lines)),
    )


def _thorough(text: str, name: str) -> _Signals | None:
    """Any header; None where it is of several segments."""
    header = parse_header(text)
    if not header.signals:
        if header.segments == 1:
            raise RecordError("bad_header", f"{name} announces no signals")
        return None
    lines = header.signals
    first, checksum = (
        np.array([UNSTATED if value is None else value for value in values], np.int64)
        for values in zip(*((line.first, line.checksum) for line in lines), strict=True)
    )
    return _Signals(_layout(lines), lines[0].file, header.fs, header.samples, first, checksum)


def _name(path: Path | str) -> str:
    return os.fspath(path).rpartition(os.sep)[2]


def _open(path: Path | str, absent: str) -> tuple[int, int]:
    """The descriptor of a regular file, and its size in bytes; opening a pipe or a device does not wait for anything.

    Raises:
        RecordError: ``absent``, or ``unreadable_file``.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(absent, f"no file {_name(path)}") from None
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        name = _name(path)
        raise RecordError("unreadable_file", f"{name}: {getattr(error, 'strerror', None) or error}") from None
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        os.close(file)
        raise RecordError("unreadable_file", f"{_name(path)} is no file")
    return file, status.st_size


def _fill(file: int, offset: int, values: NDArray[np.int16], name: str) -> bytes:
    """Read little-endian samples from an offset on, and return what lies before it."""
    head = bytearray(offset)
    into = values.view(np.uint8).data
    got = os.preadv(file, [head, into], 0) if offset else os.preadv(file, [into], 0)
    wanted = offset + len(into)
    while got < wanted:
        more = os.preadv(file, [into[got - offset :]], got) if got >= offset else 0
        if not more:
            raise RecordError("truncated_signal_file", f"{name} ended after {got} of {wanted} bytes")
        got += more
    if values.dtype.newbyteorder("<") != values.dtype:
        values.byteswap(inplace=True)  # on a big-endian machine
    return bytes(head)


_BYTES = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3}
"""Bytes per sample of the formats without compression."""


def _read_with_wfdb(path: str, header: Header) -> Recording:
    """Any other format, through the wfdb package, on a 16-bit grid of its own per lead."""
    folder, name = os.path.split(path)
    _check_sizes(folder, header)
    try:
        record = _wfdb_record(path, header)
        value = np.asarray([] if record.p_signal is None else record.p_signal, np.float64).T  # (L, S)
        names, units, fs = tuple(map(str, record.sig_name)), list(record.units), float(record.fs)
    except MemoryError:
        raise RecordError("unreadable_signal", f"{name} announces more samples than memory holds") from None
    except Exception as error:  # wfdb raises whatever its parsers meet
        raise RecordError("unreadable_signal", f"{name}: wfdb says {error}"[:200]) from None
    if not value.size:
        raise RecordError("bad_header", f"{name} leads to no signals")
    parts = [quantise(signal) for signal in value]
    return Recording(
        leads=names,
        fs=fs,
        samples=np.stack([samples for samples, _, _ in parts]),
        gain=np.array([gain for _, gain, _ in parts]),
        baseline=np.array([baseline for _, _, baseline in parts]),
        unit=np.array([millivolts_in(unit) for unit in units]),
    )


def _check_sizes(folder: str, header: Header) -> None:
    """Refuse a record whose files are missing, or shorter than announced: wfdb would ask for all that memory first."""
    needed: dict[str, float] = {}
    for line in header.signals:
        if line.file not in ("-", "~"):
            size = _BYTES.get(line.format, 0) * line.samples_per_frame * (header.samples or 0)
            needed[line.file] = needed.get(line.file, line.byte_offset) + size
    for name, size in needed.items():
        file, present = _open(os.path.join(folder, name), "no_signal_file")  # noqa: PTH118
        os.close(file)
        if not present:
            raise RecordError("empty_signal_file", f"{name} holds no samples")
        if present < size - 4:  # some writers leave the last group of packed samples short
            raise RecordError("truncated_signal_file", f"{name} has {present} of {size:.0f} bytes")


def _wfdb_record(path: str, header: Header) -> Any:
    """The record as the wfdb package reads it, which refuses a header that names its record with an extension."""
    import wfdb  # slow to import, and most archives never need it

    if "." not in header.name:
        return wfdb.rdrecord(path.removesuffix(".hea"))
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    with tempfile.TemporaryDirectory() as mended:
        for file in {line.file for line in header.signals}:
            Path(mended, file).symlink_to(Path(folder, file))
        text = header_text(path).replace(header.name, header.name.replace(".", "_"), 1)
        Path(mended, name.removesuffix(".hea")).with_suffix(".hea").write_text(text, "utf-8")
        return wfdb.rdrecord(str(Path(mended, name.removesuffix(".hea"))))
