"""The text encoder F_T: any Hugging Face encoder, frozen, each distinct text embedded once (paper section 2.5)."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from kmerl.artifacts import read_json, read_table, whole, write_json, write_table
from kmerl.errors import UserError
from kmerl.section import Section

TEXTS = pa.schema([pa.field("row", pa.int32(), nullable=False), pa.field("text", pa.string(), nullable=False)])
Pooling = Literal["mean", "cls", "pooler"]


class TextParams(Section):
    """The text encoder F_T and how a text becomes one vector."""

    encoder: str = Field(
        description="a folder, a Hugging Face name (paper: ncbi/MedCPT-Query-Encoder), or package:NAME/FOLDER for "
        "a model that an installed Python package carries"
    )
    pooling: Pooling = Field(description="mean over tokens (paper: AvgPool, section 2.5), cls, or pooler (MERL's code)")
    max_tokens: int = Field(ge=8, le=4096, description="longer texts are cut; in tokens (MERL: 256)")
    batch: int = Field(ge=1, description="texts embedded at a time")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")


def locate(encoder: str) -> str:
    """The folder or hub name of an encoder given as in :class:`TextParams`.

    Raises:
        UserError: the package or the folder in it does not exist.
    """
    if not encoder.startswith("package:"):
        return encoder
    package, _, folder = encoder.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"text.encoder: no Python package {package!r} is installed; install it or name another encoder")
    path = Path(next(iter(spec.submodule_search_locations))) / folder
    if not (path / "config.json").exists():
        raise UserError(f"text.encoder: package {package!r} holds no model in {folder!r}; name its model folder")
    return str(path)


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
        self.params = params
        source = locate(params.encoder)
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
            self.encoder: Any = AutoModel.from_pretrained(source, dtype=torch.float32)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"text.encoder: {params.encoder!r} cannot be loaded ({reason}); give a folder") from None
        self.encoder.requires_grad_(False)
        if trainable_layers:
            layers = self.encoder.encoder.layer
            if trainable_layers > len(layers):
                raise UserError(f"loss.text_layers: {params.encoder!r} has {len(layers)} layers; ask for fewer")
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


class Embeddings:
    """A stored list of distinct texts with their vectors, looked up by text.

    Attributes:
        vectors: (n, width) float32.
    """

    def __init__(self, texts: Sequence[str], vectors: NDArray[np.float32], params: TextParams):
        if len(texts) != len(vectors):
            raise ValueError("as many vectors as texts")
        self.texts, self.vectors, self.params = list(texts), vectors, params
        self._row = {text: row for row, text in enumerate(self.texts)}

    def __getitem__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors (n, width) of ``texts``, in their order.

        Raises:
            UserError: a text was never embedded.
        """
        try:
            return self.vectors[[self._row[text] for text in texts]]
        except KeyError as error:
            raise UserError(f"text {error.args[0]!r} has no embedding; run the embed_text stages again") from None

    def save(self, folder: Path) -> None:
        """Write ``texts.parquet``, ``vectors.npy`` and ``config.json``."""
        with whole(folder) as temporary:
            temporary.mkdir()
            rows = pl.DataFrame({"row": range(len(self.texts)), "text": self.texts}, schema_overrides={"row": pl.Int32})
            write_table(temporary / "texts.parquet", rows, TEXTS)
            np.save(temporary / "vectors.npy", self.vectors)
            write_json(temporary / "config.json", self.params.model_dump())

    @classmethod
    def load(cls, folder: Path) -> "Embeddings":
        """Read what :meth:`save` wrote.

        Raises:
            UserError: a file is missing, cut short, or of another length than the texts.
        """
        texts = read_table(folder / "texts.parquet", TEXTS)["text"].to_list()
        try:
            vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        except (OSError, ValueError):
            raise UserError(f"{folder}/vectors.npy: not readable; run the embed_text stages again") from None
        if len(vectors) != len(texts):
            raise UserError(f"{folder}: {len(vectors)} vectors for {len(texts)} texts; run the embed_text stages again")
        return cls(texts, vectors, TextParams.model_validate(read_json(folder / "config.json")))
