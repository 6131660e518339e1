"""Stored text vectors, looked up by text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from kmerl.artifacts import read_json, read_table, whole, write_json, write_table
from kmerl.errors import UserError
from kmerl.regular import assert_regular
from kmerl.text.params import TextParams

TEXTS = pa.schema([pa.field("row", pa.int32(), nullable=False), pa.field("text", pa.string(), nullable=False)])


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
            assert_regular(folder / "vectors.npy")
            vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        except (OSError, ValueError):
            raise UserError(f"{folder}/vectors.npy: not readable; run the embed_text stages again") from None
        if len(vectors) != len(texts):
            raise UserError(f"{folder}: {len(vectors)} vectors for {len(texts)} texts; run the embed_text stages again")
        return cls(texts, vectors, TextParams.model_validate(read_json(folder / "config.json")))
