"""Zero-shot macro AUC with 1 to 12 leads and with every lead alone (paper section 3.5, App. D.3)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from kmerl.documents import (
    Block,
    Bold,
    Caption,
    Cell,
    Code,
    Decimal,
    Document,
    Grid,
    Heading,
    Text,
    document,
    estimate,
    grid,
    listed,
)
from kmerl.evaluation.intervals import interval
from kmerl.evaluation.schemas import AVERAGE
from kmerl.evaluations.partial_leads.schemas import NESTED, SINGLE
from kmerl.evaluations.partial_leads.scores import scopes_of, sets_of
from kmerl.origins import RECORDED
from kmerl.results import published
from kmerl.results.names import SCOPES, lead_count, title
from kmerl.results.scores import RunScores, tasks_of, with_data
from kmerl.tables.metrics import tree
from kmerl.tables.origin import caveat, notice, provenance
from kmerl.tables.table import Section, Table, averages, tidied

COLUMNS = [
    "run", "scope", "kind", "leads", "count", "dataset", "value", "low", "high", "seeds", "deviation", "n", "classes",
    "published", "data",
]  # fmt: skip
MEAN = "mean of the nested sets"


def tidy(runs: Sequence[RunScores], confidence: float) -> pl.DataFrame:
    """Macro AUC of every run, scope, lead set and task, then published averages (columns :data:`COLUMNS`)."""
    found = []
    for run in runs:
        kinds = run.tables["leads"].select("leads", "kind", "count")
        found.append(with_data(run.rows().drop("kind"), run).join(kinds, on="leads", how="left", maintain_order="left"))
        means = [row for scope in scopes_of(run) if (row := mean(run, scope, confidence))]
        found += [pl.DataFrame(means)] if means else []
    theirs = [
        {"run": f"{one.method} (published)", "scope": "record", "kind": NESTED, "leads": one.lead_set}
        | {"count": one.leads, "dataset": one.dataset, "published": one.auc, "data": RECORDED}
        for one in published.zeroshot()
    ]
    return tidied([*found, pl.DataFrame(theirs)], COLUMNS)


def mean(run: RunScores, scope: str, confidence: float) -> dict[str, Any] | None:
    """The mean over the nested lead sets of the average over tasks, with its interval; None where one is missing."""
    where = [{"dataset": AVERAGE, "leads": one["leads"], "scope": scope} for one in sets_of(run, NESTED)]
    rows = [row for one in where if (row := run.row(**one))]
    resampled = [values for one in where if (values := run.resampled(**one)) is not None]
    if not rows or len(rows) != len(where) or len(resampled) != len(where):
        return None
    found = interval(float(np.mean([row["value"] for row in rows])), np.mean(resampled, axis=0), confidence)
    return {
        "run": run.name, "scope": scope, "kind": "mean", "leads": MEAN, "dataset": AVERAGE, "n": rows[0]["n"],
        "classes": rows[0]["classes"], "data": run.data,
    } | vars(found)  # fmt: skip


def largest_fall(run: RunScores, scope: str) -> float:
    """The most that the average loses where one more lead is shown; 0 if it never does."""
    values = [row["value"] for row in _values(run, scope, AVERAGE, NESTED) if row]
    return max([0.0, *(before - after for before, after in pairwise(values))])


def _values(run: RunScores, scope: str, dataset: str, kind: str) -> list[dict[str, Any] | None]:
    return [run.row(dataset=dataset, leads=one["leads"], scope=scope) for one in sets_of(run, kind)]


def for_people(runs: Sequence[RunScores], confidence: float) -> Document:
    """The average with growing numbers of leads and with single leads, published averages, then every task.

    Args:
        runs: at least one.
        confidence: of the intervals.
    """
    columns = [(run, scope) for run in runs for scope in scopes_of(run)]
    same = [Code(run.name) for run in runs if len(scopes_of(run)) == 1 and run.scores["scope"].n_unique() > 1]
    sees = listed(([f"{text} (", Code(name), ")"] for name, text in SCOPES.items()), " or ")
    alone = any(sets_of(run, SINGLE) for run in runs)
    blocks: list[Block | Text] = [
        Heading("Average over the tasks, leads added one by one"),
        _grid(columns, AVERAGE, NESTED, confidence),
        "Published averages of the six tasks on recorded ECGs; the paper draws the steps between without numbers.",
        averages(published.zeroshot()),
    ]
    if alone:
        blocks += [Heading("Average over the tasks, one lead alone"), _grid(columns, AVERAGE, SINGLE, confidence)]
    for task in tasks_of(runs):
        kinds = [NESTED, SINGLE] if alone else [NESTED]
        blocks += [Heading(title(task)), *(_grid(columns, task, kind, confidence) for kind in kinds)]
    return document(
        "Zero-shot classification with some of the leads: macro AUC",
        notice(runs),
        f"Cells: AUC [{confidence:.0%} bootstrap interval over patients]. Every run is asked in its own way by plain "
        "names; leads that are not shown are left out (K-MERL) or zero (MERL).",
        ["Normalisation sees ", *sees, ". ", *(["It makes no difference to ", *listed(same), "."] if same else [])],
        caveat(runs),
        provenance(runs),
        *blocks,
    )


def _grid(columns: Sequence[tuple[RunScores, str]], dataset: str, kind: str, confidence: float) -> Grid:
    """Rows: lead sets; columns: runs, and scopes where they differ."""
    header: list[Text] = [
        [Code(run.name), f", {scope}"] if len(scopes_of(run)) > 1 else Code(run.name) for run, scope in columns
    ]
    values = [_values(run, scope, dataset, kind) for run, scope in columns]
    labels = list(_labels(sets_of(columns[0][0], kind), kind))
    body: list[list[Cell]] = [
        [label, *(estimate(column[i]) if i < len(column) else None for column in values)]
        for i, label in enumerate(labels)
    ]
    if kind == NESTED and dataset == AVERAGE and len(labels) > 1:
        means = [estimate(mean(run, scope, confidence)) for run, scope in columns]
        lost = [largest_fall(run, scope) for run, scope in columns]
        falls: list[Cell] = [Decimal(-fall, signed=True) if fall else "none" for fall in lost]
        body.append([Bold(f"Mean of 1 to {len(labels)}"), *means])
        body.append(["Largest fall when a lead is added", *falls])
    return grid(["Leads", *header], body)


def _labels(sets: Sequence[Mapping[str, Any]], kind: str) -> Iterator[str]:
    """``I`` alone, or ``3: + III`` where leads are added one by one."""
    before: set[str] = set()
    for one in sets:
        new = [lead for lead in one["names"] if lead not in before]
        before = {*one["names"]}
        many = kind == NESTED
        yield (
            f"{lead_count(one['count'])}: {'+ ' if len(before) > len(new) else ''}{', '.join(new)}" if many else new[0]
        )


SECTIONS = [
    Section(
        "partial",
        "With some of the leads",
        "The same questions with one to twelve leads, added in the paper's order, and with every single lead "
        "alone. K-MERL reads only the leads that are there; MERL gets zeros for the others.",
    ),
]


def tables(runs: Sequence[RunScores], params: Any) -> Iterator[Table]:
    """Macro AUC with 1 to 12 leads, and with every single lead.

    Args:
        runs: at least one.
        params: the sections evaluation and partial_leads.
    """
    sure = params.evaluation.confidence
    yield Table(
        Caption(
            "partial_leads_auc",
            "partial",
            "Zero-shot AUC with some of the leads",
            "Every nested and every single lead set. Where the normalisation looks at a record's extremes, two "
            "scopes are given: all leads of the record, as in the paper, or the visible ones only.",
        ),
        tidy(runs, sure),
        for_people(runs, sure),
    )


def metrics(runs: Sequence[RunScores]) -> dict[str, Any]:
    """{run: {scope: {leads: average}}}, below the evaluation's name."""
    return {"partial_leads": {run.name: tree(run.rows(dataset=AVERAGE), "scope", "leads") for run in runs}}
