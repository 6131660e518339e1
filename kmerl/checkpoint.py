"""A pretrained run on disk: ``model.safetensors``, ``config.json``, ``history.parquet``.

Loading one runs no foreign code: weights are safetensors, the rest is JSON and Parquet.
"""

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from kmerl.artifacts import read_json, whole, write_json, write_table
from kmerl.errors import UserError
from kmerl.model.kmerl import KMERL
from kmerl.model.params import ModelParams
from kmerl.section import Section
from kmerl.text.params import TextParams
from kmerl.training.history import HISTORY
from kmerl.waveforms import NormalizeParams, WaveformStore

TEXT_PREFIX = "text."


class TrainedOn(Section):
    """What a run learnt from."""

    archive: str
    origin: str
    records: int
    reports: int


class RunConfig(Section):
    """What is needed to use a run's weights.

    ``method`` tells whether it has a query network (kmerl) or not (merl); ``temperature`` is that of its contrast;
    ``vocabulary`` are the queries it learnt, by their own names.
    """

    method: Literal["kmerl", "merl"]
    model: ModelParams
    temperature: float
    normalize: NormalizeParams
    text: TextParams
    text_layers: int
    text_width: int
    fs: float
    samples: int
    vocabulary: list[str]
    vocabulary_hash: str
    trained_on: TrainedOn
    seed: int
    steps: int


def save_run(
    folder: Path, model: KMERL, config: RunConfig, history: pl.DataFrame, text: dict[str, Tensor] | None = None
) -> None:
    """Write a run, whole or not at all; ``text`` holds the text encoder's weights if they were trained."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    tensors |= {TEXT_PREFIX + name: tensor.detach().cpu().contiguous() for name, tensor in (text or {}).items()}
    with whole(folder) as temporary:
        temporary.mkdir()
        save_file(tensors, temporary / "model.safetensors")
        write_json(temporary / "config.json", config.model_dump())
        write_table(temporary / "history.parquet", history, HISTORY)


def load_run(folder: Path) -> tuple[KMERL, RunConfig, dict[str, Tensor]]:
    """The model in eval mode, its configuration, and the text encoder's weights if the run trained any.

    Raises:
        UserError: a file is missing, cut short, or does not fit the others.
    """
    path = folder / "config.json"
    try:
        config = RunConfig.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg']}; this is not a run of this version") from None
    weights = folder / "model.safetensors"
    try:
        tensors = load_file(weights)
    except FileNotFoundError:
        raise UserError(f"{weights}: no such file; run the pretrain stage") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"{weights}: not readable ({error}); run the pretrain stage again") from None
    text = {name.removeprefix(TEXT_PREFIX): tensors.pop(name) for name in list(tensors) if name.startswith(TEXT_PREFIX)}
    model = KMERL(config.model, config.text_width, config.samples)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
        raise UserError(f"{weights}: does not fit {path} ({detail}); take both from one run") from None
    return model.eval(), config, text


def check_store(config: RunConfig, store: WaveformStore) -> None:
    """Make sure that a run is shown waveforms of the kind it learnt from.

    Raises:
        UserError: the store's sampling rate or length is another.
    """
    if (store.fs, store.samples) != (config.fs, config.samples):
        raise UserError(
            f"{store.folder}: {store.samples} samples at {store.fs} Hz, but the run learnt from {config.samples} at "
            f"{config.fs:g} Hz; preprocess both archives alike"
        )
