"""Zero-shot macro AUC with some of the leads, by what normalisation sees: the scope changes what one lead tells."""

from collections.abc import Sequence

import polars as pl

from kmerl.documents import Cell, Code, Document, document, estimate, grid
from kmerl.evaluation.schemas import AVERAGE, MACRO
from kmerl.results.names import SCOPES, title
from kmerl.results.scores import RunScores, tasks_of, with_data
from kmerl.tables.origin import caveat, notice, provenance
from kmerl.tables.table import tidied

COLUMNS = [
    "run", "dataset", "leads", "scope", "metric", "value", "low", "high", "seeds", "deviation", "n", "classes",
    "data",
]  # fmt: skip


def tidy(runs: Sequence[RunScores]) -> pl.DataFrame:
    """Macro AUC of every run and lead set in every scope, each run asked in its own way by plain names."""
    frames = []
    for run in runs:
        others = run.elsewhere.filter(metric=MACRO, way=run.way, names=run.names)
        frames.append(with_data(pl.concat([run.asked(), others]), run))
    return tidied(frames, COLUMNS)


def for_people(runs: Sequence[RunScores], confidence: float) -> Document:
    """The average and every task, lead sets with several scopes one below the other.

    Args:
        runs: at least one.
        confidence: of the intervals.
    """
    datasets = (AVERAGE, *tasks_of(runs))
    found = {
        key: {row["dataset"]: row for row in part.iter_rows(named=True)}
        for key, part in tidy(runs).group_by(["run", "leads", "scope"], maintain_order=True)
    }
    order = list(dict.fromkeys(key[:2] for key in found))
    body: list[list[Cell]] = [
        [Code(str(run)), str(leads), SCOPES[str(scope)], *(estimate(rows.get(one)) for one in datasets)]
        for (run, leads, scope), rows in sorted(found.items(), key=lambda one: order.index(one[0][:2]))  # stable
    ]
    return document(
        "Zero-shot classification by what normalisation sees",
        notice(runs),
        "A waveform is scaled by the extremes or moments of some leads. Where these are all leads of the record, "
        "leads that are not shown reach the model through the scale; a device of one lead has no others. Results "
        "are in the scope that stands first.",
        f"Cells: macro AUC [{confidence:.0%} bootstrap interval over patients].",
        caveat(runs),
        provenance(runs),
        grid(["Run", "Shown", "Normalisation sees", *map(title, datasets)], body),
    )
