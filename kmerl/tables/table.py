"""A table of an evaluation, for programs and for people, and the section of the page that it stands in."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from kmerl.documents import Caption, Cell, Decimal, Document, Grid, grid
from kmerl.results.published import Published


@dataclass(frozen=True)
class Section:
    """A section of the page: what it is called in links, its title, and its introduction."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table of an evaluation, its frame for programs and its document for people."""

    caption: Caption
    frame: pl.DataFrame
    document: Document


def tidied(frames: Sequence[pl.DataFrame], columns: Sequence[str]) -> pl.DataFrame:
    """Rows one below the other; a cell is empty where a frame has no such column, or no defined value."""
    return pl.concat(frames, how="diagonal_relaxed").select(columns).with_columns(pl.col(pl.Float64).fill_nan(None))


def averages(several: Sequence[Published]) -> Grid:
    """Published averages over six tasks, one row for each."""
    rows: list[list[Cell]] = [[one.method, one.lead_set, Decimal(one.auc), one.source] for one in several]
    return grid(["Method", "Leads", "Average of six tasks", "Source"], rows)
