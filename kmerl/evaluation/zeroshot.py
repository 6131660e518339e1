"""Zero-shot classification: every class is asked by its plain name (paper section 3.3, App. D.3)."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.evaluation.metrics import Floats, Weights, auc, bootstrap_auc, interval, macro, patient_weights
from kmerl.evaluation.params import ZeroshotParams
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, PER_CLASS, PREDICTIONS, SCORES
from kmerl.inference import ask_records
from kmerl.model.kmerl import KMERL
from kmerl.waveforms import NormalizeParams, WaveformStore


def predict(
    model: KMERL,
    store: WaveformStore,
    rows: Sequence[int],
    targets: pl.DataFrame,
    queries: Mapping[str, Mapping[str, NDArray[np.float32]]],
    normalize: NormalizeParams,
    params: ZeroshotParams,
) -> pl.DataFrame:
    """Probabilities of all classes of all tasks for ``rows`` (schema ``PREDICTIONS``).

    Args:
        model: in eval mode.
        store: where the records are.
        rows: rows of the store.
        targets: record_id, task, code of every positive label.
        queries: task -> class code -> vector of its name. The classes of a task are asked together.
        normalize: the rule of the model's run.
        params: lead sets and batch.

    A record counts in a task only if it has a label there, as in the published splits. One with none of a lead
    set's leads has no row for it.
    """
    records = store.records[list(rows)].select("record_id", "patient_id")
    frames = []
    for name, leads in params.leads.items():
        vectors = [np.stack(list(classes.values())) for classes in queries.values()]
        answers = ask_records(model, store, rows, leads, normalize, vectors, params.batch)
        for (task, classes), answer in zip(queries.items(), answers, strict=True):
            wide = records.with_columns(pl.Series(code, answer[:, c]) for c, code in enumerate(classes))
            long = wide.unpivot(index=["record_id", "patient_id"], variable_name="code", value_name="probability")
            frames.append(long.with_columns(pl.lit(task).alias("task"), pl.lit(name).alias("leads")))
    positives = targets.select("record_id", "task", "code").unique().with_columns(pl.lit(True).alias("positive"))
    return (
        pl.concat(frames)
        .filter(pl.col("probability").is_not_nan())
        .join(targets.select("record_id", "task").unique(), on=["record_id", "task"], how="semi", maintain_order="left")
        .join(positives, on=["record_id", "task", "code"], how="left", maintain_order="left")
        .with_columns(pl.col("positive").fill_null(False))
        .select(PREDICTIONS.names)
    )


def score(predictions: pl.DataFrame, run: str, archive: str, params: ZeroshotParams, seed: int) -> pl.DataFrame:
    """AUC of every class, macro AUC of every task, and their average over tasks, with intervals (schema ``SCORES``).

    Classes without positives or without negatives have no AUC: they are left out of the macro average and named
    in ``left_out``. ``macro_auc_min`` averages only classes with at least ``params.min_positives`` positives.
    """
    patients = predictions.select("record_id", pl.coalesce("patient_id", "record_id").alias("patient")).unique(
        "record_id"
    )
    patients = patients.sort("record_id")
    weights = patient_weights(patients["patient"].to_numpy(), params.bootstrap, seed, archive)
    place = {record: i for i, record in enumerate(patients["record_id"])}
    rows: list[dict[str, object]] = []
    for leads in params.leads:
        macros: dict[str, list[tuple[float, Floats]]] = {MACRO: [], MACRO_MIN: []}
        chosen = predictions.filter(pl.col("leads") == leads)
        for (task,), part in chosen.group_by("task", maintain_order=True):
            task_rows, task_macros = _score_task(part, weights, place, params)
            rows += [{"run": run, "dataset": task, "leads": leads} | row for row in task_rows]
            for metric, pair in task_macros.items():
                macros[metric].append(pair)
        for metric, pairs in macros.items():
            estimate = interval(
                float(np.mean([value for value, _ in pairs])),
                np.mean([resampled for _, resampled in pairs], axis=0),
                params.confidence,
            )
            n = chosen["record_id"].n_unique()
            rows.append(
                {"run": run, "dataset": AVERAGE, "leads": leads, "code": None, "metric": metric, "n": n, "positives": 0}
                | {"classes": len(pairs), "left_out": []}
                | vars(estimate)
            )
    schema = {
        "code": pl.String,
        "left_out": pl.List(pl.String),
        **dict.fromkeys(("n", "positives", "classes"), pl.Int32),
    }
    return pl.DataFrame(rows, schema_overrides=schema).select(SCORES.names)


def _score_task(
    part: pl.DataFrame, weights: Weights, place: Mapping[str, int], params: ZeroshotParams
) -> tuple[list[dict[str, object]], dict[str, tuple[float, Floats]]]:
    """Rows of one task under one lead set, and its macro averages with their resampled values."""
    codes = part["code"].unique(maintain_order=True).to_list()
    wide = part.pivot("code", index="record_id", values=["probability", "positive"])
    probability = wide.select(f"probability_{code}" for code in codes).to_numpy()
    positive = wide.select(f"positive_{code}" for code in codes).to_numpy().astype(bool)
    per_class = auc(probability, positive)
    resampled = bootstrap_auc(probability, positive, weights[:, [place[record] for record in wide["record_id"]]])
    n, support = len(wide), positive.sum(0)
    rows: list[dict[str, object]] = []
    for c, code in enumerate(codes):
        estimate = interval(float(per_class[c]), resampled[:, c], params.confidence)
        rows.append(
            {"code": code, "metric": PER_CLASS, "n": n, "positives": int(support[c]), "classes": 1, "left_out": []}
            | vars(estimate)
        )
    macros = {}
    defined = ~np.isnan(per_class)
    for metric, keep in {MACRO: defined, MACRO_MIN: defined & (support >= params.min_positives)}.items():
        value, values = float(macro(per_class, keep)), macro(resampled, keep)
        macros[metric] = (value, values)
        left_out = [code for code, kept in zip(codes, keep, strict=True) if not kept]
        rows.append(
            {"code": None, "metric": metric, "n": n, "positives": int(support.sum()), "classes": int(keep.sum())}
            | {"left_out": left_out}
            | vars(interval(value, values, params.confidence))
        )
    return rows, macros
