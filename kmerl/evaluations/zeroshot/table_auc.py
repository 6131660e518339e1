"""Zero-shot macro AUC of all runs, each asked in its own way by plain names, and the AUC of every class."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from kmerl.archives.classes import class_names
from kmerl.documents import Block, Cell, Code, Document, Grid, Heading, Items, Text, document, estimate, grid
from kmerl.documents.numbers import NOTHING
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS
from kmerl.evaluations.zeroshot.scores import seen_codes
from kmerl.origins import RECORDED
from kmerl.results import published
from kmerl.results.names import SCOPES, title
from kmerl.results.scores import RunScores, tasks_of, with_data
from kmerl.tables.origin import caveat, notice, provenance
from kmerl.tables.table import averages, tidied

COLUMNS = [
    "run", "dataset", "leads", "way", "metric", "value", "low", "high", "seeds", "deviation", "n", "classes",
    "published", "data",
]  # fmt: skip
CLASS_COLUMNS = [
    "run", "dataset", "code", "names", "name", "seen", "nearest", "similarity", "leads", "way", "value", "low", "high",
    "seeds", "deviation", "n", "positives", "data",
]  # fmt: skip


def tidy(runs: Sequence[RunScores]) -> pl.DataFrame:
    """Macro averages of all runs, then the published figures, one row each (columns :data:`COLUMNS`).

    A published figure never shares a row with one of ours: it averages six tasks on recorded ECGs.
    """
    ours = [with_data(run.asked(metric), run) for run in runs for metric in (MACRO, MACRO_MIN)]
    theirs = [
        {"run": f"{one.method} (published)", "dataset": one.dataset, "leads": one.lead_set, "metric": MACRO}
        | {"published": one.auc, "data": RECORDED, "way": ""}
        for one in published.zeroshot()
    ]
    return tidied([*ours, pl.DataFrame(theirs)], COLUMNS)


def tidy_by_class(runs: Sequence[RunScores]) -> pl.DataFrame:
    """AUC of every class by every name, each run asked in its own way (columns :data:`CLASS_COLUMNS`).

    Classes without positives have no value. ``name`` is what was asked, ``seen`` and ``nearest`` are about the plain
    name: whether training knew it, and the training query most similar to it.
    """
    frames = []
    for run in runs:
        names = pl.DataFrame(
            [
                {"dataset": task, "code": code, "names": column, "name": name}
                for task in run.tasks
                for column in run.scores["names"].unique(maintain_order=True)
                for code, name in class_names(task, column).items()
            ],
            schema=["dataset", "code", "names", "name"],
        )
        seen = run.tables["seen"].rename({"task": "dataset"}).drop("name")
        rows = with_data(run.rows(PER_CLASS, way=run.way), run)
        for other, keys in ((names, ["dataset", "code", "names"]), (seen, ["dataset", "code"])):
            rows = rows.join(other, on=keys, how="left", maintain_order="left")
        frames.append(rows)
    return tidied(frames, CLASS_COLUMNS)


def for_people(runs: Sequence[RunScores], min_positives: int, confidence: float) -> Document:
    """Averages first, then every task per lead set, what was left out, and the published figures apart.

    Args:
        runs: at least one.
        min_positives: of a class that counts in the second average.
        confidence: of the intervals.
    """
    lead_sets = _lead_sets(runs)
    metrics = {MACRO: "", MACRO_MIN: f", classes with at least {min_positives} positives only"}
    blocks: list[Block | Text] = []
    for metric, which in metrics.items():
        blocks += [Heading(f"Average over the tasks{which}"), _averages(runs, lead_sets, metric)]
    for metric, which in metrics.items():
        for leads in lead_sets:
            blocks += [Heading(f"Shown: {leads}{which}"), _tasks(runs, leads, metric)]
    return document(
        "Zero-shot classification: macro AUC",
        notice(runs),
        f"Cells: AUC [{confidence:.0%} bootstrap interval over patients]. Records: those with a label in the task and "
        "a usable lead. Classes: those with positives and negatives among these records, of all classes of the task. "
        "Every run is asked in its own way (with a query network by it, else by the cosine with the name), by plain "
        "names; other ways and other names: queries_auc.md. Paired differences: comparisons_auc.md. Normalisation sees "
        f"{SCOPES[runs[0].scope]}; other scopes: zeroshot_scopes_auc.md.",
        caveat(runs),
        provenance(runs),
        *blocks,
        Heading("Left out"),
        _left_out(runs[0]),
        Heading("Published figures"),
        "Averages over six tasks (four of PTB-XL, CPSC2018, CSN) on recorded ECGs, after pretraining on MIMIC-IV-ECG.",
        averages(published.zeroshot()),
    )


def _averages(runs: Sequence[RunScores], lead_sets: Sequence[str], metric: str) -> Grid:
    """Rows: runs; columns: lead sets."""
    body: list[list[Cell]] = []
    for run in runs:
        rows = {row["leads"]: row for row in run.asked(metric, dataset=AVERAGE).iter_rows(named=True)}
        body.append([Code(run.name), *(estimate(rows.get(leads)) for leads in lead_sets)])
    return grid(["Run", *lead_sets], body)


def _tasks(runs: Sequence[RunScores], leads: str, metric: str) -> Grid:
    """Rows: tasks and their average; columns: runs."""
    rows = [{row["dataset"]: row for row in run.asked(metric, leads=leads).iter_rows(named=True)} for run in runs]
    body: list[list[Cell]] = []
    for dataset in [*tasks_of(runs), AVERAGE]:
        found = [one.get(dataset) for one in rows]
        classes = f"{_span(found, 'classes')} of {len(class_names(dataset))}" if dataset != AVERAGE else ""
        body.append([title(dataset), _span(found, "n"), classes, *map(estimate, found)])
    return grid(["Task", "Records", "Classes", *(Code(run.name) for run in runs)], body, right=[1, 2])


def _span(rows: Iterable[Mapping[str, Any] | None], count: str) -> str:
    """A count over several rows: one number, or from the smallest to the largest where they differ."""
    counts = {row[count] for row in rows if row}
    return "–".join(str(one) for one in sorted({min(counts), max(counts)})) if counts else NOTHING


def _left_out(run: RunScores) -> Items | str:
    """The classes without an AUC by name, and under which lead sets if not under all; the same for every run."""
    items: list[Text] = []
    for task in run.tasks:
        rows = run.asked(MACRO, dataset=task)
        classes = []
        for code, name in class_names(task).items():
            without = rows.filter(pl.col("left_out").list.contains(code))["leads"].to_list()
            where = f", {' and '.join(without)} only" if len(without) < rows.height else ""
            classes += [f"{name} ({code}{where})"] if without else []
        items += [f"{title(task)}: {', '.join(classes)}"] if classes else []
    if not items:
        return "No class was left out."
    return Items(items, "Left out of every average, having no positives (or no negatives) among the records:")


def classes_for_people(runs: Sequence[RunScores], confidence: float) -> Document:
    """One table per task and lead set: every class with its positives and its AUC in every run."""
    asked = {(task, code): name for task in tasks_of(runs) for code, name in class_names(task).items()}
    blocks: list[Block | Text] = []
    for task in tasks_of(runs):
        blocks.append(Heading(title(task)))
        for leads in _lead_sets(runs):
            blocks += [f"Shown: {leads}", _classes(runs, task, leads)]
    return document(
        "Zero-shot classification: AUC per class",
        notice(runs),
        f"Cells: AUC [{confidence:.0%} bootstrap interval over patients]; – where a class has no positives or no "
        "negatives. Intervals of classes with few positives are wide. Every run is asked in its own way by plain "
        "names; by other names, and with the training query nearest to each: zeroshot_auc_by_class.csv.",
        caveat(runs),
        provenance(runs),
        "✓: the name is a training query, or as similar to one as zeroshot.seen_similarity says.",
        Items([[Code(run.name), f": {len(seen_codes(run) & {*asked})} of {len(asked)} classes"] for run in runs]),
        *blocks,
    )


def _classes(runs: Sequence[RunScores], task: str, leads: str) -> Grid:
    found = [
        {row["code"]: row for row in run.asked(PER_CLASS, dataset=task, leads=leads).iter_rows(named=True)}
        for run in runs
    ]
    body: list[list[Cell]] = []
    for code, name in class_names(task).items():
        of_class: list[Mapping[str, Any] | None] = [rows.get(code) for rows in found]
        knowing = [run.name for run in runs if (task, code) in seen_codes(run)]
        mark = "✓" if len(knowing) == len(runs) else ", ".join(knowing)
        body.append([code, name, mark, _span(of_class, "positives"), *map(estimate, of_class)])
    return grid(["Code", "Asked as", "✓", "Positives", *(Code(run.name) for run in runs)], body, right=[3])


def _lead_sets(runs: Sequence[RunScores]) -> list[str]:
    return list(dict.fromkeys(leads for run in runs for leads in run.lead_sets))
