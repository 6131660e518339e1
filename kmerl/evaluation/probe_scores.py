"""Scores of probes: AUC of classes, tasks and their average, with intervals over resampled patients."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.evaluation.auc import Floats, auc, macro
from kmerl.evaluation.bootstrap import Weights, bootstrap_auc, interval, patient_weights
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluation.probe_schemas import PROBE_RESAMPLES, PROBE_SCORES
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS

Bools = NDArray[np.bool_]
_LISTS = {"code": pl.String, "left_out": pl.List(pl.String), "untrained": pl.List(pl.String)}
_TYPES = _LISTS | dict.fromkeys(("n", "positives", "classes", "train_records", "draws"), pl.Int32)


@dataclass(frozen=True)
class Answered:
    """What one kind of probe of one task answered under one lead set and share.

    Attributes:
        archive: whose records these are.
        task: its name.
        codes: (C,) of its classes.
        leads: name of the lead set.
        share: of the training records.
        kind: of the probe.
        train_records: how many these were.
        trained: (C,) which classes have a head that learnt in every draw of the share.
        rows: (n,) the tested records, as rows of the archive's store.
        logits: (K, n, C) what was answered about them, for each of K draws of the share.
        labels: (n, C).
        weights: (R, n) the resamples.
    """

    archive: str
    task: str
    codes: list[str]
    leads: str
    share: float
    kind: str
    train_records: int
    trained: Bools
    rows: NDArray[np.int64]
    logits: NDArray[np.float32]
    labels: Bools
    weights: Weights


@dataclass(frozen=True)
class _Macro:
    """An average, its resampled counterparts, its value for each draw, and the other columns of its row."""

    value: float
    resampled: Floats
    per_draw: Floats
    columns: Mapping[str, Any]


def resamples_of(records: pl.DataFrame, evaluation: EvaluationParams, seed: int, archive: str) -> Weights:
    """(R, n) weights of the tested records of an archive: those of zero-shot evaluation, if the records are the same.

    Args:
        records: record_id and patient_id; a record without a patient stands for itself.
        evaluation: the number of resamples.
        seed: of the draws.
        archive: its name.
    """
    patients = records.select(pl.coalesce("patient_id", "record_id")).to_series().to_numpy().astype(str)
    return patient_weights(patients, evaluation.bootstrap, seed, archive)


def score_probes(
    answers: Iterable[Answered], run: str, evaluation: EvaluationParams
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tables ``PROBE_SCORES`` and ``PROBE_RESAMPLES``.

    A score is the mean over the draws of a share, and so is each of its resamples: the interval is over patients, for
    these draws; ``spread`` is the deviation over draws. A class that no head could learn counts with the AUC of a
    constant answer, 0.5, and is named in ``untrained``. One without positives or without negatives among the tested
    records has no AUC: it is left out of the averages and named in ``left_out``, as are, of ``macro_auc_min``, those
    with fewer than ``evaluation.min_positives`` positives.

    Args:
        answers: of all tasks, lead sets and shares of one set of features; may be a generator.
        run: the features' name.
        evaluation: confidence, fewest positives.
    """
    rows: list[dict[str, Any]] = []
    resamples: list[dict[str, Any]] = []
    averaged: dict[tuple[str, float, str, str], dict[str, _Macro]] = defaultdict(dict)
    tested: dict[tuple[str, float], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))

    def add(dataset: str, leads: str, share: float, kind: str, metric: str, found: _Macro) -> None:
        key = {"dataset": dataset, "leads": leads, "share": share, "kind": kind, "metric": metric}
        estimate = vars(interval(found.value, found.resampled, evaluation.confidence))
        rows.append({"run": run, "code": None, **key, **found.columns, **estimate, **_spread(found.per_draw)})
        resamples.append({**key, "values": found.resampled.astype(np.float32)})

    for one in answers:
        values = np.stack([auc(logits, one.labels) for logits in one.logits])
        drawn = [bootstrap_auc(logits, one.labels, one.weights) for logits in one.logits]
        resampled = np.mean(drawn, axis=0)
        rows += [{"run": run, **row} for row in _by_class(one, values, resampled, evaluation.confidence)]
        for metric, found in _macros(one, values, resampled, evaluation.min_positives).items():
            add(one.task, one.leads, one.share, one.kind, metric, found)
            averaged[one.leads, one.share, one.kind, metric][one.task] = found
        tested[one.leads, one.share][one.archive].update(one.rows.tolist())
    for (leads, share, kind, metric), tasks in averaged.items():
        n = sum(map(len, tested[leads, share].values()))
        add(AVERAGE, leads, share, kind, metric, _average(tasks, n))
    return (
        pl.DataFrame(rows, schema_overrides=_TYPES, infer_schema_length=None).select(PROBE_SCORES.names),
        pl.DataFrame(resamples, schema_overrides={"values": pl.List(pl.Float32)}).select(PROBE_RESAMPLES.names),
    )


def _by_class(one: Answered, values: Floats, resampled: Floats, confidence: float) -> Iterator[dict[str, Any]]:
    """One row per class; ``values`` (K, C) of each draw."""
    support = one.labels.sum(0)
    for c, code in enumerate(one.codes):
        yield {
            "dataset": one.task, "leads": one.leads, "share": one.share, "kind": one.kind, "code": code,
            "metric": PER_CLASS,
            "n": len(one.labels), "positives": int(support[c]), "classes": 1, "train_records": one.train_records,
            "left_out": [], "untrained": [] if one.trained[c] else [code],
        } | vars(interval(float(values[:, c].mean()), resampled[:, c], confidence)) | _spread(values[:, c])  # fmt: skip


def _spread(per_draw: Floats) -> dict[str, Any]:
    """How many draws there were, and their deviation; NaN of one."""
    return {"draws": len(per_draw), "spread": float(per_draw.std(ddof=1)) if len(per_draw) > 1 else float("nan")}


def _macros(one: Answered, values: Floats, resampled: Floats, min_positives: int) -> dict[str, _Macro]:
    """The averages over all classes that have an AUC, and over the well-supported ones; ``values`` (K, C)."""
    support, defined = one.labels.sum(0), ~np.isnan(values[0])  # which have one, the labels alone decide
    return {
        metric: _Macro(
            float(macro(values.mean(0), keep)),
            macro(resampled, keep),
            macro(values, keep),
            {
                "n": len(one.labels),
                "positives": int(support[keep].sum()),
                "classes": int(keep.sum()),
                "train_records": one.train_records,
                "left_out": _named(one, ~keep),
                "untrained": _named(one, keep & ~one.trained),
            },
        )
        for metric, keep in {MACRO: defined, MACRO_MIN: defined & (support >= min_positives)}.items()
    }


def _named(one: Answered, chosen: Bools) -> list[str]:
    return [code for code, named in zip(one.codes, chosen, strict=True) if named]


def _average(tasks: Mapping[str, _Macro], n: int) -> _Macro:
    """The mean over the tasks that have a value, replicate by replicate; ``n`` records, each of which counts once."""
    defined = {task: one for task, one in tasks.items() if not np.isnan(one.value)}
    columns: dict[str, Any] = {
        name: sum(one.columns[name] for one in defined.values()) for name in ("positives", "train_records")
    }
    columns |= {"n": n, "classes": len(defined), "left_out": [task for task in tasks if task not in defined]}
    columns["untrained"] = [f"{task}/{code}" for task, one in defined.items() for code in one.columns["untrained"]]
    if not defined:
        one = next(iter(tasks.values()))
        return _Macro(one.value, np.full_like(one.resampled, np.nan), np.full_like(one.per_draw, np.nan), columns)
    value = float(np.mean([one.value for one in defined.values()]))
    resampled, per_draw = (
        np.mean([getattr(one, name) for one in defined.values()], axis=0) for name in ("resampled", "per_draw")
    )
    return _Macro(value, resampled, per_draw, columns)
