"""What was left out, and why: nothing is dropped silently."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kmerl import documents
from kmerl.documents import Cell, Count, Grid
from kmerl.page.texts import explain
from kmerl.page.values import shortened

_EXAMPLES = 3


@dataclass(frozen=True)
class LeftOut:
    """One table of what could not be used.

    Attributes:
        where: the step and what it works on, e.g. ``Records of ptb_xl``.
        rows: columns ``reason``, and ``what`` for examples.
    """

    where: str
    rows: pl.DataFrame


def left_out(where: str, table: pl.DataFrame, reason: str, *columns: str) -> LeftOut:
    """A stage's table of what it rejected; an example is the text of ``columns``, the first of them an id."""
    pieces = [pl.col(column).cast(pl.String).fill_null("") for column in columns]
    return LeftOut(where, table.select(pl.col(reason).alias("reason"), what=pl.concat_str(pieces, separator=": ")))


def checks(where: str, found: Mapping[str, Any]) -> LeftOut:
    """The answers that a step had to mend, by kind: {kind: list, or mapping of lists}."""
    rows = []
    for kind, several in sorted(found.items()):
        items = several.items() if isinstance(several, Mapping) else ((one, None) for one in several)
        rows += [(kind.replace("_", " "), _item(name, inner)) for name, inner in items]
    return LeftOut(where, pl.DataFrame(rows, {"reason": pl.String, "what": pl.String}, orient="row"))


def _item(name: Any, inner: Any) -> str:
    listed = ", ".join(map(str, name)) if isinstance(name, list) else str(name)
    return f"{listed}: {', '.join(map(str, inner))}" if inner else listed


def grid(tables: Sequence[LeftOut], examples: int = _EXAMPLES) -> Grid:
    """One row for each place and reason, with how many and the first few of them."""
    rows = [row for table in tables for row in _rows(table, examples)]
    return documents.grid(["Where", "Reason", "Meaning", "Count", "For example"], rows, [3])


def _rows(table: LeftOut, few: int) -> Iterator[list[Cell]]:
    if table.rows.is_empty():
        yield [table.where, "nothing left out", "", Count(0), ""]
    counts = table.rows.group_by("reason").len().sort("len", "reason", descending=[True, False])
    for reason, number in counts.iter_rows():
        examples = table.rows.filter(pl.col("reason") == reason)["what"].head(few)
        text = "; ".join(shortened(example) for example in examples)
        yield [table.where, reason, explain("reasons", reason), Count(number), text]
