"""How numbers, intervals and tables are written."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from kmerl.evaluation.schemas import AVERAGE

NOTHING = "–"
_TITLES = {
    "ptbxl_super": "PTB-XL Super",
    "ptbxl_sub": "PTB-XL Sub",
    "ptbxl_form": "PTB-XL Form",
    "ptbxl_rhythm": "PTB-XL Rhythm",
    "cpsc2018": "CPSC2018",
    "csn": "CSN",
    AVERAGE: "Average",
}
WAYS = {
    "query": "query network",
    "contrastive": "cosine with the name",
    "average": "mean of both",
    "mixture": "nearest training queries",
}
"""The ways of asking, for people."""


def title(dataset: str) -> str:
    """The name of a task for people."""
    return _TITLES.get(dataset, dataset)


def estimate(row: Mapping[str, Any] | None) -> str:
    """A value with its interval, e.g. ``0.712 [0.65, 0.77]``; a dash where there is none."""
    if row is None or not defined(row["value"]):
        return NOTHING
    low, high = row["low"], row["high"]
    return f"{row['value']:.3f}" + (f" [{low:.2f}, {high:.2f}]" if defined(low) else "")


def signed(value: float, digits: int = 3) -> str:
    """A difference, always with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−") if defined(value) else NOTHING


def difference(row: Mapping[str, Any] | None) -> str:
    """A difference with its interval, bold where the interval excludes 0, e.g. ``**+0.051 [+0.02, +0.08]**``."""
    if row is None or not defined(row["difference"]):
        return NOTHING
    low, high = row["low"], row["high"]
    text = signed(row["difference"]) + (f" [{signed(low, 2)}, {signed(high, 2)}]" if defined(low) else "")
    return f"**{text}**" if row["excludes_zero"] else text


def defined(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and not math.isnan(value)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; the columns ``right`` are aligned right."""
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def span(rows: Iterable[Mapping[str, Any] | None], count: str) -> str:
    """A count over several rows: one number, or from the smallest to the largest where they differ."""
    counts = {row[count] for row in rows if row}
    return "–".join(str(one) for one in sorted({min(counts), max(counts)})) if counts else NOTHING


def page(parts: Iterable[str]) -> str:
    """Paragraphs and tables as one Markdown text."""
    return "\n\n".join(part for part in parts if part) + "\n"


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Undefined values as empty cells."""
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def empty(*columns: str) -> list[pl.Expr]:
    """Columns of numbers without any."""
    return [pl.lit(None, pl.Float64).alias(column) for column in columns]


def lead_count(count: int) -> str:
    """How a number of leads is written."""
    return "1 lead" if count == 1 else f"{count} leads"
