"""Work in parts that jobs of their own do: ``1of4`` to ``4of4``."""

from pathlib import Path
from typing import Annotated

import polars as pl
import pyarrow as pa
from pydantic import AfterValidator, Field

from kmerl.artifacts import read_table
from kmerl.errors import UserError


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


def parts_of(folder: Path) -> list[Path]:
    """The folders ``1of3``, ``2of3`` ... of a step that is done in parts, in their order.

    Raises:
        UserError: there is none, or one is missing.
    """
    parts = [path for path in folder.glob("*of*") if path.is_dir()]
    parts.sort(key=lambda path: int(path.name.partition("of")[0]))
    if not parts or [path.name for path in parts] != [f"{i}of{len(parts)}" for i in range(1, len(parts) + 1)]:
        found = ", ".join(path.name for path in parts) or "none"
        raise UserError(f"{folder}: parts of one whole are needed ({found}); run the stage that makes them")
    return parts


def read_parts(folder: Path, name: str, schema: pa.Schema) -> pl.DataFrame:
    """A table that lies in the parts of ``folder``, as one.

    Raises:
        UserError: a part is missing or damaged.
    """
    return pl.concat([read_table(part / name, schema) for part in parts_of(folder)])
