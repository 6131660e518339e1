"""Features of random convolution kernels, for every record of the evaluated archives and each lead set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kmerl.features.convolutions import convolve, fit_banks
from kmerl.features.params import RANDOM_CONVOLUTIONS
from kmerl.features.store import write_features
from kmerl.waveforms import WaveformStore
from stages._stores import open_store


def main(params: Any) -> str:
    """Write ``data/features/random_convolutions/``."""
    own, lead_sets = params.random_convolutions, params.embed_ecg.leads
    torch.set_num_threads(own.threads)
    stores = [open_store(archive) for archive in params.evaluation.archives]
    banks = {}
    for store in stores:
        train = np.flatnonzero((store.records["split"] == "train").to_numpy()).tolist()
        for leads in lead_sets.values():
            banks[store.archive, tuple(leads)] = fit_banks(store, train, leads, own, params.seed)

    def embed(store: WaveformStore, rows: Sequence[int], title: str) -> NDArray[np.float32]:
        leads = lead_sets[title]
        return convolve(store, rows, leads, banks[store.archive, tuple(leads)], own.fs)

    return str(
        write_features(
            folder=Path("data/features") / RANDOM_CONVOLUTIONS,
            name=RANDOM_CONVOLUTIONS,
            method=RANDOM_CONVOLUTIONS,
            stores=stores,
            leads=lead_sets,
            width=own.kernels,
            embed=embed,
            batch=params.evaluation.batch,
            trained_on=None,
        )
    )
