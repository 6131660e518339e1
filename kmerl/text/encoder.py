"""The text encoder F_T: any Hugging Face encoder, frozen, each distinct text embedded once (paper section 2.5)."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from kmerl.errors import UserError
from kmerl.regular import assert_regular
from kmerl.text.params import TextParams


def locate(encoder: str) -> str:
    """The folder or hub name of an encoder given as in :class:`TextParams`.

    Raises:
        UserError: the package or the folder in it does not exist, or something in a folder is no file.
    """
    if not encoder.startswith("package:"):
        _assert_files(Path(encoder))
        return encoder
    package, _, folder = encoder.removeprefix("package:").partition("/")
    # a name with a dot would import the package, which runs it
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"text.encoder: no Python package {package!r} is installed; install it or name another encoder")
    path = Path(next(iter(spec.submodule_search_locations))) / folder
    if ".." in Path(folder).parts or Path(folder).is_absolute() or not (path / "config.json").exists():
        raise UserError(f"text.encoder: package {package!r} holds no model in {folder!r}; name its model folder")
    _assert_files(path)
    return str(path)


def _assert_files(folder: Path) -> None:
    """Make sure that nothing in a folder, if it is one, keeps a reader waiting."""
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            if not path.is_dir():
                assert_regular(path)
    except OSError as error:
        raise UserError(f"text.encoder: {error.filename}: {error.strerror}; remove it") from None


class TextEncoder(nn.Module):
    """F_T: texts -> (n, width) float32 vectors.

    Args:
        params: encoder, pooling and length.
        trainable_layers: how many of its last transformer layers learn; 0 freezes all of it.

    Raises:
        UserError: the encoder cannot be loaded from disk or hub, or has fewer layers than asked to learn.
    """

    def __init__(self, params: TextParams, trainable_layers: int = 0):
        super().__init__()
        from transformers import AutoModel, AutoTokenizer  # takes seconds to import, and most stages need no encoder
        from transformers.utils import logging

        logging.disable_progress_bar()  # of reading a file
        self.params = params
        source = locate(params.encoder)
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            self.encoder: Any = AutoModel.from_pretrained(source, dtype=torch.float32, trust_remote_code=False)
        except Exception as error:  # a damaged or hostile folder leads the library to any
            reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
            raise UserError(f"text.encoder: {params.encoder!r} cannot be loaded ({reason}); give a folder") from None
        self.encoder.requires_grad_(False)
        if trainable_layers:
            layers: Any = getattr(getattr(self.encoder, "encoder", None), "layer", ())
            if trainable_layers > len(layers):
                raise UserError(f"pretrain.text_layers: {params.encoder!r} has {len(layers)} BERT layers; lower it")
            layers[-trainable_layers:].requires_grad_(True)

    @property
    def width(self) -> int:
        """Width of a text's vector."""
        return int(self.encoder.config.hidden_size)

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Texts -> (n, width), in their order; deterministic in eval mode."""
        tokens = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.params.max_tokens, return_tensors="pt"
        ).to(self.encoder.device)
        output = self.encoder(**tokens)
        if self.params.pooling == "pooler":
            return output.pooler_output
        hidden: Tensor = output.last_hidden_state  # (n, T, width)
        if self.params.pooling == "cls":
            return hidden[:, 0]
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # (n, T, 1)
        return (hidden * mask).sum(1) / mask.sum(1)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Many texts -> (n, width) float32, in batches of similar length so that little is padded."""
        self.eval()
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), texts[i]))
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        for start in tqdm(range(0, len(order), self.params.batch), desc="texts", unit="batch", disable=None):
            rows = order[start : start + self.params.batch]
            vectors[rows] = self([texts[i] for i in rows]).float().cpu().numpy()
        return vectors
