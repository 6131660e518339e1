"""How much depends on the words asked: seen classes, the same by other names, renamed ones; and the ways of asking."""

from collections.abc import Sequence

import polars as pl

from kmerl.documents import (
    Block,
    Bold,
    Cell,
    Code,
    Document,
    Grid,
    Heading,
    Items,
    Text,
    difference,
    document,
    estimate,
    grid,
)
from kmerl.documents.numbers import NOTHING, decimal
from kmerl.evaluation.schemas import AVERAGE
from kmerl.evaluations.zeroshot import table_comparisons as comparisons
from kmerl.results.names import ALL, GROUPS, OTHER, RENAMED, SEEN, WAYS, title
from kmerl.results.scores import RunScores, with_data
from kmerl.tables.origin import caveat, notice, provenance
from kmerl.tables.table import tidied

COLUMNS = [
    "run", "way", "own_way", "leads", "dataset", "group", "names", "value", "low", "high", "seeds", "deviation", "n",
    "classes", "data",
]  # fmt: skip
_MOST_LISTED = 12


def tidy(runs: Sequence[RunScores]) -> pl.DataFrame:
    """One row per run, way, lead set, task and group of classes (columns :data:`COLUMNS`).

    ``own_way``: whether this is how the run is asked elsewhere.
    """
    frames = []
    for run in runs:
        scored = with_data(run.scores, run)
        for group, (metric, names) in GROUPS.items():
            rows = scored.filter(pl.col("metric") == metric, names=names)
            own = (pl.col("way") == run.way).alias("own_way")
            frames.append(rows.with_columns(pl.lit(group).alias("group"), own))
    return tidied(frames, COLUMNS)


def for_people(
    runs: Sequence[RunScores], compared: pl.DataFrame, seen_similarity: float, confidence: float
) -> Document:
    """Averages per lead set, every run in every way; then what other ways change, and which classes are renamed.

    Args:
        runs: at least one.
        compared: of :func:`kmerl.evaluations.zeroshot.table_comparisons.tidy`, of the same runs.
        seen_similarity: from which cosine on a name counts as a training query.
        confidence: of the intervals.
    """
    blocks: list[Block | Text] = []
    for leads in dict.fromkeys(leads for run in runs for leads in run.lead_sets):
        blocks += [Heading(f"Shown: {leads}"), _asked(runs, compared, leads)]
    changed = compared.filter(kind=comparisons.WAYS, dataset=AVERAGE)
    if changed.height:
        blocks += [
            Heading("What other ways of asking change"),
            ["The other way minus the run's own, paired; ", Bold("bold"), " where the interval excludes 0."],
            _remedies(changed),
        ]
    return document(
        "Zero-shot classification by other names: macro AUC, average over the tasks",
        notice(runs),
        [
            f"Seen: the class's plain name is a training query, or as similar to one (cosine {seen_similarity:g} or "
            "more). The same classes are asked a second time by another usual name. Renamed: the other classes, whose "
            f"plain name training did not know. Cells: AUC [{confidence:.0%} bootstrap interval over patients]. "
            "Change: by the other name minus by the plain name, paired; ",
            Bold("bold"),
            " where the interval excludes 0.",
        ],
        "Ways of asking: the query network (the paper's); the cosine of ECG and name (MERL's, and the only one "
        "without a query network); the mean of these two logits; the logits of the nearest training queries, weighted "
        "by similarity. ●: the run's own way.",
        caveat(runs),
        provenance(runs),
        *blocks,
        Heading("Renamed classes"),
        *map(_renamed, runs),
    )


def _asked(runs: Sequence[RunScores], compared: pl.DataFrame, leads: str) -> Grid:
    changes = compared.filter(kind=comparisons.NAMES, dataset=AVERAGE, leads=leads)
    change = {(row["run"], row["way"]): row for row in changes.iter_rows(named=True)}
    body: list[list[Cell]] = []
    for run in runs:
        for way in run.scores["way"].unique(maintain_order=True):
            cells = {
                group: estimate(run.row(metric, dataset=AVERAGE, leads=leads, way=way, names=names))
                for group, (metric, names) in GROUPS.items()
            }
            own = " ●" if way == run.way else ""
            changed = difference(change.get((run.name, way)))
            asked = [cells[SEEN], cells[OTHER], changed, cells[RENAMED], cells[ALL]]
            body.append([Code(run.name), WAYS.get(way, way) + own, *asked])
    return grid(["Run", "Way", "Seen classes", "By other names", "Change", "Renamed classes", "All classes"], body)


def _remedies(changed: pl.DataFrame) -> Grid:
    """Rows: run, lead set, way; columns: groups of classes."""
    body: list[list[Cell]] = []
    for (run, leads, way), part in changed.group_by(["run", "leads", "way"], maintain_order=True):
        found = {(row["metric"], row["names"]): row for row in part.iter_rows(named=True)}
        cells = [difference(found.get(key)) for key in GROUPS.values()]
        body.append([Code(str(run)), str(leads), WAYS.get(str(way), str(way)), *cells])
    return grid(["Run", "Leads", "Way", "Seen classes", "By other names", "Renamed classes", "All classes"], body)


def _renamed(run: RunScores) -> Items:
    """How many classes of each task the run knew, and the nearest training query of some that it did not."""
    items: list[Text] = []
    for task in run.tasks:
        classes = run.tables["seen"].filter(task=task)
        unseen = classes.filter(~pl.col("seen")).sort("similarity", descending=True, maintain_order=True)
        nearest = [
            f"{row['name']} → {row['nearest']} ({decimal(row['similarity'], 2)})"
            for row in unseen.head(_MOST_LISTED).iter_rows(named=True)
        ]
        more = [f"{unseen.height - _MOST_LISTED} more"] if unseen.height > _MOST_LISTED else []
        listed = "; ".join([*nearest, *more]) or NOTHING
        items.append(f"{title(task)}, {unseen.height} of {classes.height}: {listed}")
    return Items(items, ["Run ", Code(run.name), "; name → nearest training query (cosine):"])
