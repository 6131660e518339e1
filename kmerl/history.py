"""The table of a run's losses (``history.parquet``); apart from the trainer, so that readers of it need neither."""

import polars as pl
import pyarrow as pa

HISTORY = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)
"""After a step, by name: learning_rate, loss, each of its terms, and where it was validated ``valid_`` and what by."""


def curve(history: pl.DataFrame, name: str) -> pl.DataFrame:
    """Step and value of everything called ``name``."""
    return history.filter(pl.col("name") == name).select("step", "value")


def last(history: pl.DataFrame, name: str) -> float | None:
    """The last value called ``name``; None if there is none."""
    values = curve(history, name)["value"].drop_nulls()
    return float(values[-1]) if len(values) else None
