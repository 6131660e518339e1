"""Pretrain one run: the encoder learns from reports and entities (paper section 2.5)."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from kmerl.artifacts import read_json, read_table, remove
from kmerl.checkpoint import RunConfig, TrainedOn, save_run
from kmerl.errors import UserError
from kmerl.knowledge.labels import Vocabulary, dense, load_labels
from kmerl.model.kmerl import KMERL
from kmerl.model.losses import world
from kmerl.randomness import generator, seed_of
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder
from kmerl.training.batches import Examples
from kmerl.training.loop import Texts, distributed, fit
from kmerl.training.params import PretrainParams, override
from kmerl.waveforms import WaveformStore

REPORTS, LABELS, EMBEDDINGS = Path("data/reports"), Path("data/labels"), Path("data/embeddings")


def examples(store: WaveformStore, texts: Embeddings, split: str) -> tuple[Examples, Vocabulary]:
    """A split's records that have both a waveform and a label vector, joined by record_id."""
    vocabulary, labels = load_labels(LABELS)
    report_row = {text: row for row, text in enumerate(texts.texts)}
    reports = read_table(REPORTS / "reports.parquet").select(
        "report_id", pl.col("text").replace_strict(report_row).alias("report")
    )
    rows = (
        store.records.with_row_index("store_row")
        .filter(pl.col("split") == split)
        .select("store_row", "record_id")
        .join(read_table(REPORTS / "studies.parquet"), on="record_id", maintain_order="left")
        .join(reports, on="report_id", maintain_order="left")
        .join(labels.select("record_id"), on="record_id", how="semi", maintain_order="left")
    )
    matrix = dense(vocabulary, labels, rows["record_id"].to_list())
    store_rows, report_rows = (rows[column].to_numpy().astype(np.int64) for column in ("store_row", "report"))
    return Examples(store_rows, report_rows, matrix), vocabulary


def some(valid: Examples, most: int, seed: int) -> Examples:
    """At most so many of the validation records, the same ones in every run of a seed."""
    keep = np.sort(generator(seed, "validation").permutation(len(valid))[:most])
    return Examples(valid.rows[keep], valid.reports[keep], valid.labels[keep])


def scratch_folder(name: str, params: PretrainParams, text: Any, seed: int) -> Path:
    """Where an unfinished run keeps its checkpoint: a folder named after all that the result depends on."""
    digest = hashlib.sha256(f"{params.model_dump_json()} {text} {seed}".encode())
    digest.update(str(read_json("data/code.json")["pretrain"]).encode())
    inputs = [LABELS / "labels.parquet", LABELS / "vocabulary.json", REPORTS / "studies.parquet"]
    for path in [*inputs, EMBEDDINGS / "reports/vectors.npy", EMBEDDINGS / "vocabulary/vectors.npy"]:
        digest.update(path.read_bytes())
    return Path(".scratch/pretrain") / f"{name}-{digest.hexdigest()[:16]}"


def train(params: Any, item: str, run: PretrainParams) -> str:
    """Train in this process (one of several, if torchrun started it) and write the run's folder from the first."""
    torch.set_num_threads(run.loop.threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    seed = seed_of(params.seed, "pretrain", item)
    store = WaveformStore(Path("data/waveforms") / params.pretraining_archive)
    reports, queries = Embeddings.load(EMBEDDINGS / "reports"), Embeddings.load(EMBEDDINGS / "vocabulary")
    learn, vocabulary = examples(store, reports, "train")
    valid, _ = examples(store, reports, "valid")
    size = world()[1]
    if len(learn) < run.loop.batch * size:
        raise UserError(f"pretrain.loop.batch: {run.loop.batch} x {size} processes but {len(learn)} records; lower it")
    torch.manual_seed(seed)
    model = KMERL(run.model, reports.vectors.shape[1], store.samples)
    live = TextEncoder(params.text, run.text_layers) if run.text_layers else None
    texts = Texts(reports.vectors, queries[vocabulary.queries], reports.texts, vocabulary.queries, live)
    scratch = scratch_folder(item, run, params.text, params.seed)
    valid = some(valid, run.loop.valid_records, params.seed)
    history, steps = fit(
        model, texts, store, learn, valid, run, seed, scratch,
        report=lambda line: print(f"pretrain@{item}: {line}", flush=True),
    )  # fmt: skip
    if world()[0] != 0:
        return ""
    config = RunConfig(
        method="kmerl", model=run.model, normalize=run.normalize, text=params.text, text_layers=run.text_layers,
        text_width=model.text_width, fs=store.fs, samples=store.samples, vocabulary=vocabulary.queries,
        vocabulary_hash=vocabulary.hash, seed=params.seed, steps=steps,
        trained_on=TrainedOn(
            archive=store.archive, origin=store.origin, records=len(learn), reports=len(reports.texts)
        ),
    )  # fmt: skip
    save_run(Path("data/runs") / item, model, config, history, live.state_dict() if live else None)
    remove(scratch)
    last = history.row(-1, named=True)
    weights = sum(weight.numel() for weight in model.parameters())
    return (
        f"{steps} steps on {len(learn)} records, {len(vocabulary.queries)} queries, {weights / 1e6:.1f} M weights; "
        f"loss {last['loss']:.3f}, validation AUC over queries {last['valid_auc']:.3f}"
    )


def main(params: Any, item: str) -> str:
    """Write ``data/runs/<item>/``; with several processes, start them through torchrun and wait."""
    run = override(params.pretrain, getattr(params.runs, item))
    if run.loop.processes > 1 and "RANK" not in os.environ:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        status = subprocess.run([*command, str(run.loop.processes), "-m", "stages", "pretrain", item]).returncode
        if status:
            raise UserError(f"one of {run.loop.processes} processes failed; its message is above")
        steps = json.loads((Path("data/runs") / item / "config.json").read_text())["steps"]
        return f"{steps} steps in {run.loop.processes} processes"
    result: str = distributed(lambda: train(params, item, run))
    return result
