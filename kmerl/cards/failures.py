"""Where a run fails, as its scores tell: classes, lead sets, names."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from kmerl.archives.classes import class_names
from kmerl.documents import Block, Cell, Count, Items, Text, difference, estimate, grid
from kmerl.documents.numbers import count
from kmerl.evaluation.intervals import interval
from kmerl.evaluation.schemas import AVERAGE, MACRO, PER_CLASS
from kmerl.results.names import lead_count, title
from kmerl.results.scores import RunScores, defined

LOW = 0.6
"""An AUC below it is told as a failure."""
LeadSets = Mapping[str, Sequence[str]]
"""Name of a lead set -> its leads."""
_MOST_FALLS = 5


def most(run: RunScores, lead_sets: LeadSets) -> str:
    """The lead set of most leads."""
    return max(run.lead_sets, key=lambda name: len(lead_sets.get(name, ())))


def weak(run: RunScores, few: int) -> list[Block | Text]:
    """The classes with an AUC below :data:`LOW` under any lead set, each with all its scores.

    Args:
        run: asked by names.
        few: positives; of classes with fewer nothing can be said, see :func:`rare`.
    """
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in run.asked(PER_CLASS).filter(pl.col("positives") >= few).iter_rows(named=True):
        found.setdefault((row["dataset"], row["code"]), {})[row["leads"]] = row
    rows: list[list[Cell]] = []
    for (task, code), of_class in found.items():
        if any(defined(row["value"]) and row["value"] < LOW for row in of_class.values()):
            first = next(iter(of_class.values()))
            scores = (estimate(of_class.get(leads)) for leads in run.lead_sets)
            rows.append([title(task), class_names(task)[code], Count(first["positives"]), *scores])
    told = f"Classes with an AUC below {LOW:g} under some lead set, of the {len(found)} with at least {few} positives:"
    if not rows:
        return [f"{told} none."]
    return [told, grid(["Task", "Class", "Positives", *run.lead_sets], rows, range(2, 3 + len(run.lead_sets)))]


def rare(run: RunScores, leads: str, few: int) -> Block | Text:
    """The classes with too few positives for any statement, by task, with their number."""
    rows = run.asked(PER_CLASS, leads=leads).filter(pl.col("positives") < few)
    told = f"Classes with fewer than {few} positives among the records, so that their AUC says little or nothing"
    items: list[Text] = []
    for (task,), part in rows.group_by(["dataset"], maintain_order=True):
        names = class_names(str(task))
        classes = (f"{names[code]} ({n})" for code, n in part.select("code", "positives").iter_rows())
        items.append(f"{title(str(task))}: {', '.join(classes)}")
    return Items(items, f"{told}: {rows.height}.") if items else f"{told}: none."


def falls(run: RunScores, lead_sets: LeadSets, confidence: float) -> list[dict[str, Any]]:
    """What the average over the tasks loses where fewer leads are shown, the largest loss first.

    Args:
        run: asked under several lead sets; of several scopes of normalisation the first counts.
        lead_sets: all of them.
        confidence: of the intervals, from paired resamples.

    Returns:
        Rows of leads, difference from the most leads, low, high and excludes_zero.
    """
    whole = most(run, lead_sets)
    where = {"dataset": AVERAGE, "scope": run.scope, "way": run.way, "names": run.names}
    base, resampled = run.row(MACRO, leads=whole, **where), run.resampled(MACRO, leads=whole, **where)
    rows = []
    for leads in run.lead_sets:
        row, values = run.row(MACRO, leads=leads, **where), run.resampled(MACRO, leads=leads, **where)
        if leads == whole or row is None or base is None or values is None or resampled is None:
            continue
        found = interval(row["value"] - base["value"], values - resampled, confidence)
        if defined(found.value):
            clear = found.low > 0 or found.high < 0
            ends = {"difference": found.value, "low": found.low, "high": found.high, "excludes_zero": clear}
            rows.append({"leads": leads} | ends)
    return sorted(rows, key=lambda one: one["difference"])


def largest_falls(run: RunScores, lead_sets: LeadSets, confidence: float) -> list[Block | Text]:
    """The lead sets under which most is lost."""
    found = falls(run, lead_sets, confidence)[:_MOST_FALLS]
    whole = len(lead_sets.get(most(run, lead_sets), ()))
    records = run.asked(MACRO, dataset=AVERAGE)["n"].max()
    told = f"Lead sets with the largest fall of the macro AUC, averaged over the tasks, from {lead_count(whole)}"
    rows: list[list[Cell]] = [[", ".join(lead_sets[one["leads"]]), difference(one)] for one in found]
    shown = grid(["Shown", "Difference"], rows, [1])
    return [f"{told}, on {count(records)} records:", shown] if rows else [f"{told}: only one was asked."]


def unasked(run: RunScores) -> Block | Text:
    """The classes whose plain name is no query of training, nor nearly one, by task."""
    seen = run.tables["seen"]
    unknown = seen.filter(~pl.col("seen"))
    told = f"Names that training did not ask for: {unknown.height} of {seen.height} classes"
    items: list[Text] = [
        f"{title(str(task))}: {', '.join(part['name'])}"
        for (task,), part in unknown.group_by(["task"], maintain_order=True)
    ]
    return Items(items, f"{told}. What it says of them rests on similar names only.") if items else f"{told}."
