"""A pretrained run on disk: ``model.safetensors``, ``config.json``, ``history.parquet``.

Loading one runs no foreign code: weights are safetensors, the rest is JSON and Parquet.
"""

from pathlib import Path
from typing import Any

import polars as pl
import torch
from pydantic import Field, PrivateAttr, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kmerl import methods
from kmerl.artifacts import read_json, whole, write_json, write_table
from kmerl.errors import UserError
from kmerl.history import HISTORY
from kmerl.leads import LEADS
from kmerl.methods.method import Method
from kmerl.model.network import Network
from kmerl.model.params import ModelParams
from kmerl.section import Section
from kmerl.text.params import TextParams
from kmerl.waveforms import NormalizeParams, WaveformStore
from kmerl.weights import Shapes, shapes_of

TEXT_PREFIX = "text."

_LARGEST_CONFIG = 1 << 23  # bytes: a vocabulary of 100,000 names
_LONGEST = 600  # s of a waveform that a store holds
_MOST_TOKENS = 1 << 16  # of a record; the paper's has 600


class TrainedOn(Section):
    """What a run learnt from."""

    archive: str
    origin: str
    records: int
    reports: int


class RunConfig(Section):
    """What is needed to use a run's weights.

    ``method`` and ``options`` say what it has beside its encoder and how it can be asked; ``title`` and ``curves`` are
    for those who show it (see :class:`kmerl.methods.method.Method`); ``vocabulary`` are the queries of its training, by
    their own names.
    """

    method: str
    title: str
    curves: dict[str, str]
    options: dict[str, Any]
    model: ModelParams
    normalize: NormalizeParams
    text: TextParams
    text_width: int = Field(ge=1)
    fs: float = Field(ge=50, le=5000)  # as of a waveform store
    samples: int = Field(ge=1)
    vocabulary: list[str] = Field(min_length=1)
    vocabulary_hash: str
    trained_on: TrainedOn
    seed: int
    steps: int
    _made: Method[Any] = PrivateAttr()

    @model_validator(mode="after")
    def _of_a_store(self) -> "RunConfig":
        if self.samples > _LONGEST * self.fs:
            raise ValueError(f"{self.samples} samples at {self.fs:g} Hz; a store holds at most {_LONGEST} s")
        return self

    @model_validator(mode="after")
    def _of_a_method(self) -> "RunConfig":
        self._made = methods.made(self.method, self.options)
        self._made.check(self.model)
        return self

    @property
    def made(self) -> Method[Any]:
        """Its method."""
        return self._made


def described(method: Method[Any]) -> dict[str, Any]:
    """What a run's configuration says of its method."""
    name = type(method).__module__.rpartition(".")[2]
    return {
        "method": name, "title": method.title, "curves": dict(method.curves), "options": method.options.model_dump(),
    }  # fmt: skip


def save_run(
    folder: Path, model: Network, config: RunConfig, history: pl.DataFrame, text: dict[str, Tensor] | None = None
) -> None:
    """Write a run, whole or not at all; ``text`` holds the text encoder's weights if they were trained."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    tensors |= {TEXT_PREFIX + name: tensor.detach().cpu().contiguous() for name, tensor in (text or {}).items()}
    with whole(folder) as temporary:
        temporary.mkdir()
        save_file(tensors, temporary / "model.safetensors")
        write_json(temporary / "config.json", config.model_dump())
        write_table(temporary / "history.parquet", history, HISTORY)


def load_run(folder: Path) -> tuple[Network, RunConfig, dict[str, Tensor]]:
    """The model in eval mode, its configuration, and the text encoder's weights if the run trained any.

    Raises:
        UserError: a file is missing, cut short, or does not fit the others.
    """
    path, weights = folder / "config.json", folder / "model.safetensors"
    try:
        config = RunConfig.model_validate(read_json(path, _LARGEST_CONFIG))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:200] or "all of it"
        raise UserError(f"{path}: {where}: {first['msg'][:200]}; this is not a run of this version") from None
    try:
        _assert_fits(config, shapes_of(weights), f"{weights}: does not fit {path}")
        tensors = load_file(weights)
        text = {name.removeprefix(TEXT_PREFIX): tensors.pop(name) for name in list(tensors) if _is_text(name)}
        model = Network(config.model, config.made, config.text_width, config.samples)
        model.load_state_dict(tensors)
    except FileNotFoundError:
        raise UserError(f"{weights}: no such file; run the pretrain stage") from None
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:  # numbers of a type torch has not
        detail = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise UserError(f"{weights}: not readable ({detail}); run the pretrain stage again") from None
    return model.eval(), config, text


def _is_text(name: str) -> bool:
    """Whether a tensor is the text encoder's."""
    return name.startswith(TEXT_PREFIX)


def _assert_fits(config: RunConfig, shapes: Shapes, what: str) -> None:
    """Make sure, before any memory is taken for it, that the model of a configuration has just these weights.

    Raises:
        UserError: it has others; the message begins with ``what``.
    """
    own = {name: shape for name, shape in shapes.items() if not _is_text(name)}
    sizes = config.model
    method = config.made
    depth = method.layers + (sizes.encoder.resolve().depth if sizes.encoder.kind == "vit" else 0)
    advice = "take both from one run"
    if depth > len(own):
        raise UserError(f"{what} ({depth} layers, but {len(own)} tensors); {advice}")
    if len(LEADS) * config.samples > _MOST_TOKENS * sizes.tokens.length:
        raise UserError(f"{what} (more than {_MOST_TOKENS:,} tokens in a record); {advice}")
    try:
        with torch.device("meta"), _Unfilled():  # shapes without memory
            model = Network(sizes, method, config.text_width, config.samples)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise UserError(f"{what} ({' '.join(str(error).split())[:200]}); {advice}") from None
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    other = sorted(name for name in wanted.keys() | own.keys() if wanted.get(name) != own.get(name))
    if other:
        name = other[0]
        raise UserError(f"{what} ({name[:80]}: {own.get(name)}, not {wanted.get(name)}); {advice}")


class _Unfilled(TorchFunctionMode):
    """Leaves new weights as they are; to fill those on the device meta, torch would import for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Everything but functions that change a tensor, whose names end with an underscore."""
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name.endswith("_") and not name.endswith("__"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


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
