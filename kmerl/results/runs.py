"""A pretrained run as its folder tells it, for those who show it; no model is made."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kmerl.artifacts import read_json, read_table
from kmerl.errors import UserError
from kmerl.history import last
from kmerl.weights import count, shapes_of


@dataclass(frozen=True)
class Run:
    """One pretrained run; values that it does not have are None.

    Attributes:
        name: of its folder.
        config: as :class:`kmerl.checkpoint.RunConfig` was written.
        weights: how many there are.
        digest: SHA-256 of their file.
        loss, valid_auc: the last ones.
    """

    name: str
    config: Mapping[str, Any]
    weights: int
    digest: str
    loss: float | None
    valid_auc: float | None


def read_run(folder: Path, name: str) -> Run:
    """What a run's folder says of it.

    Raises:
        UserError: a file is missing or cut short.
    """
    history = read_table(folder / "history.parquet")
    weights = folder / "model.safetensors"
    try:
        number = count(shapes_of(weights))
        with weights.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
    except (ValueError, OSError) as error:
        raise UserError(f"{weights}: not readable ({error}); run pretrain@{name} again") from None
    return Run(
        name, read_json(folder / "config.json"), number, digest, last(history, "loss"), last(history, "valid_auc")
    )


def records_per_step(loop: Mapping[str, Any]) -> int:
    """How many records a step sees, over all processes of all nodes; ``loop``: ``pretrain.loop`` of the run."""
    return int(loop["batch"] * loop["processes"] * loop["nodes"])
