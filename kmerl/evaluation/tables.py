"""Zero-shot scores as tables that people read and programs load, published figures kept in rows of their own."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import polars as pl

from kmerl.archives.classes import class_names
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS

PUBLISHED = "published/zeroshot_auc.csv"
COLUMNS = ["run", "dataset", "leads", "metric", "value", "low", "high", "n", "published", "data"]
CLASS_COLUMNS = [*COLUMNS[:2], "code", "name", "seen", *COLUMNS[2:8], "positives", *COLUMNS[8:]]
_TITLES = {
    "ptbxl_super": "PTB-XL Super",
    "ptbxl_sub": "PTB-XL Sub",
    "ptbxl_form": "PTB-XL Form",
    "ptbxl_rhythm": "PTB-XL Rhythm",
    AVERAGE: "Average",
}


@dataclass(frozen=True)
class RunScores:
    """The scores of one run and where they come from.

    Attributes:
        name: of the run.
        scores: columns of ``kmerl.evaluation.schemas.SCORES``.
        metadata: archive and origin of the records, ``trained_on`` {archive, origin}, and ``vocabulary_seen``.
    """

    name: str
    scores: pl.DataFrame
    metadata: Mapping[str, Any]

    @property
    def data(self) -> str:
        """What the numbers come from, e.g. ``recorded (trained on simulated)``.

        Raises:
            UserError: the scores do not say.
        """
        try:
            tested, trained = self.metadata["origin"], self.metadata["trained_on"]["origin"]
        except (KeyError, TypeError):
            raise UserError(
                f"scores of run {self.name} do not say what data they are from; run zeroshot again"
            ) from None
        return str(tested) if tested == trained else f"{tested} (trained on {trained})"

    @property
    def seen(self) -> list[str]:
        """The class names that occur in the vocabulary that the run was trained with, in any case.

        Raises:
            UserError: the scores do not say.
        """
        try:
            return list(self.metadata["vocabulary_seen"])
        except KeyError:
            raise UserError(f"scores of run {self.name} do not say which classes it knew; run zeroshot again") from None

    def macro(self, metric: str = MACRO) -> pl.DataFrame:
        """One row per task and lead set, the average of the tasks last, as scored."""
        return self.scores.filter(pl.col("metric") == metric)


@dataclass(frozen=True)
class Published:
    """A figure printed in a paper, on real records; ``auc`` within 0..1."""

    method: str
    dataset: str
    leads: int
    auc: float
    source: str

    @property
    def lead_set(self) -> str:
        """How the figure's number of leads is written."""
        return "1 lead" if self.leads == 1 else f"{self.leads} leads"


def published() -> list[Published]:
    """The zero-shot figures of the papers; they exist as averages over six tasks only."""
    with files("kmerl.evaluation").joinpath(PUBLISHED).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [Published(r["method"], r["dataset"], int(r["leads"]), float(r["auc"]), r["source"]) for r in rows]


def title(dataset: str) -> str:
    """The name of a task for people."""
    return _TITLES.get(dataset, dataset)


def simulated(runs: Sequence[RunScores]) -> bool:
    """Whether any of the evaluated records are simulated."""
    return any(run.metadata.get("origin") == "simulated" for run in runs)


def notice(runs: Sequence[RunScores]) -> str:
    """One or two sentences that say what the numbers come from, and what they can therefore mean."""
    if simulated(runs):
        return "Simulated data: these numbers say that the pipeline works, not how good the method is."
    if any("simulated" in run.data for run in runs):
        return "Recorded ECGs, asked of a model that was pretrained on simulated data: not the method's performance."
    return "Recorded ECGs, pretrained on recorded ECGs."


def tidy(runs: Sequence[RunScores]) -> pl.DataFrame:
    """Macro averages of all runs, then the published figures, one row each (columns :data:`COLUMNS`).

    A published figure never shares a row with one of ours: it averages six tasks on recorded ECGs.
    """
    ours = [
        run.scores.filter(pl.col("metric").is_in([MACRO, MACRO_MIN])).with_columns(
            pl.lit(None, pl.Float64).alias("published"), pl.lit(run.data).alias("data")
        )
        for run in runs
    ]
    theirs = [
        {"run": f"{row.method} (published)", "dataset": row.dataset, "leads": row.lead_set, "metric": MACRO}
        | {"published": row.auc, "data": "recorded"}
        for row in published()
    ]
    frames = [frame.select(COLUMNS) for frame in ours]
    frames.append(pl.DataFrame(theirs).with_columns(*_empty("value", "low", "high"), pl.lit(None, pl.Int32).alias("n")))
    return _without_nan(pl.concat([frame.select(COLUMNS) for frame in frames]))


def tidy_by_class(runs: Sequence[RunScores]) -> pl.DataFrame:
    """AUC of every class (columns :data:`CLASS_COLUMNS`); classes without positives have no value.

    ``seen``: whether the class's name occurs in the vocabulary that the run was trained with.
    """
    names = pl.DataFrame(
        [
            {"dataset": task, "code": code, "name": name}
            for task in dict.fromkeys(task for run in runs for task in _tasks(run))
            for code, name in class_names(task).items()
        ],
        schema=["dataset", "code", "name"],
    )
    frames = [
        run.scores.filter(pl.col("metric") == PER_CLASS)
        .join(names, on=["dataset", "code"], how="left", maintain_order="left")
        .with_columns(
            *_empty("published"), pl.lit(run.data).alias("data"), pl.col("name").is_in(run.seen).alias("seen")
        )
        .select(CLASS_COLUMNS)
        for run in runs
    ]
    return _without_nan(pl.concat(frames))


def metrics(runs: Sequence[RunScores]) -> dict[str, dict[str, dict[str, float]]]:
    """{run: {leads: {task: macro AUC}}}, rounded to 4 digits, without those that are undefined."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for run in runs:
        for row in run.macro().iter_rows(named=True):
            if not math.isnan(row["value"]):
                lead_set = result.setdefault(run.name, {}).setdefault(row["leads"], {})
                lead_set[row["dataset"]] = round(row["value"], 4)
    return result


def markdown(runs: Sequence[RunScores], min_positives: int, confidence: float) -> str:
    """The tables of macro averages, what was left out of them, and the published figures apart.

    Args:
        runs: at least one.
        min_positives: of a class that counts in the second average.
        confidence: of the intervals.
    """
    parts = [
        "# Zero-shot classification: macro AUC",
        notice(runs),
        f"Cells: AUC [{confidence:.0%} bootstrap interval over patients]. Records: those with a label in the task and "
        "a usable lead; from–to where lead sets differ. Classes: those with positives and negatives among these "
        "records, of all classes of the task.",
    ]
    for run in runs:
        trained = run.metadata["trained_on"]
        parts += [
            f"## Run `{run.name}`",
            f"Pretrained on {trained['archive']} ({trained['origin']}), "
            f"evaluated on {run.metadata['archive']} ({run.metadata['origin']}).",
            _macro_table(run, MACRO),
            f"Only classes with at least {min_positives} positives:",
            _macro_table(run, MACRO_MIN),
            _left_out(run),
        ]
    rows = [[row.method, row.lead_set, f"{row.auc:.3f}", row.source] for row in published()]
    parts += [
        "## Published figures",
        "Averages over six tasks (the four above, CPSC2018 and CSN) on recorded ECGs, after pretraining on "
        "MIMIC-IV-ECG. No figure above averages the same tasks, so none compares directly.",
        _table(["Method", "Leads", "Average of six tasks", "Source"], rows),
    ]
    return "\n\n".join(parts) + "\n"


def markdown_by_class(runs: Sequence[RunScores], confidence: float) -> str:
    """One table per run and task: every class with its positives and its AUC under each lead set."""
    parts = [
        "# Zero-shot classification: AUC per class",
        notice(runs),
        f"Cells: AUC [{confidence:.0%} bootstrap interval over patients]; – where a class has no positives or no "
        "negatives. Intervals of classes with few positives are wide. ✓: the name occurs in the training vocabulary.",
    ]
    for run in runs:
        asked = {name for task in _tasks(run) for name in class_names(task).values()}
        parts.append(
            f"Run `{run.name}`: {len(asked & {*run.seen})} of {len(asked)} distinct class names occur in the "
            "vocabulary mined from its training reports (ignoring case)."
        )
        rows = run.scores.filter(pl.col("metric") == PER_CLASS)
        lead_sets = _lead_sets(run)
        for task in _tasks(run):
            names, of_task = class_names(task), rows.filter(pl.col("dataset") == task)
            cells = {(row["code"], row["leads"]): row for row in of_task.iter_rows(named=True)}
            body = []
            for code in of_task["code"].unique(maintain_order=True):
                of_class, name = [cells.get((code, leads)) for leads in lead_sets], names.get(code, "")
                mark = "✓" if name in run.seen else ""
                body.append([code, name, mark, _span(of_class, "positives"), *map(_cell, of_class)])
            records = _span(of_task.iter_rows(named=True), "n")
            parts += [
                f"## {title(task)}, run `{run.name}`, {records} records",
                _table(["Code", "Asked as", "✓", "Positives", *lead_sets], body, right=[3]),
            ]
    return "\n\n".join(parts) + "\n"


def _macro_table(run: RunScores, metric: str) -> str:
    """Rows: tasks and their average; columns: lead sets."""
    scored = {(row["dataset"], row["leads"]): row for row in run.macro(metric).iter_rows(named=True)}
    lead_sets = _lead_sets(run)
    body = []
    for dataset in [*_tasks(run), AVERAGE]:
        rows = [scored.get((dataset, leads)) for leads in lead_sets]
        classes = f"{_span(rows, 'classes')} of {len(class_names(dataset))}" if dataset != AVERAGE else ""
        body.append([title(dataset), _span(rows, "n"), classes, *map(_cell, rows)])
    return _table(["Task", "Records", "Classes", *lead_sets], body, right=[1, 2])


def _left_out(run: RunScores) -> str:
    """The classes that an average does not hold, by name, and under which lead sets if not under all."""
    lines = []
    for task in _tasks(run):
        rows = run.macro().filter(pl.col("dataset") == task)
        classes = []
        for code, name in class_names(task).items():
            without = rows.filter(pl.col("left_out").list.contains(code))["leads"].to_list()
            where = f", {' and '.join(without)} only" if len(without) < rows.height else ""
            classes += [f"{name} ({code}{where})"] if without else []
        if classes:
            lines.append(f"- {title(task)}: {', '.join(classes)}")
    if not lines:
        return "No class was left out."
    return "\n".join(
        ["Left out of every average, having no positives (or no negatives) among the records:", "", *lines]
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; the columns ``right`` are aligned right."""
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or math.isnan(row["value"]):
        return "–"
    low, high = row["low"], row["high"]
    return f"{row['value']:.3f}" + ("" if math.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _span(rows: Iterable[Mapping[str, Any] | None], count: str) -> str:
    """A count over lead sets: one number, or from the smallest to the largest where they differ."""
    counts = {row[count] for row in rows if row}
    return "–".join(str(count) for count in sorted({min(counts), max(counts)}))


def _tasks(run: RunScores) -> list[str]:
    return [one for one in run.scores["dataset"].unique(maintain_order=True) if one != AVERAGE]


def _lead_sets(run: RunScores) -> list[str]:
    return run.scores["leads"].unique(maintain_order=True).to_list()


def _empty(*columns: str) -> list[pl.Expr]:
    return [pl.lit(None, pl.Float64).alias(column) for column in columns]


def _without_nan(frame: pl.DataFrame) -> pl.DataFrame:
    """Undefined values as empty cells."""
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))
