"""AUC of classes, tasks and their average from a run's answers, with intervals over resampled patients."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.evaluation.auc import Floats, auc, macro
from kmerl.evaluation.bootstrap import Weights, bootstrap_auc, interval, patient_weights
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, MACRO_RENAMED, MACRO_SEEN, PER_CLASS, RESAMPLES, SCORES
from kmerl.evaluation.zeroshot import Answers, Condition

_TYPES = {"code": pl.String, "left_out": pl.List(pl.String)} | dict.fromkeys(("n", "positives", "classes"), pl.Int32)


@dataclass(frozen=True)
class Macro:
    """A macro average, its resampled counterparts, and what it is over."""

    value: float
    resampled: Floats
    n: int
    positives: int
    classes: int
    left_out: list[str]

    def row(self, confidence: float) -> dict[str, Any]:
        """Columns of ``SCORES``."""
        counts = {name: getattr(self, name) for name in ("n", "positives", "classes", "left_out")}
        return counts | vars(interval(self.value, self.resampled, confidence))


@dataclass(frozen=True)
class Scores:
    """The tables of one run: ``scores`` (schema ``SCORES``), ``resamples`` (schema ``RESAMPLES``)."""

    scores: pl.DataFrame
    resamples: pl.DataFrame


def score(
    answers: Sequence[Answers],
    run: str,
    evaluation: EvaluationParams,
    seed: int,
    seen: pl.DataFrame | None = None,
    by_class: bool = True,
) -> Scores:
    """AUC of every class, macro AUC of every task, and its average over the tasks of all archives, with intervals.

    Classes without positives or without negatives have no AUC: they are left out of the macro average and named in
    ``left_out``; ``macro_auc_min`` also leaves out those with fewer than ``evaluation.min_positives`` positives.
    A task for which nothing remains is left out of the average over tasks, and named there.

    Patients are resampled within each archive (records, where it names no patients), the same ones for every run,
    lead set and way: differences can be paired replicate by replicate. A replicate of the average over tasks is the
    mean of their replicates.

    Args:
        answers: of one run, one per archive, all under the same conditions.
        run: its name.
        evaluation: resamples, confidence, fewest positives.
        seed: of the resamples.
        seen: of :func:`kmerl.evaluation.zeroshot.seen_classes`; None leaves out the averages over seen and renamed.
        by_class: whether the classes get rows of their own.
    """
    weights = {one.records.archive: _weights(one, evaluation, seed) for one in answers}
    rows: list[dict[str, Any]] = []
    resamples: list[dict[str, Any]] = []
    for condition in answers[0].probability:
        averaged: dict[str, dict[str, Macro]] = defaultdict(dict)  # metric -> task -> macro
        key = {"run": run, **condition._asdict()}
        for one in answers:
            for task, codes in one.records.codes.items():
                known = None if seen is None else _known(seen, task, codes)
                found = _Task(one, condition, task, weights[one.records.archive])
                rows += [{**key, "dataset": task, **row} for row in found.rows(evaluation.confidence) if by_class]
                for metric, value in found.macros(evaluation.min_positives, known).items():
                    averaged[metric][task] = value
        for metric, tasks in averaged.items():
            average = _average(tasks)
            average = replace(average, n=sum(_scored(one, condition, average.left_out) for one in answers))
            for dataset, value in [*tasks.items(), (AVERAGE, average)]:
                own = {**key, "dataset": dataset, "metric": metric}
                rows.append({**own, "code": None, **value.row(evaluation.confidence)})
                resamples.append({**own, "values": value.resampled.astype(np.float32)})
    return Scores(
        pl.DataFrame(rows, schema_overrides=_TYPES, infer_schema_length=None).select(SCORES.names),
        pl.DataFrame(resamples, schema_overrides={"values": pl.List(pl.Float32)}).select(RESAMPLES.names),
    )


def _weights(answers: Answers, evaluation: EvaluationParams, seed: int) -> Weights:
    """(R, n); records without a patient stand for themselves."""
    patients = answers.records.table.select(pl.coalesce("patient_id", "record_id")).to_series()
    return patient_weights(patients.to_numpy().astype(str), evaluation.bootstrap, seed, answers.records.archive)


def _known(seen: pl.DataFrame, task: str, codes: Sequence[str]) -> NDArray[np.bool_]:
    """(C,) whether each class is seen."""
    known = dict(seen.filter(task=task).select("code", "seen").iter_rows())
    return np.array([known[code] for code in codes], bool)


def _scored(answers: Answers, condition: Condition, left_out: Sequence[str]) -> int:
    """The number of an archive's records that count in a task that is not left out."""
    counted = [answers.counted(condition, task) for task in answers.records.codes if task not in left_out]
    return int(np.any(counted, axis=0).sum()) if counted else 0


def _average(tasks: Mapping[str, Macro]) -> Macro:
    """The mean over the tasks that have a value, replicate by replicate."""
    defined = [one for one in tasks.values() if not np.isnan(one.value)]
    left_out = [task for task, one in tasks.items() if np.isnan(one.value)]
    positives = sum(one.positives for one in defined)
    if not defined:
        return replace(next(iter(tasks.values())), positives=0, classes=0, left_out=left_out)
    resampled = np.mean([one.resampled for one in defined], axis=0)
    return Macro(float(np.mean([one.value for one in defined])), resampled, 0, positives, len(defined), left_out)


class _Task:
    """The classes of one task under one condition."""

    def __init__(self, answers: Answers, condition: Condition, task: str, weights: Weights):
        counted = answers.counted(condition, task)
        probability = answers.probability[condition][task][counted]
        positive = answers.records.positive[task][counted]
        self.codes, self.n, self.support = answers.records.codes[task], len(probability), positive.sum(0)
        self.values = auc(probability, positive)
        self.resampled = bootstrap_auc(probability, positive, weights[:, counted])

    def rows(self, confidence: float) -> Iterator[dict[str, Any]]:
        """One row per class."""
        for c, code in enumerate(self.codes):
            found = interval(float(self.values[c]), self.resampled[:, c], confidence)
            yield {
                "code": code, "metric": PER_CLASS, "n": self.n, "positives": int(self.support[c]), "classes": 1,
                "left_out": [],
            } | vars(found)  # fmt: skip

    def macros(self, min_positives: int, known: NDArray[np.bool_] | None) -> dict[str, Macro]:
        """The averages over all classes, over well-supported ones, and over seen and renamed ones."""
        every, defined = np.ones(len(self.codes), bool), ~np.isnan(self.values)
        groups = {MACRO: (every, defined), MACRO_MIN: (every, defined & (self.support >= min_positives))}
        if known is not None:
            groups |= {MACRO_SEEN: (known, known & defined), MACRO_RENAMED: (~known, ~known & defined)}
        return {
            metric: Macro(
                value=float(macro(self.values, keep)),
                resampled=macro(self.resampled, keep),
                n=self.n,
                positives=int(self.support[keep].sum()),
                classes=int(keep.sum()),
                left_out=[self.codes[c] for c in np.flatnonzero(group & ~keep)],
            )
            for metric, (group, keep) in groups.items()
        }
