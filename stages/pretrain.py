"""Pretrain one run: the encoder learns from reports and entities (paper section 2.5)."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import digest, read_json, read_table, remove
from kmerl.checkpoint import save_run
from kmerl.distributed import one_of_several, world
from kmerl.knowledge.vocabulary import load_labels, load_names
from kmerl.text.embeddings import Embeddings
from kmerl.training.processes import distributed, launch
from kmerl.training.recipe import Recipe, recipe
from kmerl.training.run import Material, pretrain
from kmerl.waveforms import index_files
from stages._stores import open_store

WAVEFORMS, SPLITS, REPORTS, LABELS = (Path("data") / name for name in ("waveforms", "splits", "reports", "labels"))
EMBEDDINGS, RUNS = Path("data/embeddings"), Path("data/runs")


def inputs(archive: str) -> list[Path]:
    """The files that tell whether a checkpoint belongs to this run; the store's index stands for its waveforms."""
    return [
        *index_files(WAVEFORMS / archive),
        SPLITS / f"{archive}.parquet",
        REPORTS / "studies.parquet",
        LABELS / "labels.parquet",
        LABELS / "vocabulary.json",
        LABELS / "names.json",
        EMBEDDINGS / "reports/vectors.npy",
        EMBEDDINGS / "vocabulary/vectors.npy",
    ]


def read(archive: str) -> Material:
    """What all runs learn from."""
    vocabulary, labels = load_labels(LABELS)
    return Material(
        store=open_store(archive),
        studies=read_table(REPORTS / "studies.parquet"),
        report_texts=read_table(REPORTS / "reports.parquet"),
        reports=Embeddings.load(EMBEDDINGS / "reports"),
        vocabulary=vocabulary,
        labels=labels,
        names=load_names(LABELS, vocabulary),
        name_vectors=Embeddings.load(EMBEDDINGS / "vocabulary"),
    )


def train(params: Any, item: str, run: Recipe) -> str:
    """Train in this process and write the run's folder; of several processes the first writes, and has a summary."""
    material = read(params.pretraining_archive)
    code = read_json("data/code.json")
    made_by = [run.params.model_dump_json(), run.method.options.model_dump_json(), params.text, params.seed]
    name = digest([*made_by, code["pretrain"], code["methods"][run.name]], inputs(params.pretraining_archive))
    scratch = Path(".scratch/pretrain") / f"{item}-{name}"

    def report(line: str) -> None:
        print(f"pretrain@{item}: {line}", flush=True)

    done = pretrain(item, run, material, params.text, params.seed, scratch, report)
    if world()[0] != 0:
        return ""
    save_run(RUNS / item, done.model, done.config, done.history, done.text)
    remove(scratch)
    return done.summary


def main(params: Any, item: str) -> str:
    """Write ``data/runs/<item>/``; with several processes, start them and wait, unless torchrun did that."""
    described = getattr(params.runs, item)
    run = recipe(described, params.pretrain, getattr(params.methods, described.method))
    if run.params.loop.processes > 1 and not one_of_several():
        return launch(run.params.loop.processes, train, params, item, run)
    return distributed(lambda: train(params, item, run))
