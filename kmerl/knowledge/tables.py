"""Tables of rows that fit a schema, and those that lie in parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from kmerl.artifacts import read_table
from kmerl.errors import UserError

UNUSABLE = pa.schema(
    [
        pa.field("report_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""What could not be used: of which report (null if the question was about all), why, the raw text, which question."""


def frame(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pl.DataFrame:
    """Rows as a frame with the schema's columns, even if there are none."""
    empty = pl.from_arrow(schema.empty_table())
    assert isinstance(empty, pl.DataFrame)
    return pl.DataFrame(rows, schema=empty.schema, orient="row")


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
