"""Pooled features of a frozen encoder, for every record of the evaluated archives and each lead set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kmerl.checkpoint import check_store, load_run
from kmerl.features.pooling import pooled, scoped
from kmerl.features.store import write_features
from kmerl.waveforms import WaveformStore


def main(params: Any, item: str) -> str:
    """Write ``data/features/<item>/``."""
    evaluation = params.evaluation
    torch.set_num_threads(evaluation.threads)
    model, config, _ = load_run(Path("data/runs") / item)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    stores = [WaveformStore(Path("data/waveforms") / archive) for archive in evaluation.archives]
    for store in stores:
        check_store(config, store)

    sets = scoped(params.embed_ecg, config.normalize)

    def embed(store: WaveformStore, rows: Sequence[int], title: str) -> NDArray[np.float32]:
        leads, scope = sets[title]
        return pooled(model, store, rows, leads, config.normalize.model_copy(update={"scope": scope}), evaluation.batch)

    return str(
        write_features(
            folder=Path("data/features") / item,
            name=item,
            method=config.method,
            stores=stores,
            leads={title: leads for title, (leads, _) in sets.items()},
            scopes={title: scope for title, (_, scope) in sets.items()},
            width=config.model.encoder.width,
            embed=embed,
            batch=evaluation.batch,
            trained_on=config.trained_on.model_dump() if config.steps else None,
        )
    )
