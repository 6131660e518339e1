"""Rows of tuples as a frame with the columns of a schema."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pyarrow as pa


def frame(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pl.DataFrame:
    """A frame with exactly the schema's columns and types, with no rows too."""
    return pl.DataFrame(rows, pl.DataFrame(schema.empty_table()).schema, orient="row")
