"""Macro AUCs as programs compare them between versions of the project: rounded, without what is undefined."""

import polars as pl

from kmerl.results.names import share_name
from kmerl.results.scores import defined


def tree(rows: pl.DataFrame, outer: str, inner: str) -> dict[str, dict[str, float]]:
    """{value of the column ``outer``: {of ``inner``: AUC}}, with 4 digits."""
    found: dict[str, dict[str, float]] = {}
    for row in rows.iter_rows(named=True):
        if defined(row["value"]):
            place = share_name(row[inner]) if inner == "share" else row[inner]
            found.setdefault(row[outer], {})[place] = round(row["value"], 4)
    return found
