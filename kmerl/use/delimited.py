"""CSV files: columns with or without names, a column of times, units in brackets."""

import csv
import io
import math
import os
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from kmerl.errors import UserError
from kmerl.regular import open_regular

MOST_VALUES = 1 << 30
"""A file of more numbers is not read: 12 leads for 24 hours at 1000 Hz, or 8 GiB in memory."""

_LARGEST = 1 << 34  # bytes of a file: 24 hours of 12 leads at 500 Hz take 4 GB, with many digits twice as much
_LONGEST_LINE = 1 << 25  # characters: a row per lead still fits, for two hours at 500 Hz
_MOST_NAMES = 10_000  # columns with names
_COLUMN = re.compile(r"(.*?)[\s_]*(?:[\[(]\s*([^\W\d_]{1,7})\s*[\])]|_(mv|uv|ms))?", re.IGNORECASE)
_TIME = {"time", "t", "timestamp", "elapsed", "elapsed time", "seconds", "sec", "ms", "milliseconds"}
_COUNTER = {"", "#", "n", "index", "sample", "samples", "sample number", "row"}
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6}
_NOTHING = {"", "na", "n/a", "nan", "null", "none", "-"}
_UNEVEN = 0.5  # of a step; stamps rounded to ms stay within
_SLOWEST = 10.0  # Hz; slower stamps are in another unit


@dataclass(frozen=True)
class Table:
    """The channels of a CSV file.

    Attributes:
        names: of the channels; None if the file has no header.
        values: (C, S), NaN where there is no value.
        unit: what the header states for all channels, if it does.
        fs: samples per second by the column of times, if there is one.
    """

    names: list[str] | None
    values: NDArray[np.float64]
    unit: str | None
    fs: float | None


def read_delimited(path: Path, timed: bool) -> Table:
    """Read a file delimited by commas, semicolons (decimal commas allowed), tabs or blanks; ``#`` starts a comment.

    Args:
        path: the file.
        timed: whether the column of times is needed; else it may hold anything.

    Raises:
        UserError: unreadable, ragged, a cell is no number, or times are not evenly spaced.
    """
    try:
        with open_regular(path) as raw, io.TextIOWrapper(raw, "utf-8-sig") as file:
            size = os.fstat(raw.fileno()).st_size
            if size > _LARGEST:
                raise UserError(f"{path}: {size:,} bytes, more than {_LARGEST:,}; give a part of it")
            return _read(path, file, timed)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as text ({error})") from None


def _read(path: Path, file: TextIO, timed: bool) -> Table:
    rows, delimiter = _rows(path, file)
    line, first = next(rows)
    if all(_number(cell, delimiter) is not None for cell in first):
        # a range, not a list: a row per lead has millions of columns
        values = _values(path, chain([(line, first)], rows), len(first), range(len(first)), delimiter)
        return Table(None, values, None, None)
    names, channels, times, unit = _columns(path, first)
    wanted: Sequence[int] = [*channels, *(times if timed else ())]
    if wanted == list(range(len(first))):
        wanted = range(len(first))
    values = _values(path, rows, len(first), wanted, delimiter)
    fs = None
    if timed and times:
        name, of_times = names[times[0]]
        fs = _rate(path, values[-1] * _TIME_UNITS.get((of_times or name).lower(), 1.0))
    return Table([names[i][0] for i in channels], values[: len(channels)], unit, fs)


def _columns(path: Path, header: list[str]) -> tuple[list[tuple[str, str]], list[int], list[int], str | None]:
    """Names and units of all columns, which of them are channels, which are times, and the channels' unit."""
    if len(header) > _MOST_NAMES:
        raise UserError(f"{path}: {len(header):,} columns with names; give one per lead")
    names = [_split(cell) for cell in header]
    times = [i for i, (name, _) in enumerate(names) if name.lower() in _TIME]
    channels = [i for i, (name, _) in enumerate(names) if name.lower() not in _TIME | _COUNTER]
    if len(times) > 1 or not channels:
        raise UserError(f"{path}: columns {_shown(header)}; give one of times at most, and one per lead")
    units = {names[i][1] for i in channels if names[i][1]}
    if len(units) > 1:
        raise UserError(f"{path}: columns in {_shown(sorted(units), ' and ')}; bring them to one unit")
    return names, channels, times, next(iter(units), None)


def _shown(cells: Sequence[str], between: str = ", ") -> str:
    """Cells in a message, which stays a line whatever they hold."""
    return " ".join(between.join(cells[:100]).split())[:200]


def _lines(path: Path, file: TextIO) -> Iterator[tuple[int, str]]:
    """The lines that hold cells, with their numbers."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise UserError(f"{path}: line {number} has more than {_LONGEST_LINE:,} characters; give a row per sample")
        if line.strip() and not line.startswith("#"):
            yield number, line.rstrip("\n")


def _rows(path: Path, file: TextIO) -> tuple[Iterator[tuple[int, list[str]]], str]:
    """Rows of cells with their line numbers, one after another, and the delimiter."""
    lines = _lines(path, file)
    start = next(lines, None)
    if start is None:
        raise UserError(f"{path}: empty")
    delimiter = next((mark for mark in "\t;," if mark in start[1]), " " if len(start[1].split()) > 1 else ",")
    every = chain([start], lines)
    if delimiter == " ":
        return ((number, line.split()) for number, line in every), delimiter
    return _cells(path, every, delimiter), delimiter


def _cells(path: Path, lines: Iterator[tuple[int, str]], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Lines as rows; no cell goes on in the next line."""
    number = 0

    def texts() -> Iterator[str]:
        nonlocal number
        for number, line in lines:  # noqa: B007
            yield line

    reader = csv.reader(texts(), delimiter=delimiter)
    try:
        for count, row in enumerate(reader, 1):
            if reader.line_num != count:
                raise UserError(f"{path}: not readable as CSV")
            yield number, [cell.strip() for cell in row]
    except csv.Error:
        raise UserError(f"{path}: not readable as CSV") from None


def _split(cell: str) -> tuple[str, str]:
    """A column's name and unit."""
    match = _COLUMN.fullmatch(cell)
    assert match is not None  # the pattern takes anything
    return match[1].strip().replace("_", " "), match[2] or match[3] or ""


def _number(cell: str, delimiter: str) -> float | None:
    if cell.lower() in _NOTHING:
        return math.nan
    try:
        return float(cell.replace(",", ".") if delimiter == ";" else cell)
    except ValueError:
        return None


def _values(
    path: Path, rows: Iterable[tuple[int, list[str]]], width: int, wanted: Sequence[int], delimiter: str
) -> NDArray[np.float64]:
    """The numbers (C, S) in the columns wanted; of the text no more than a row is in memory."""
    values = array("d")
    for line, row in rows:
        if len(row) != width:
            raise UserError(f"{path}: line {line}: {len(row)} columns where the first line has {width}")
        cells = row if isinstance(wanted, range) else [row[i] for i in wanted]
        try:
            numbers = list(map(float, cells))
        except ValueError:  # an empty cell, a decimal comma, or none at all
            numbers = _numbers(path, line, cells, delimiter)
        values.extend(numbers)
        if len(values) > MOST_VALUES:
            raise UserError(f"{path}: more than {MOST_VALUES:,} numbers; give a part of it")
    if not values:
        raise UserError(f"{path}: a header without rows of numbers")
    return np.frombuffer(values).reshape(-1, len(wanted)).T


def _numbers(path: Path, line: int, cells: Sequence[str], delimiter: str) -> list[float]:
    found = []
    for cell in cells:
        number = _number(cell, delimiter)
        if number is None:
            raise UserError(f"{path}: line {line}: {cell[:40]!r} is no number")
        found.append(number)
    return found


def _rate(path: Path, seconds: NDArray[np.float64]) -> float:
    """Samples per second of evenly spaced times."""
    if len(seconds) < 2 or not np.isfinite(seconds).all() or not seconds[-1] > seconds[0]:
        raise UserError(f"{path}: the column of times does not count up; give fs instead")
    steps = np.diff(seconds)
    mean = float(steps.mean())
    if np.abs(steps - mean).max() > _UNEVEN * mean:
        raise UserError(f"{path}: times are not evenly spaced; resample the signal, or give fs if only they are coarse")
    if 1 / mean < _SLOWEST:
        raise UserError(f"{path}: times in s mean {1 / mean:.3g} Hz; name the column 'time (ms)', or give fs")
    rate = 1 / mean
    return float(round(rate)) if abs(rate - round(rate)) < 1e-3 * rate else rate
