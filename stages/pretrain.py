"""Pretrain one run: the encoder learns from reports and entities (paper section 2.5)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from kmerl.artifacts import read_json, read_table, remove
from kmerl.checkpoint import RunConfig, TrainedOn, save_run
from kmerl.errors import UserError
from kmerl.knowledge.labels import load_labels
from kmerl.model.kmerl import KMERL
from kmerl.model.losses import world
from kmerl.randomness import seed_of
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder
from kmerl.training.examples import digest, examples, sample
from kmerl.training.loop import Texts, distributed, fit
from kmerl.training.params import PretrainParams, override
from kmerl.waveforms import WaveformStore

REPORTS, LABELS, EMBEDDINGS = Path("data/reports"), Path("data/labels"), Path("data/embeddings")


def inputs(archive: str) -> list[Path]:
    """The files that tell whether a checkpoint belongs to this run; the store's index stands for its waveforms."""
    return [
        Path("data/waveforms") / archive / "records.parquet",
        REPORTS / "studies.parquet",
        LABELS / "labels.parquet",
        LABELS / "vocabulary.json",
        EMBEDDINGS / "reports/vectors.npy",
        EMBEDDINGS / "vocabulary/vectors.npy",
    ]


def train(params: Any, item: str, run: PretrainParams) -> str:
    """Train in this process (one of several, if torchrun started it) and write the run's folder from the first."""
    torch.set_num_threads(run.loop.threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    seed = seed_of(params.seed, "pretrain", item)
    store = WaveformStore(Path("data/waveforms") / params.pretraining_archive)
    reports, queries = Embeddings.load(EMBEDDINGS / "reports"), Embeddings.load(EMBEDDINGS / "vocabulary")
    vocabulary, labels = load_labels(LABELS)
    studies, texts_of = read_table(REPORTS / "studies.parquet"), read_table(REPORTS / "reports.parquet")
    learn, valid = (
        examples(store.records, studies, texts_of, reports.texts, vocabulary, labels, split)
        for split in ("train", "valid")
    )
    size = world()[1]
    if len(learn) < run.loop.batch * size:
        raise UserError(f"pretrain.loop.batch: {run.loop.batch} x {size} processes but {len(learn)} records; lower it")
    torch.manual_seed(seed)
    model = KMERL(run.model, reports.vectors.shape[1], store.samples)
    live = TextEncoder(params.text, run.text_layers) if run.text_layers else None
    texts = Texts(reports.vectors, queries[vocabulary.queries], reports.texts, vocabulary.queries, live)
    code = read_json("data/code.json")["pretrain"]
    name = digest([run.model_dump_json(), params.text, params.seed, code], inputs(params.pretraining_archive))
    scratch = Path(".scratch/pretrain") / f"{item}-{name}"
    valid = sample(valid, run.loop.valid_records, params.seed)
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
