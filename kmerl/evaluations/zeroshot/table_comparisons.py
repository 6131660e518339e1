"""Paired differences of scores: between runs, lead sets, names and ways of asking.

Every run is resampled with the same patients, so the difference of two runs' resampled values is a resampled value
of their difference. Its interval is narrower than the two runs' own intervals suggest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kmerl import documents as cells
from kmerl.documents import Block, Bold, Cell, Document, Grid, Heading, Interval, Text, document, grid
from kmerl.errors import UserError
from kmerl.evaluation.intervals import interval
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_RENAMED, MACRO_SEEN
from kmerl.results.names import title
from kmerl.results.scores import QUERY, RunScores
from kmerl.tables.origin import caveat, notice, provenance
from kmerl.tables.table import tidied

COLUMNS = [
    "kind", "run", "leads", "way", "names", "other_run", "other_leads", "other_way", "other_names", "dataset",
    "metric", "difference", "low", "high", "excludes_zero", "data",
]  # fmt: skip
RUNS, LEADS, NAMES, WAYS = "runs", "leads", "names", "ways"
"""Kinds: two runs with the same leads; one lead against all; other names of the same classes; another way of asking."""


@dataclass(frozen=True)
class Side:
    """One of the two scores that are compared."""

    run: RunScores
    leads: str
    way: str
    names: str

    def where(self, dataset: str) -> dict[str, str]:
        """The columns that find it among the run's scores."""
        return {"dataset": dataset, "leads": self.leads, "way": self.way, "names": self.names}


def difference(one: Side, other: Side, dataset: str, metric: str, confidence: float) -> dict[str, Any] | None:
    """``one`` minus ``other`` with the interval of their paired resamples; None where either has no such score.

    Raises:
        UserError: the two were not resampled equally often.
    """
    rows = [side.run.row(metric, **side.where(dataset)) for side in (one, other)]
    values = [side.run.resampled(metric, **side.where(dataset)) for side in (one, other)]
    (first, second), (ours, theirs) = rows, values
    if first is None or second is None or ours is None or theirs is None:
        return None
    if len(ours) != len(theirs):
        raise UserError(
            f"scores of {one.run.name} and {other.run.name} have {len(ours)} and {len(theirs)} resamples; "
            "run their stage again with one value of evaluation.bootstrap"
        )
    found = interval(first["value"] - second["value"], ours - theirs, confidence)
    data = dict.fromkeys(side.run.data_of(dataset) for side in (one, other))
    return {
        "run": one.run.name, "leads": one.leads, "way": one.way, "names": one.names, "other_run": other.run.name,
        "other_leads": other.leads, "other_way": other.way, "other_names": other.names, "dataset": dataset,
        "metric": metric, "difference": found.value, "low": found.low, "high": found.high,
        "excludes_zero": found.low > 0 or found.high < 0, "data": "; ".join(data),
    }  # fmt: skip


def side(run: RunScores, leads: str) -> Side:
    """A run asked in its own way by plain names."""
    return Side(run, leads, run.way, run.names)


def tidy(
    runs: Sequence[RunScores], compared: Sequence[Sequence[str]], lead_counts: Mapping[str, int], confidence: float
) -> pl.DataFrame:
    """All differences (columns :data:`COLUMNS`).

    Args:
        runs: at least one.
        compared: pairs of their names.
        lead_counts: lead set -> number of its leads.
        confidence: of the intervals.
    """
    rows = []
    pairs = [*_runs(runs, compared), *_leads(runs, lead_counts), *_names(runs), *_ways(runs)]
    for kind, one, other, metric in pairs:
        for dataset in [*one.run.tasks, AVERAGE]:
            row = difference(one, other, dataset, metric, confidence)
            rows += [{"kind": kind} | row] if row else []
    types: dict[str, Any] = dict.fromkeys(COLUMNS, pl.String)
    types |= dict.fromkeys(("difference", "low", "high"), pl.Float64) | {"excludes_zero": pl.Boolean}
    return tidied([pl.DataFrame(rows, schema=types)], COLUMNS)


_Pair = tuple[str, Side, Side, str]


def _runs(runs: Sequence[RunScores], compared: Sequence[Sequence[str]]) -> Iterator[_Pair]:
    named = {run.name: run for run in runs}
    for one, other in compared:
        for leads in named[one].lead_sets:
            yield RUNS, side(named[one], leads), side(named[other], leads), MACRO


def _leads(runs: Sequence[RunScores], lead_counts: Mapping[str, int]) -> Iterator[_Pair]:
    """One lead of a run with a query network against the most leads of every run, itself too."""
    most = max(lead_counts.values())
    for one in runs:
        for leads in one.lead_sets:
            for other in runs if one.way == QUERY and lead_counts.get(leads) == 1 < most else []:
                for against in other.lead_sets:
                    if lead_counts.get(against) == most:
                        yield LEADS, side(one, leads), side(other, against), MACRO


def _asked(run: RunScores) -> list[tuple[str, str]]:
    """(leads, way) that the run was asked with."""
    return list(run.scores.select("leads", "way").unique(maintain_order=True).iter_rows())


def _names(runs: Sequence[RunScores]) -> Iterator[_Pair]:
    """Seen classes by other names minus the same classes by the names that training used."""
    for run in runs:
        for leads, way in _asked(run):
            yield NAMES, Side(run, leads, way, "other_name"), Side(run, leads, way, "name"), MACRO_SEEN


def _ways(runs: Sequence[RunScores]) -> Iterator[_Pair]:
    """Every other way of asking minus the run's own."""
    groups = [(MACRO, "name"), (MACRO_SEEN, "name"), (MACRO_SEEN, "other_name"), (MACRO_RENAMED, "name")]
    for run in runs:
        for leads, way in _asked(run):
            for metric, names in groups if way != run.way else []:
                yield WAYS, Side(run, leads, way, names), Side(run, leads, run.way, names), metric


def for_people(frame: pl.DataFrame, runs: Sequence[RunScores], confidence: float) -> Document:
    """Every two runs per lead set, then one lead against all; names and ways are in the table of queries.

    Args:
        frame: of :func:`tidy`.
        runs: the runs compared.
        confidence: of the intervals.
    """
    tasks = list(dict.fromkeys(task for run in runs for task in run.tasks))
    blocks: list[Block | Text] = []
    between = frame.filter(kind=RUNS)
    for leads in between["leads"].unique(maintain_order=True):
        blocks += [Heading(f"Shown: {leads}"), _grid(between.filter(leads=leads), tasks, with_leads=False)]
    if between.is_empty():
        blocks.append("One run only: nothing to compare it with.")
    few = frame.filter(kind=LEADS)
    if few.height:
        blocks += [Heading("One lead against all"), _grid(few, tasks, with_leads=True)]
    return document(
        "Comparisons: paired differences of macro AUC",
        notice(runs),
        [
            f"Each row is the first score minus the second. Interval: {confidence:.0%} of the differences over "
            "resamples of patients, the same resamples for both. ",
            Bold("Bold"),
            ": the interval excludes 0. The number of comparisons is not corrected for. Every run is asked in its own "
            "way by plain names. Intervals of single tasks: comparisons_auc.csv.",
        ],
        caveat(runs),
        provenance(runs),
        *blocks,
    )


def _grid(frame: pl.DataFrame, tasks: Sequence[str], with_leads: bool) -> Grid:
    """One row per pair: the average with its interval, then the tasks."""
    body: list[list[Cell]] = []
    keys = ["run", "leads", "other_run", "other_leads"]
    for (run, leads, other, against), part in frame.group_by(keys, maintain_order=True):
        found = {row["dataset"]: row for row in part.iter_rows(named=True)}
        short = [cells.difference(found.get(dataset), interval=False) for dataset in (AVERAGE, *tasks)]
        pair = f"{run}, {leads} − {other}, {against}" if with_leads else f"{run} − {other}"
        body.append([pair, short[0], *_ends(found.get(AVERAGE)), *short[1:]])
    return grid(["First − second", title(AVERAGE), "Interval", "Excludes 0", *map(title, tasks)], body)


def _ends(row: Mapping[str, Any] | None) -> list[Cell]:
    if row is None or row["difference"] is None:
        return [None, None]
    ends = None if row["low"] is None else Interval(row["low"], row["high"])
    return [ends, "yes" if row["excludes_zero"] else "no"]
