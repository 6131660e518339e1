"""Zero-shot macro AUC with some of the leads, by what normalisation sees: the scope changes what one lead tells."""

from collections.abc import Sequence

import polars as pl

from kmerl.escapes import md, md_code
from kmerl.evaluation.schemas import AVERAGE, MACRO
from kmerl.results.names import LEFT_OUT, SCOPES, title
from kmerl.results.scores import ZeroshotScores, tasks_of, with_data
from kmerl.tables.cells import estimate, without_nan
from kmerl.tables.markdown import page, table
from kmerl.tables.origin import notice, provenance

COLUMNS = ["run", "dataset", "leads", "scope", "metric", "value", "low", "high", "n", "classes", "data"]


def tidy(runs: Sequence[ZeroshotScores]) -> pl.DataFrame:
    """Macro AUC of every run and lead set in every scope, each run asked in its own way by plain names."""
    frames = []
    for run in runs:
        others = run.elsewhere.filter(metric=MACRO, way=run.way, names=run.names)
        frames.append(with_data(pl.concat([run.asked(), others]), run).select(COLUMNS))
    return without_nan(pl.concat(frames))


def markdown(runs: Sequence[ZeroshotScores], confidence: float) -> str:
    """The average and every task, lead sets with several scopes one below the other.

    Args:
        runs: at least one.
        confidence: of the intervals.
    """
    frame, tasks = tidy(runs), tasks_of(runs)
    body = []
    for (run, leads, scope), part in frame.group_by(["run", "leads", "scope"], maintain_order=True):
        found = {row["dataset"]: row for row in part.iter_rows(named=True)}
        cells = [estimate(found.get(dataset)) for dataset in (AVERAGE, *tasks)]
        body.append([md_code(str(run)), md(str(leads)), SCOPES[str(scope)], *cells])
    order = list(dict.fromkeys((line[0], line[1]) for line in body))
    body.sort(key=lambda line: order.index((line[0], line[1])))  # stable: the scopes stay in their order
    return page(
        [
            "# Zero-shot classification by what normalisation sees",
            notice(runs),
            "A waveform is scaled by the extremes or moments of some leads. Where these are all leads of the record, "
            "leads that are not shown reach the model through the scale; a device of one lead has no others. Results "
            "are in the scope that stands first.",
            f"Cells: macro AUC [{confidence:.0%} bootstrap interval over patients].",
            LEFT_OUT,
            provenance(runs),
            table(["Run", "Shown", "Normalisation sees", *map(title, (AVERAGE, *tasks))], body),
        ]
    )
