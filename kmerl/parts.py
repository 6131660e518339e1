"""Work in parts that jobs of their own do: ``1of4`` to ``4of4``."""

from typing import Annotated

import polars as pl
from pydantic import AfterValidator, Field


def _whole(parts: list[str]) -> list[str]:
    if parts != [f"{i}of{len(parts)}" for i in range(1, len(parts) + 1)]:
        raise ValueError(f"pieces of one whole in their order are needed, such as [1of{len(parts)}, ...]")
    return parts


Parts = Annotated[list[str], Field(min_length=1), AfterValidator(_whole)]
"""The names of all parts, in their order."""


def part_of(rows: pl.DataFrame, part: str) -> pl.DataFrame:
    """The rows of one part, such as ``2of4``: a stretch of the table, as long as the others but for one row."""
    number, of = map(int, part.split("of"))
    begin, end = (rows.height * i // of for i in (number - 1, number))
    return rows[begin:end]
