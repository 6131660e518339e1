"""Published averages of zero-shot classification, in a grid of their own."""

from collections.abc import Sequence

from kmerl.documents.document import Cell, Decimal, Grid, grid
from kmerl.results.published import Published


def averages(several: Sequence[Published]) -> Grid:
    """One row for each."""
    rows: list[list[Cell]] = [[one.method, one.lead_set, Decimal(one.auc), one.source] for one in several]
    return grid(["Method", "Leads", "Average of six tasks", "Source"], rows)
