"""A store, labels and parameters small enough to train on in a second."""

import numpy as np
import polars as pl
import torch

from kmerl import methods
from kmerl.evaluation.ways import Questions, ask_store, default_way
from kmerl.leads import LEADS, bit_mask
from kmerl.model.network import Network
from kmerl.randomness import generator
from kmerl.shards import Waveform, store_writer
from kmerl.training.batches import Examples
from kmerl.training.params import PretrainParams
from kmerl.training.recipe import Recipe, recipe
from kmerl.training.text_vectors import Texts
from kmerl.waveforms import WaveformStore

SAMPLES, QUERIES, REPORTS, TEXT_WIDTH = 200, 3, 7, 6


def store(folder, n=24, leads=LEADS, length=SAMPLES, louder_but=LEADS, flat=()):
    """Waveforms whose amplitude tells the first query's label; leads not in ``louder_but`` are doubled.

    Records in ``flat`` have no amplitude.
    """
    factor = np.array([1 if lead in louder_but else 2 for lead in LEADS], dtype=np.int16)[:, None]
    with store_writer(folder, "toy", "simulated", 100, SAMPLES, shard_records=10) as writer:
        for i in range(n):
            rng = generator(0, "waveform", i)
            samples = (rng.normal(size=(12, SAMPLES)) * (400 if i % 2 else 100)).astype(np.int16)
            samples = samples * factor * (i not in flat)
            samples[:, length:] = 0
            writer.append(waveform(samples, leads, length), f"r{i}", f"p{i // 2}")
    return WaveformStore(folder, splits(n))


def waveform(samples, leads=LEADS, length=SAMPLES):
    """Samples (12, S) int16 in microvolts, ready for a store."""
    mv = samples * 0.001
    return Waveform(
        samples=samples,
        fs=100.0,
        length=length,
        scale=np.full(12, 0.001, np.float32),
        offset=np.zeros(12, np.float32),
        leads=bit_mask(leads),
        minimum=mv.min(1),
        maximum=mv.max(1),
        mean=mv.mean(1),
        deviation=mv.std(1),
        zeros=(samples == 0).sum(1),
        nans=np.zeros(12, int),
        flags=[],
    )


def splits(n=24, split="train"):
    """All records in one split."""
    return pl.DataFrame({"record_id": [f"r{i}" for i in range(n)], "split": [split] * n})


def examples(rows):
    rows = np.asarray(rows, dtype=np.int64)
    labels = np.stack([rows % 2, np.ones_like(rows), rows % 3 == 0], axis=1).astype(np.uint8)
    return Examples(rows, rows % REPORTS, labels)


def texts():
    rng = generator(0, "texts")
    return Texts(
        rng.normal(size=(REPORTS, TEXT_WIDTH)).astype(np.float32),
        rng.normal(size=(QUERIES, TEXT_WIDTH)).astype(np.float32),
    )


class Made(Recipe):
    """A recipe whose shared parameters are its attributes."""

    def __getattr__(self, name):
        return getattr(object.__getattribute__(self, "params"), name)

    @property
    def options(self):
        return self.method.options


SHARED = {
    "normalize": {"rule": "millivolt", "clip_mv": 5.0, "scope": "record"},
    "model": {
        "tokens": {"length": 20, "per": "lead", "padding": "tokens"},
        "encoder": {
            "kind": "vit", "pooling": "mean", "shape": {"width": 8, "depth": 2, "heads": 2}, "resnet_width": 2,
            "feed_forward_ratio": 2.0, "dropout": 0.1, "lead_embedding": True, "time_embedding": True,
        },
    },
    "optimizer": {
        "learning_rate": 0.003, "weight_decay": 1e-5, "betas": [0.9, 0.999], "warmup_steps": 2, "schedule": "cosine",
        "restart_steps": None, "clip_norm": 1.0,
    },
    "loop": {
        "batch": 4, "accumulate": 1, "epochs": None, "steps": 8, "precision": "float32", "float32_matmul": "highest",
        "deterministic": True, "compile": False, "processes": 1, "nodes": 1, "threads": 1, "workers": 0,
        "validate_every": 4, "valid_records": 8, "valid_batch": 4, "checkpoint_every": 3, "checkpoint_minutes": None,
    },
}  # fmt: skip
MASKING = {"masked_leads": [9, 10, 11], "draw": "per_sample", "segment_share": 0.25, "segments": "per_lead"}
CONTRAST = {"contrastive": "symmetric", "temperature": 0.07, "duplicates": "negative"}
CONTRAST |= {"gather": "with_gradient", "contrastive_weight": 1.0}
OPTIONS = {
    "kmerl": {
        "masking": MASKING,
        "query": {
            "width": 8, "depth": 2, "heads": 2, "head_dim": 4, "feed_forward": 16, "dropout": 0.1,
            "self_attention": True,
        },
        "projector": {"hidden": 8, "width": 4, "normalization": "none"},
        "loss": CONTRAST | {"query_weight": 1.0, "query_reduction": "mean"},
        "queries": "canonical",
        "text_layers": 0,
    },
    "merl": {
        "projector": {"hidden": 8, "width": 4, "normalization": "batch", "dropout": 0.1},
        "loss": CONTRAST | {"unimodal_weight": 1.0},
        "text_layers": 0,
    },
    "simclr": {
        "masking": MASKING | {"masked_leads": [3, 6]}, "gain": [0.8, 1.25], "noise": 0.05, "temperature": 0.1,
        "gather": "with_gradient",
        "projector": {"hidden": 8, "width": 4, "normalization": "batch"},
    },
}  # fmt: skip
OVER_ALL = {"model": {"tokens": {"per": "segment"}, "encoder": {"lead_embedding": False, "dropout": 0.0}}}
RESNET = {"model": {"encoder": {"kind": "resnet18", "time_embedding": False}}}
KINDS = ("kmerl", "merl_vit", "merl_resnet18", "simclr")
ASKED = KINDS[:3]
"""Those that can be asked by name."""


def method(kind, dropout=0.1, **loop):
    """One of ``KINDS``; ``dropout`` is that of MERL's uni-modal loss."""
    name = kind.split("_")[0]
    options = methods.load(name).section.model_validate(OPTIONS[name])
    shared = PretrainParams.model_validate(SHARED | {"loop": SHARED["loop"] | loop})
    run = Made(name, shared, methods.made(name, options.model_dump()))
    if name == "merl":
        run = changed(run, OVER_ALL, {"projector": {"dropout": dropout}})
    return changed(run, RESNET) if kind == "merl_resnet18" else run


def params(**loop):
    """K-MERL."""
    return method("kmerl", **loop)


def changed(run, pretrain=None, options=None):
    """A run with changes over its shared parameters and its method's options."""
    made = recipe(run.name, run.params, run.method.options, pretrain or {}, options or {})
    return Made(made.name, made.params, made.method)


def model(run):
    torch.manual_seed(0)
    return Network(run.params.model, run.method, TEXT_WIDTH, SAMPLES)


def answers(model, store, rows, leads, normalize, lists, way=None):
    """What a model says of stored records, asked in its own way or another, list by list."""
    way = way or default_way(model)
    return ask_store(Questions(model, lists, [way]), store, rows, leads, normalize, batch=2)[way]
