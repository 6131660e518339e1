"""CSV files: columns with or without names, a column of times, units in brackets."""

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmerl.errors import UserError

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
    rows, delimiter = _rows(path)
    first = rows[0][1]
    header = first if any(_number(cell, delimiter) is None for cell in first) else None
    body = rows[1:] if header else rows
    if not body:
        raise UserError(f"{path}: a header without rows of numbers")
    columns = [_split(cell) for cell in header] if header else [(str(i), "") for i in range(len(first))]
    times = [i for i, (name, _) in enumerate(columns) if header and name.lower() in _TIME]
    channels = [i for i, (name, _) in enumerate(columns) if not header or name.lower() not in _TIME | _COUNTER]
    if len(times) > 1 or not channels:
        raise UserError(f"{path}: columns {', '.join(header or ())}; give one of times at most, and one per lead")
    fs = None
    if timed and times:
        name, unit = columns[times[0]]
        stamps = _column(path, body, times[0], delimiter)
        fs = _rate(path, stamps * _TIME_UNITS.get((unit or name).lower(), 1.0))
    units = {columns[i][1] for i in channels if columns[i][1]}
    if len(units) > 1:
        raise UserError(f"{path}: columns in {' and '.join(sorted(units))}; bring them to one unit")
    values = np.stack([_column(path, body, i, delimiter) for i in channels])
    return Table([columns[i][0] for i in channels] if header else None, values, next(iter(units), None), fs)


def _rows(path: Path) -> tuple[list[tuple[int, list[str]]], str]:
    """Rows of cells with their line numbers, all equally long, and the delimiter."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as text ({error})") from None
    numbered = [(i, line.strip("\r\n")) for i, line in enumerate(lines, 1)]
    numbered = [(i, line) for i, line in numbered if line.strip() and not line.startswith("#")]
    if not numbered:
        raise UserError(f"{path}: empty")
    start = numbered[0][1]
    delimiter = next((mark for mark in "\t;," if mark in start), " " if len(start.split()) > 1 else ",")
    if delimiter == " ":
        rows = [(i, line.split()) for i, line in numbered]
    else:
        cells = csv.reader((line for _, line in numbered), delimiter=delimiter)
        try:
            rows = [(i, [cell.strip() for cell in row]) for (i, _), row in zip(numbered, cells, strict=True)]
        except (csv.Error, ValueError):
            raise UserError(f"{path}: not readable as CSV") from None
    for i, row in rows:
        if len(row) != len(rows[0][1]):
            raise UserError(f"{path}: line {i}: {len(row)} columns where the first line has {len(rows[0][1])}")
    return rows, delimiter


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


def _column(path: Path, body: list[tuple[int, list[str]]], column: int, delimiter: str) -> NDArray[np.float64]:
    values = np.empty(len(body))
    for k, (line, row) in enumerate(body):
        number = _number(row[column], delimiter)
        if number is None:
            raise UserError(f"{path}: line {line}: {row[column][:40]!r} is no number")
        values[k] = number
    return values


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
