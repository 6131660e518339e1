"""Embed one list of texts: the reports, the vocabulary's queries, or the downstream class names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kmerl.archives import classes
from kmerl.artifacts import read_json, read_table
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder

LISTS: dict[str, Callable[[], list[str]]] = {
    "reports": lambda: read_table("data/reports/reports.parquet")["text"].to_list(),
    "vocabulary": lambda: read_json("data/labels/vocabulary.json")["queries"],
    "classes": lambda: [name for task in classes.tasks() for name in classes.class_names(task).values()],
}


def main(params: Any, item: str) -> str:
    """Write ``data/embeddings/<item>/``, one vector per distinct text."""
    torch.set_num_threads(params.text.threads)
    texts = list(dict.fromkeys(LISTS[item]()))
    encoder = TextEncoder(params.text).to("cuda" if torch.cuda.is_available() else "cpu")
    Embeddings(texts, encoder.embed(texts), params.text).save(Path("data/embeddings") / item)
    return f"{len(texts)} distinct texts as vectors of {encoder.width}"
