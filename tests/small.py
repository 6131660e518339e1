"""A store, labels and parameters small enough to train on in a second."""

import numpy as np
import polars as pl
import torch

from kmerl.leads import LEADS, bit_mask
from kmerl.model.kmerl import KMERL
from kmerl.randomness import generator
from kmerl.shards import Waveform, store_writer
from kmerl.training.batches import Examples
from kmerl.training.params import PretrainParams, override
from kmerl.training.texts import Texts
from kmerl.waveforms import WaveformStore

SAMPLES, QUERIES, REPORTS, TEXT_WIDTH = 200, 3, 7, 6


def store(folder, n=24, leads=LEADS, length=SAMPLES, louder_but=LEADS):
    """Waveforms whose amplitude tells the first query's label; leads not in ``louder_but`` are doubled."""
    factor = np.array([1 if lead in louder_but else 2 for lead in LEADS], dtype=np.int16)[:, None]
    with store_writer(folder, "toy", "simulated", 100, SAMPLES, shard_records=10) as writer:
        for i in range(n):
            rng = generator(0, "waveform", i)
            samples = (rng.normal(size=(12, SAMPLES)) * (400 if i % 2 else 100)).astype(np.int16)
            samples = samples * factor
            samples[:, length:] = 0
            mv = samples * 0.001
            writer.append(
                Waveform(
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
                ),
                f"r{i}",
                f"p{i // 2}",
            )
    return WaveformStore(folder, splits(n))


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


def params(**loop):
    return PretrainParams.model_validate(
        {
            "normalize": {"rule": "millivolt", "clip_mv": 5.0, "scope": "record"},
            "masking": {
                "masked_leads": [9, 10, 11], "draw": "per_sample", "segment_share": 0.25, "segments": "per_lead"
            },
            "model": {
                "tokens": {"length": 20, "per": "lead", "padding": "tokens"},
                "encoder": {
                    "kind": "vit", "shape": {"width": 8, "depth": 2, "heads": 2}, "resnet_width": 2,
                    "feed_forward_ratio": 2.0, "dropout": 0.1, "lead_embedding": True, "time_embedding": True,
                },
                "query": {
                    "width": 8, "depth": 2, "heads": 2, "head_dim": 4, "feed_forward": 16, "dropout": 0.1,
                    "self_attention": True,
                },
                "projector": {"hidden": 8, "width": 4, "normalization": "none", "dropout": 0.0},
            },
            "loss": {
                "contrastive": "symmetric", "temperature": 0.07, "duplicates": "negative", "contrastive_weight": 1.0,
                "query_weight": 1.0, "unimodal_weight": 0.0,
            },
            "queries": "canonical",
            "text_layers": 0,
            "optimizer": {
                "learning_rate": 0.003, "weight_decay": 1e-5, "betas": [0.9, 0.999], "warmup_steps": 2,
                "schedule": "cosine", "clip_norm": 1.0,
            },
            "loop": {
                "batch": 4, "epochs": None, "steps": 8, "precision": "float32", "processes": 1, "threads": 1,
                "workers": 0, "validate_every": 4, "valid_records": 8, "valid_batch": 4, "checkpoint_every": 3,
            }
            | loop,
        }
    )  # fmt: skip


KINDS = ("kmerl", "merl_vit", "merl_resnet18")


def method(kind, dropout=0.1, **loop):
    """Parameters of one of ``KINDS``; ``dropout`` is that of MERL's uni-modal loss."""
    if kind == "kmerl":
        return params(**loop)
    encoder = {"kind": "resnet18", "time_embedding": False} if kind == "merl_resnet18" else {}
    changes = {
        "masking": {"masked_leads": [0], "segment_share": 0.0},
        "model": {
            "tokens": {"per": "segment"}, "encoder": {"lead_embedding": False, "dropout": 0.0} | encoder,
            "query": None, "projector": {"normalization": "batch", "dropout": dropout},
        },
        "loss": {"query_weight": 0.0, "unimodal_weight": 1.0},
    }  # fmt: skip
    return override(params(**loop), changes)


def model(run):
    torch.manual_seed(0)
    return KMERL(run.model, TEXT_WIDTH, SAMPLES)
