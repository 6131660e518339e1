"""Frames as programs load them."""

import polars as pl


def without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Undefined values as empty cells."""
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


def empty(*columns: str) -> list[pl.Expr]:
    """Columns of numbers without any."""
    return [pl.lit(None, pl.Float64).alias(column) for column in columns]
