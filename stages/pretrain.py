"""Pretrain one run: the encoder learns from reports and entities (paper section 2.5)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmerl.artifacts import digest, read_json, read_table, remove
from kmerl.checkpoint import save_run
from kmerl.children import terminable
from kmerl.distributed import one_of_several, world
from kmerl.knowledge.vocabulary import load_labels, load_names
from kmerl.section import laid_over
from kmerl.text.embeddings import Embeddings
from kmerl.training.nodes import here, start
from kmerl.training.processes import distributed, launch
from kmerl.training.recipe import Recipe, recipe
from kmerl.training.run import Material, Seeds, pretrain
from kmerl.waveforms import index_files
from stages._places import labels
from stages._stores import open_store

WAVEFORMS, SPLITS, REPORTS = (Path("data") / name for name in ("waveforms", "splits", "reports"))
EMBEDDINGS, RUNS = Path("data/embeddings"), Path("data/runs")
Made = Mapping[str, Any]
"""What an item is made of: an entry of ``plan.pretrain``, see :func:`kmerl.plan.plan`."""


def inputs(archive: str, made: Made) -> list[Path]:
    """The files that tell whether a checkpoint belongs to this run; the store's index stands for its waveforms."""
    return [
        *index_files(WAVEFORMS / archive),
        SPLITS / f"{archive}.parquet",
        REPORTS / "studies.parquet",
        *(labels(made["knowledge"]) / name for name in ("labels.parquet", "vocabulary.json", "names.json")),
        *(EMBEDDINGS / made[of] / "vectors.npy" for of in ("reports", "vocabulary")),
    ]


def read(archive: str, made: Made) -> Material:
    """What the run learns from."""
    place = labels(made["knowledge"])
    vocabulary, vectors = load_labels(place)
    return Material(
        store=open_store(archive),
        studies=read_table(REPORTS / "studies.parquet"),
        report_texts=read_table(REPORTS / "reports.parquet"),
        reports=Embeddings.load(EMBEDDINGS / made["reports"]),
        vocabulary=vocabulary,
        labels=vectors,
        names=load_names(place, vocabulary),
        name_vectors=Embeddings.load(EMBEDDINGS / made["vocabulary"]),
    )


def train(params: Any, item: str, made: Made, run: Recipe) -> str:
    """Train in this process and write the run's folder; of several processes the first writes, and has a summary."""
    archive = params.pretraining_archive
    text = laid_over(params.text, getattr(params.plan.text, made["text"]))
    code = read_json("data/code.json")
    # the checkpoint tells how many records make a step, in however many processes; the rest changes no result
    free = {"loop": {"batch", "processes", "nodes", "workers", "checkpoint_every", "checkpoint_minutes"}}
    options = [run.params.model_dump_json(exclude=free), run.method.options.model_dump_json()]
    made_by = [*options, text, params.seed, made["run"], made["seed"], code["pretrain"], code["methods"][run.name]]
    name = digest(made_by, inputs(archive, made))
    scratch = Path(".scratch/pretrain") / f"{item}-{name}"

    def report(line: str) -> None:
        print(f"pretrain@{item}: {line}", flush=True)

    seeds = Seeds(params.seed, made["seed"])
    done = pretrain(made["run"], run, read(archive, made), text, seeds, scratch, report)
    if world()[0] != 0:
        return ""
    save_run(RUNS / item, done.model, done.config, done.history, done.text)
    remove(scratch)
    return done.summary


def main(params: Any, item: str) -> str:
    """Write ``data/runs/<item>/``; with several processes or nodes, start them and wait, unless torchrun did that."""
    made = getattr(params.plan.pretrain, item)
    options = getattr(params.methods, made["method"])
    run = recipe(made["method"], params.pretrain, options, made["pretrain"], made["options"])
    loop = run.params.loop
    if loop.processes * loop.nodes == 1 or one_of_several():
        with terminable():  # in training a signal waits for a checkpoint; before and after, it ends at once
            return distributed(lambda: train(params, item, made, run))
    node = here(loop.nodes)
    if node is None:
        start(loop.nodes)
        return ""  # the first node told
    return launch(loop.processes, train, params, item, made, run, node=node) or ""
