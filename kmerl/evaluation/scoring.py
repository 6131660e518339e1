"""AUC of classes, tasks and their average from any answers, with intervals over resampled patients."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.artifacts import columns_of
from kmerl.evaluation.auc import Floats, auc, macro
from kmerl.evaluation.bootstrap import Weights, bootstrap_auc, patient_weights
from kmerl.evaluation.intervals import interval
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS, RESAMPLES, SCORES

Bools = NDArray[np.bool_]


class Item(NamedTuple):
    """Whose scores these are: a run and the seed that it was pretrained from, or features that no run made."""

    run: str
    seed: int | None = None


@dataclass(frozen=True)
class Answered:
    """What was answered about the records of one task under one condition.

    Attributes:
        condition: what tells it from others; some of the columns ``kmerl.evaluation.schemas.CONDITION``.
        archive: whose records these are.
        task: its name.
        codes: (C,) of its classes.
        rows: (n,) the records, as rows of the archive's store.
        answers: (K, n, C) what was answered about them, in each of K draws of what was learnt from.
        labels: (n, C).
        weights: (R, n) the resamples.
        groups: metric -> (C,) classes that it is over, beside those that all have.
        train_records: how many records each draw learnt from; None where nothing was learnt.
        trained: (C,) which classes could be learnt in every draw.
    """

    condition: Mapping[str, Any]
    archive: str
    task: str
    codes: Sequence[str]
    rows: NDArray[np.int64]
    answers: NDArray[np.floating]
    labels: Bools
    weights: Weights
    groups: Mapping[str, Bools] = field(default_factory=dict)
    train_records: int | None = None
    trained: Bools | None = None

    def drawn(self, per_draw: Floats) -> dict[str, Any]:
        """How many draws (K,) there were, and their deviation; None of one."""
        if self.train_records is None:
            return {}
        spread = float(per_draw.std(ddof=1)) if len(per_draw) > 1 and np.isfinite(per_draw).all() else None
        return {"draws": len(per_draw), "spread": spread}


@dataclass(frozen=True)
class _Macro:
    """An average, its resampled counterparts (R,), its value in each draw (K,), and the other columns of its row."""

    of: Answered
    value: float
    resampled: Floats
    per_draw: Floats
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Scores:
    """The tables of one run: ``scores`` (schema ``SCORES``), ``resamples`` (schema ``RESAMPLES``)."""

    scores: pl.DataFrame
    resamples: pl.DataFrame


def joined(parts: Sequence[Scores]) -> Scores:
    """Several one below the other."""
    return Scores(pl.concat([one.scores for one in parts]), pl.concat([one.resamples for one in parts]))


def resamples_of(records: pl.DataFrame, evaluation: EvaluationParams, seed: int, archive: str) -> Weights:
    """(R, n) weights of an archive's records, the same in every evaluation of the same records.

    Args:
        records: record_id and patient_id; a record without a patient stands for itself.
        evaluation: the number of resamples.
        seed: of the draws.
        archive: its name.
    """
    patients = records.select(pl.coalesce("patient_id", "record_id")).to_series().to_numpy().astype(str)
    return patient_weights(patients, evaluation.bootstrap, seed, archive)


def score(
    answers: Iterable[Answered], item: Item, name: str, evaluation: EvaluationParams, by_class: bool = True
) -> Scores:
    """AUC of every class, macro AUC of every task, and its average over the tasks of all archives, with intervals.

    Classes without positives or without negatives have no AUC: they are left out of the macro average and named in
    ``left_out``; ``macro_auc_min`` also leaves out those with fewer than ``evaluation.min_positives`` positives.
    A task for which nothing remains is left out of the average over tasks, and named there. A value is the mean over
    draws; a class that could not be learnt in some draw counts there with what its constant answers give, 0.5, and is
    named in ``untrained``.

    Patients are resampled within each archive (records, where it names no patients), the same ones for every run and
    condition: differences can be paired replicate by replicate. A replicate of the average over tasks is the mean of
    their replicates.

    Args:
        answers: of one run and seed; every task once under every condition.
        item: these.
        name: of the evaluation.
        evaluation: confidence, fewest positives.
        by_class: whether the classes get rows of their own.
    """
    rows: list[dict[str, Any]] = []
    resamples: list[dict[str, Any]] = []
    averaged: dict[tuple[Any, ...], list[_Macro]] = defaultdict(list)

    def add(dataset: str, metric: str, one: _Macro) -> None:
        key = {**one.of.condition, "evaluation": name, "dataset": dataset, "metric": metric}
        estimate = vars(interval(one.value, one.resampled, evaluation.confidence))
        rows.append({**item._asdict(), **key, **one.columns, **estimate, **one.of.drawn(one.per_draw)})
        resamples.append({**key, "values": one.resampled.astype(np.float32)})

    for one in answers:
        values = np.stack([auc(each, one.labels) for each in one.answers])
        resampled = np.mean([bootstrap_auc(each, one.labels, one.weights) for each in one.answers], axis=0)
        if by_class:
            of_classes = _classes(one, values, resampled, evaluation.confidence)
            rows += [{**item._asdict(), "evaluation": name, **row} for row in of_classes]
        for metric, found in _macros(one, values, resampled, evaluation.min_positives):
            add(one.task, metric, found)
            averaged[(*one.condition.items(), metric)].append(found)
    for (*_, metric), tasks in averaged.items():
        add(AVERAGE, metric, _average(tasks))
    return Scores(pl.DataFrame(rows, schema=columns_of(SCORES)), pl.DataFrame(resamples, schema=columns_of(RESAMPLES)))


def _classes(one: Answered, values: Floats, resampled: Floats, confidence: float) -> Iterator[dict[str, Any]]:
    """One row per class; ``values`` (K, C) of each draw, ``resampled`` (R, C)."""
    for c, code in enumerate(one.codes):
        keep = np.arange(len(one.codes)) == c
        estimate = vars(interval(float(values[:, c].mean()), resampled[:, c], confidence))
        own = {**one.condition, "dataset": one.task, "code": code, "metric": PER_CLASS}
        yield own | _counts(one, keep, left_out=np.zeros_like(keep)) | estimate | one.drawn(values[:, c])


def _macros(one: Answered, values: Floats, resampled: Floats, min_positives: int) -> Iterator[tuple[str, _Macro]]:
    """The averages over all classes that have an AUC, over the well-supported ones, and over the answers' groups."""
    every, defined = np.ones(len(one.codes), bool), ~np.isnan(values[0])  # which have one, the labels alone decide
    supported = one.labels.sum(0) >= min_positives
    groups = {MACRO: (every, defined), MACRO_MIN: (every, defined & supported)}
    groups |= {metric: (group, group & defined) for metric, group in one.groups.items()}
    for metric, (group, keep) in groups.items():
        columns = _counts(one, keep, left_out=group & ~keep)
        yield (
            metric,
            _Macro(one, float(macro(values.mean(0), keep)), macro(resampled, keep), macro(values, keep), columns),
        )


def _counts(one: Answered, keep: Bools, left_out: Bools) -> dict[str, Any]:
    """What an average is over: the classes ``keep``."""
    codes = np.array(one.codes, object)
    return {
        "n": len(one.labels),
        "positives": int(one.labels[:, keep].sum()),
        "classes": int(keep.sum()),
        "left_out": codes[left_out].tolist(),
        "train_records": one.train_records,
        "untrained": None if one.trained is None else codes[keep & ~one.trained].tolist(),
    }


def _average(tasks: Sequence[_Macro]) -> _Macro:
    """The mean over the tasks that have a value, replicate by replicate; each of their records counts once."""
    defined = [one for one in tasks if not np.isnan(one.value)]
    counted: dict[str, set[int]] = defaultdict(set)
    for one in defined:
        counted[one.of.archive].update(one.of.rows.tolist())
    columns: dict[str, Any] = {
        "n": sum(map(len, counted.values())),
        "positives": sum(one.columns["positives"] for one in defined),
        "classes": len(defined),
        "left_out": [one.of.task for one in tasks if np.isnan(one.value)],
    }
    first = tasks[0]
    if first.of.train_records is not None:
        columns["train_records"] = sum(one.columns["train_records"] for one in defined)
        columns["untrained"] = [f"{one.of.task}/{code}" for one in defined for code in one.columns["untrained"]]
    if not defined:
        return replace(first, columns=columns)
    value = float(np.mean([one.value for one in defined]))
    resampled, per_draw = (
        np.mean([getattr(one, name) for one in defined], axis=0) for name in ("resampled", "per_draw")
    )
    return _Macro(first.of, value, resampled, per_draw, columns)
