"""Values and tables as lines that fit the terminal."""

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kmerl.escapes import one_line
from kmerl.wording import size_text

ROWS, DISTINCT = 5, 20  # rows shown, different values counted, at most
_WIDE = 9  # columns that still fit side by side
_LEAST, _CELL = 8, 120  # characters of a cell


def width() -> int:
    """Characters per line: the terminal's, or 120 where there is none."""
    return max(60, shutil.get_terminal_size((120, 24)).columns)


def size(path: Path) -> str:
    """A file's or folder's size for people."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return size_text(sum(file.stat().st_size for file in files))


def cell(value: Any) -> str:
    """One value, short and in one line."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, pl.Series | list | tuple | np.ndarray):
        items = list(value)
        shown = ", ".join(map(cell, items[:4]))
        return f"[{shown}]" if len(items) <= 4 else f"[{shown}, … {len(items)}]"
    text = one_line(str(value))
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def grid(header: Sequence[str], rows: Iterable[Sequence[Any]], indent: str = "  ", right: Collection[int] = ()) -> str:
    """Aligned columns within the terminal's width; the widest are cut first. ``right``: columns aligned there."""
    lines = [[cell(name) for name in header], *[[cell(value) for value in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    room = width() - len(indent) - 2 * (len(header) - 1)
    while sum(widths) > room and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1

    def fitted(column: int, text: str) -> str:
        to = widths[column]
        short = text if len(text) <= to else text[: to - 1] + "…"
        return short.rjust(to) if column in right else short.ljust(to)

    return "\n".join((indent + "  ".join(starmap(fitted, enumerate(line)))).rstrip() for line in lines)


def frame(table: pl.DataFrame, rows: int = ROWS, wide: int = _WIDE) -> str:
    """The first rows of a table; one column per row where there are more than ``wide`` columns."""
    head = table.head(rows)
    if len(table.columns) <= wide:
        return grid(table.columns, head.iter_rows())
    head = head.head(3)
    names = ["column", *[f"row {i}" for i in range(len(head))]]
    return grid(names, [[name, *head[name].to_list()] for name in table.columns])


def counts(values: pl.Series) -> str:
    """How often each value occurs, commonest first, in one line."""
    found = Counter(values.to_list()).most_common()
    shown = ", ".join(f"{cell(value)} {n:,}" for value, n in found[:DISTINCT])
    return shown + (f", … {len(found)} values" if len(found) > DISTINCT else "") if found else "none"
