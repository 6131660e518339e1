"""Reading WFDB records: format 16 straight from the file, anything else through the wfdb package.

Format 16 with one sample per frame, no skew and one signal file is what the archives use, in ``.dat`` files and behind
the 24 bytes that begin a MATLAB 4 file (``16x1+24``). Such a record costs two reads: its header, and its samples into
memory that the next record uses again. Headers of one archive differ in few fields, so what follows from the others is
worked out once.
"""

import math
import os
import re
import struct
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.files import content_of, open_file
from kmerl.archives.wfdb_format import (
    MOST_VALUES,
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
from kmerl.leads import is_lead

_LONGEST_HEADER = 1 << 20  # bytes
_RATE_AND_LENGTH = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})? [0-9]{1,12}")
_INTEGERS = re.compile(r"-?[0-9]{1,12}(?: -?[0-9]{1,12})*")
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
            RecordError: with the reason ``no_header``, ``bad_header``, ``bad_path`` (a file elsewhere),
                ``no_signal_file``, ``empty_signal_file``, ``truncated_signal_file``, ``too_long``
                (:data:`~kmerl.archives.wfdb_format.MOST_VALUES`), ``unreadable_signal``, ``unreadable_file``
                (permissions, a failing disk, no file at all) or ``unknown_unit`` (of one of the twelve leads).
        """
        path = os.fspath(header_path)
        text = header_text(path)
        signals = quick(text) or _thorough(text, _name(path))
        if signals is None or not signals.layout.plain:
            return _read_with_wfdb(path, parse_header(text))
        layout = signals.layout
        frames = self._frames(_beside(path, signals.file), len(layout.leads), signals)
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
        file, present = open_file(path, "no_signal_file")
        try:
            if present <= offset:
                raise RecordError("empty_signal_file", f"{name} holds no samples")
            samples = signals.samples or (present - offset) // (2 * n)
            needed = offset + 2 * n * samples
            if present < needed or not samples:
                raise RecordError("truncated_signal_file", f"{name} has {present} of {needed} bytes")
            if n * samples > self._memory.size:
                _bound(name, n * samples)
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
    return content_of(path, "no_header", _LONGEST_HEADER, "bad_header").decode("utf-8", "replace")


def quick(text: str) -> _Signals | None:
    """A header in which every signal line has all nine fields, none with a blank, and which is as usual else.

    Returns:
        What :func:`kmerl.archives.wfdb_format.parse_header` finds, in a fifth of its time; None for any other header.
    """
    lines, comment, after = text.partition("#")
    words = lines.split()
    if len(words) < 4 + _FIELDS or "/" in words[0] or not (words[1].isascii() and words[1].isdigit()):
        return None
    n, first_line = (len(words) - 4) // _FIELDS, lines[: lines.find("\n")]
    # n lines after the first, n words that are the file, each begins a line, and nine words on stands the next
    if not (
        words[1].lstrip("0") == str(n)
        and len(words[1]) < 5
        and len(words) == 4 + _FIELDS * n
        and words.count(words[4]) == words[4::_FIELDS].count(words[4]) == n
        and lines.count(f"\n{words[4]} ") == len(lines.splitlines()) - 1 == n
        and len(first_line.split()) == 4
        and _RATE_AND_LENGTH.fullmatch(f"{words[2]} {words[3]}")
        and _INTEGERS.fullmatch(integers := " ".join(words[9::_FIELDS] + words[10::_FIELDS]))
        and (not comment or lines.endswith("\n"))  # elsewhere it is part of a name
        and all(line.startswith("#") or not line.strip() for line in after.splitlines()[1:])
    ):
        return None
    try:
        fs, samples = float(words[2]), int(words[3])
        layout = layout_of(tuple([tuple(words[at::_FIELDS]) for at in (5, 6, 7, 8, 11, 12)]))
        numbers = np.fromstring(integers, np.int64, sep=" ")
    except RecordError:
        return None
    return _Signals(layout, words[4], fs, samples or None, numbers[:n], numbers[n:]) if fs > 0 else None


@lru_cache(1024)
def layout_of(columns: tuple[tuple[str, ...], ...]) -> Layout:
    """The layout of a header by the columns of its signal lines, from the format on but for first value and checksum.

    Raises:
        RecordError: ``bad_header`` or ``unknown_unit``.
    """
    return _layout([SignalLine("", *storage(*fields), name) for *fields, name in zip(*columns, strict=True)])


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
        unit=np.array([_unit(line.name, line.unit) for line in lines]) if plain else np.ones(len(lines)),
    )


def _unit(name: str, unit: str) -> float:
    """Millivolts in a signal's unit; NaN for a channel beside the twelve leads whose unit is another, as mmHg."""
    try:
        return millivolts_in(unit)
    except RecordError:
        if is_lead(name):
            raise
        return math.nan


def _thorough(text: str, name: str) -> _Signals | None:
    """Any header; None where it is of several segments."""
    header = parse_header(text)
    if header.parts:
        return None
    if not header.signals:
        raise RecordError("bad_header", f"{name} announces no signals")
    lines = header.signals
    first, checksum = (
        np.array([UNSTATED if value is None else value for value in values], np.int64)
        for values in zip(*((line.first, line.checksum) for line in lines), strict=True)
    )
    return _Signals(_layout(lines), lines[0].file, header.fs, header.samples, first, checksum)


def _name(path: Path | str) -> str:
    return os.fspath(path).rpartition(os.sep)[2]


def _beside(header: str, name: str) -> str:
    """The path of a file that a header names."""
    if os.sep in name:
        raise RecordError("bad_path", f"the header names {name[:80]}, which is not beside it")
    return header[: header.rfind(os.sep) + 1] + name


def _bound(name: str, values: float) -> None:
    """Refuse what would take gigabytes of memory."""
    if values > MOST_VALUES:
        raise RecordError("too_long", f"{name} has {values:.0f} samples over all its signals")


def _fill(file: int, offset: int, values: NDArray[np.int16], name: str) -> bytes:
    """Read little-endian samples from an offset on, and return the last bytes before it, as many as MATLAB 4 has."""
    head = bytearray(min(offset, _MATLAB_4.size + 4))  # an offset may be anything
    into, begin = values.view(np.uint8).data, offset - len(head)
    got = os.preadv(file, [head, into], begin) if head else os.preadv(file, [into], 0)
    wanted = len(head) + len(into)
    while got < wanted:
        more = os.preadv(file, [into[got - len(head) :]], begin + got) if got >= len(head) else 0
        if not more:
            raise RecordError("truncated_signal_file", f"{name} ended after {begin + got} of {begin + wanted} bytes")
        got += more
    if values.dtype.newbyteorder("<") != values.dtype:
        values.byteswap(inplace=True)  # on a big-endian machine
    return bytes(head)


_BYTES = {"8": 1, "16": 2, "24": 3, "32": 4, "61": 2, "80": 1, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3}
"""Bytes per sample of the formats without compression."""
_MOST_LINES = 4096  # signals or segments; wfdb takes a millisecond for each
_NO_FILE = "~"  # stands for a signal or segment without samples


def _read_with_wfdb(path: str, header: Header) -> Recording:
    """Any other format, through the wfdb package, on a 16-bit grid of its own per lead."""
    name, parts = _name(path), _single(path, header)
    _bound(name, sum(_check_sizes(part, found) for part, found in parts.items()))
    try:
        record = _wfdb_record(path, header)
        value = np.asarray([] if record.p_signal is None else record.p_signal, np.float64).T  # (L, S)
        names, units, fs = tuple(map(str, record.sig_name)), list(record.units), float(record.fs)
        vouched = all(_vouched(part, found) for part, found in parts.items())
    except MemoryError:
        raise RecordError("unreadable_signal", f"{name} announces more samples than memory holds") from None
    except Exception as error:  # wfdb raises whatever its parsers meet
        raise RecordError("unreadable_signal", f"{name}: wfdb says {error}"[:200]) from None
    if not value.size:
        raise RecordError("bad_header", f"{name} leads to no signals")
    quantised = [quantise(signal) for signal in value]
    return Recording(
        leads=names,
        fs=fs,
        samples=np.stack([samples for samples, _, _ in quantised]),
        gain=np.array([gain for _, gain, _ in quantised]),
        baseline=np.array([baseline for _, _, baseline in quantised]),
        unit=np.array([_unit(lead, unit) for lead, unit in zip(names, units, strict=True)]),
        vouched=vouched,
    )


def _single(path: str, header: Header) -> dict[str, Header]:
    """The header of a record of one segment by its path, or those of its segments.

    wfdb would follow segments to any file and into themselves, and make room for whatever they announce.
    """
    name = _name(path)
    if max(len(header.signals), header.channels, len(header.parts)) > _MOST_LINES:
        raise RecordError("bad_header", f"{name} announces more than {_MOST_LINES} signals or segments")
    if not header.parts:
        return {path: header}
    _bound(name, header.channels * max(header.samples or 0, sum(samples for _, samples in header.parts)))
    found = {}
    for part in {part: None for part, _ in header.parts if part != _NO_FILE}:
        segment = _beside(path, f"{part}.hea")
        found[segment] = parse_header(header_text(segment))
        if found[segment].parts:
            raise RecordError("bad_header", f"{name} has segments that have segments")
        if len(found[segment].signals) > header.channels:
            raise RecordError("bad_header", f"{name} has other signals than its segments")
    if not found or len(next(iter(found.values())).signals) != header.channels:
        raise RecordError("bad_header", f"{name} has other signals than its segments")
    return found


def _check_sizes(path: str, header: Header) -> float:
    """How many samples a record has, at most.

    One whose files are missing, or shorter than announced, is refused: wfdb would ask for all that memory first.
    """
    needed: dict[str, float] = {}
    values, held = 0, 0
    for line in header.signals:
        if line.file != _NO_FILE:
            size = _BYTES.get(line.format, 0) * line.samples_per_frame * (header.samples or 0)
            needed[line.file] = needed.get(line.file, line.byte_offset) + size
            values += line.samples_per_frame * ((header.samples or 0) + line.skew)
    for name, size in needed.items():
        file, present = open_file(_beside(path, name), "no_signal_file")
        os.close(file)
        held += present
        if not present:
            raise RecordError("empty_signal_file", f"{name} holds no samples")
        if present < size - 4:  # some writers leave the last group of packed samples short
            raise RecordError("truncated_signal_file", f"{name} has {present} of {size:.0f} bytes")
    values = values if header.samples else max(values, held)
    _bound(_name(path), values)
    return values


def _vouched(path: str, header: Header) -> bool:
    """Whether the samples are those of the header's first values and checksums, as far as it states them."""
    stated = [(line.first, line.checksum) for line in header.signals if line.file != _NO_FILE]
    if not any(first or checksum for first, checksum in stated):
        return True
    record = _wfdb_record(path, header, physical=False, smooth_frames=False, ignore_skew=True)
    return all(
        first in (None, int(samples[0])) and (checksum is None or (int(samples.sum()) - checksum) % 65536 == 0)
        for (first, checksum), samples in zip(stated, record.e_d_signal, strict=True)
    )


def _wfdb_record(path: str, header: Header, **options: bool) -> Any:
    """The record as the wfdb package reads it, which refuses a header that names its record with an extension."""
    import wfdb  # slow to import, and most archives never need it

    if "." not in header.name:
        return wfdb.rdrecord(path.removesuffix(".hea"), **options)
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    with tempfile.TemporaryDirectory() as mended:
        for file in {line.file for line in header.signals}:
            Path(mended, file).symlink_to(Path(folder, file))
        text = header_text(path).replace(header.name, header.name.replace(".", "_"), 1)
        Path(mended, name.removesuffix(".hea")).with_suffix(".hea").write_text(text, "utf-8")
        return wfdb.rdrecord(str(Path(mended, name.removesuffix(".hea"))), **options)
