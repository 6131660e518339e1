"""Text encoders that somebody else's model names: none outside of it is opened without the user's word."""

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from kmerl.artifacts import read_json
from kmerl.errors import UserError
from kmerl.regular import assert_regular
from kmerl.weights import count, shapes_of

_HUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_LARGEST_CONFIG = 1 << 20  # bytes
_LARGEST = 1 << 26  # bytes of any other file than the weights; the largest tokenizers take 35 MB
_MORE = {"auto_map", "attn_implementation", "_attn_implementation", "quantization_config"}
"""Settings with which transformers looks for code or libraries beside its own."""


def admitted(encoder: str, folder: Path, trusted: Collection[str] = ()) -> str:
    """The text encoder that a run's configuration names, if it may be loaded, as :class:`TextParams` gives it.

    Args:
        encoder: as the configuration names it: what a package carries, a folder within the run's, or a hub's model.
        folder: of the run.
        trusted: encoders that the user names himself; they may be anywhere.

    Raises:
        UserError: it is elsewhere, or is none.
    """
    if encoder in trusted or encoder.startswith("package:"):
        return encoder
    home = folder.resolve()
    places = (folder / encoder, Path(encoder))
    for place in places:
        if place.is_dir() and place.resolve().is_relative_to(home):
            _assert_sound(place, home)
            return str(place)
    if _HUB.fullmatch(encoder) and not any(map(os.path.lexists, places)):
        return encoder
    raise UserError(
        f"{folder / _CONFIG}: text.encoder {encoder[:200]!r} is not within this folder; if you trust it, say so: "
        "--trust-encoder, or kmerl.load(..., encoders=[...])"
    )


def _assert_sound(place: Path, home: Path) -> None:
    """Make sure that a folder holds a model of transformers' own kinds, no larger than its weights."""
    try:
        for file in sorted(place.rglob("*")):
            if not file.resolve().is_relative_to(home) or file.name == "adapter_config.json":
                raise ValueError(f"{file.name} leads elsewhere")
            if not file.is_dir() and assert_regular(file) > _LARGEST and file.suffix != ".safetensors":
                raise ValueError(f"{file.name} has more than {_LARGEST:,} bytes")
        shapes = shapes_of(place / _WEIGHTS)
    except (OSError, ValueError) as error:
        raise UserError(f"{place}: no text encoder that can be used ({error})") from None
    settings = read_json(place / _CONFIG, _LARGEST_CONFIG)
    more = sorted(_MORE & set(settings)) if isinstance(settings, dict) else ["no settings"]
    if more:
        raise UserError(f"{place / _CONFIG}: {', '.join(more)}: needs more than transformers itself; take another")
    most, deepest = count(shapes), len(shapes)
    for name, value in settings.items():
        if isinstance(value, int | float) and not abs(value) <= (deepest if "layer" in name else max(most, 1 << 20)):
            raise UserError(f"{place / _CONFIG}: {name[:40]} {str(value)[:40]} does not fit {_WEIGHTS}; take both anew")
    try:
        size = _size(place)
    except Exception as error:  # settings of any content are tried
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{place / _CONFIG}: no text encoder ({reason}); take another") from None
    if size > 2 * most:
        raise UserError(f"{place / _CONFIG}: {size:,} weights, but {_WEIGHTS} has {most:,}; take both from one model")


def _size(place: Path) -> int:
    """How many weights a model has by its configuration; nothing is allocated."""
    from transformers import AutoConfig, AutoModel  # takes seconds to import

    config: Any = AutoConfig.from_pretrained(place, trust_remote_code=False)
    with torch.device("meta"):
        return sum(weight.numel() for weight in AutoModel.from_config(config).parameters())
