"""Runs, records and parameters small enough to be asked for all classes in a second."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import small

from kmerl.archives import classes
from kmerl.archives.schemas import SPLITS, TARGETS
from kmerl.artifacts import write_table
from kmerl.checkpoint import RunConfig, TrainedOn, described, save_run
from kmerl.evaluation.answers import Answers, Condition, Records
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluations.partial_leads import PartialLeadsParams
from kmerl.evaluations.zeroshot import ZeroshotParams
from kmerl.history import HISTORY
from kmerl.leads import LEADS
from kmerl.randomness import generator
from kmerl.shards import RECORDS
from kmerl.text.embeddings import Embeddings
from kmerl.text.params import TextParams
from kmerl.waveforms import WaveformStore

QUERIES = ["atrial fibrillation", "Sinus Rhythm", "bifascicular block"]
STORED = {"run": "one", "seed": 1, "classes": "classes", "vocabulary": "vocabulary"}
RUNS = ("one", "merl", "kmerl", "merl_vit", "merl_resnet18", "simclr")
TEXT = TextParams(encoder="none", pooling="mean", max_tokens=8, batch=8, threads=1)


def evaluation(**changes):
    values = {
        "archives": ["ptb_xl", "cpsc2018"], "splits": ["test"], "batch": 5, "threads": 1, "bootstrap": 200,
        "confidence": 0.95, "min_positives": 15,
    }  # fmt: skip
    return EvaluationParams(**(values | changes))


def zeroshot(**changes):
    values = {
        "leads": {"12 leads": list(LEADS), "I": ["I"]},
        "scopes": ["record"], "ways": ["query", "contrastive", "average", "mixture"], "names": ["name", "other_name"],
        "mixture": {"nearest": 2, "temperature": 0.05}, "seen_similarity": 0.95,
    }  # fmt: skip
    return ZeroshotParams(**(values | changes))


def partial_leads(**changes):
    values = {
        "order": ["V1", "I", "II"], "single": True, "scopes": ["record", "visible_leads"],
        "records": None,
    }  # fmt: skip
    return PartialLeadsParams(**(values | changes))


def params(**sections):
    defaults = {"evaluation": evaluation(), "zeroshot": zeroshot(), "partial_leads": partial_leads()}
    stored = SimpleNamespace(**{name: STORED | {"run": name} for name in RUNS})
    plan = SimpleNamespace(zeroshot=stored, partial_leads=stored)
    return SimpleNamespace(seed=1, plan=plan, **(defaults | sections))


def store(folder, archive, split="test", patients=True, **options):
    """A store of :func:`small.store` under another archive's name."""
    index = small.store(folder, **options).records.select(RECORDS.names)
    if not patients:
        index = index.with_columns(pl.lit(None, pl.String).alias("patient_id"))
    metadata = {"archive": archive, "origin": "simulated", "fs": 100, "samples": small.SAMPLES}
    write_table(Path(folder) / "records.parquet", index, RECORDS, metadata)
    return WaveformStore(folder, small.splits(len(index), split))


def targets(n=24, tasks=("ptbxl_rhythm", "cpsc2018")):
    """Two of the first four classes of each task for every record but every seventh."""
    rows = []
    for task in tasks:
        codes = list(classes.class_names(task))[:4]
        for i in range(n):
            drawn = generator(0, "label", task, i).permutation(4)[:2] if i % 7 else ()
            rows += [(f"r{i}", task, codes[c]) for c in drawn]
    return pl.DataFrame(rows, schema=TARGETS.names, orient="row")


def project(folder, method="kmerl", rule="millivolt", name="one", splits=("test", "test"), **options):
    """The inputs of the stages zeroshot and partial_leads below ``folder``/data."""
    data, run = Path(folder) / "data", small.method(method)
    for archive, split in zip(("ptb_xl", "cpsc2018"), splits, strict=True):
        if not (data / "waveforms" / archive).exists():
            store(data / "waveforms" / archive, archive, split, patients=archive == "ptb_xl", **options)
            tasks = {"ptb_xl": ("ptbxl_rhythm", "ptbxl_super"), "cpsc2018": ("cpsc2018",)}[archive]
            write_table(data / f"targets/{archive}.parquet", targets(tasks=tasks), TARGETS)
            write_table(data / f"splits/{archive}.parquet", small.splits(split=split), SPLITS)
    columns = ("name", "other_name")
    names = [text for task in classes.tasks() for c in columns for text in classes.class_names(task, c).values()]
    for stored, texts in {"classes": dict.fromkeys(names), "vocabulary": QUERIES}.items():
        vectors = [generator(0, text).normal(size=small.TEXT_WIDTH) for text in texts]
        Embeddings(list(texts), np.array(vectors, np.float32), TEXT).save(data / "embeddings" / stored)
    config = RunConfig(
        **described(run.method), model=run.model, normalize=run.normalize.model_copy(update={"rule": rule}), text=TEXT,
        text_width=small.TEXT_WIDTH, fs=100, samples=small.SAMPLES, vocabulary=QUERIES, vocabulary_hash="0", seed=0,
        trained_on=TrainedOn(archive="toy", origin="simulated", records=1, reports=1), steps=0,
    )  # fmt: skip
    history = pl.DataFrame(schema={field.name: None for field in HISTORY})
    save_run(data / "runs" / name, small.model(run).eval(), config, history)


def made_up(n=80, archive="archive", task="task", noise=0, condition=("I", "record", "query", "name"), patients=True):
    """Answers about one task: class A is told apart, B is not, C has no positives; some records have no label."""
    rng = np.random.default_rng(0)
    positive = np.stack([rng.random(n) < 0.4, rng.random(n) < 0.1, np.zeros(n, bool)], axis=1)
    positive[~positive.any(1), 1] = rng.random((~positive.any(1)).sum()) < 0.2
    score = rng.random((n, 3)) + positive * [1, 0, 0]
    score += np.random.default_rng(noise).normal(size=score.shape) * 0.01 * noise
    patient = [f"p{i // 2}" if patients else None for i in range(n)]
    table = pl.DataFrame({"record_id": [f"r{i}" for i in range(n)], "patient_id": patient})
    table = table.cast({"patient_id": pl.String})
    records = Records(
        SimpleNamespace(archive=archive, records=table),
        list(range(n)),
        {task: positive},
        {task: positive.any(1)},
        {task: ["A", "B", "C"]},
    )
    return Answers(records, {Condition(*condition): {task: score.astype(np.float32)}})
