"""How numbers, intervals and tables are written."""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from kmerl.results.scores import defined
from kmerl.tables.markdown import NOTHING


def estimate(row: Mapping[str, Any] | None) -> str:
    """A value with its interval and its deviation over draws, e.g. ``0.712 [0.65, 0.77] ± 0.012``.

    What is not known is left out; a dash stands where there is no value.
    """
    if row is None or not defined(row["value"]):
        return NOTHING
    low, high, spread = row["low"], row["high"], row.get("spread")
    text = f"{row['value']:.3f}" + (f" [{low:.2f}, {high:.2f}]" if defined(low) else "")
    return text + (f" ± {spread:.3f}" if spread is not None and defined(spread) else "")


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


def span(rows: Iterable[Mapping[str, Any] | None], count: str) -> str:
    """A count over several rows: one number, or from the smallest to the largest where they differ."""
    counts = {row[count] for row in rows if row}
    return "–".join(str(one) for one in sorted({min(counts), max(counts)})) if counts else NOTHING


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Undefined values as empty cells."""
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def empty(*columns: str) -> list[pl.Expr]:
    """Columns of numbers without any."""
    return [pl.lit(None, pl.Float64).alias(column) for column in columns]
