"""Embed one list of texts: the reports, the vocabulary with all names of its queries, or the downstream class names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kmerl.archives import classes
from kmerl.artifacts import read_table
from kmerl.knowledge.vocabulary import load_names, load_vocabulary
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder


def vocabulary() -> list[str]:
    """The queries, then what else they were called."""
    queries = load_vocabulary("data/labels")
    names = load_names("data/labels", queries)
    return [*queries.queries, *(name for query in queries.queries for name in names[query])]


def class_names() -> list[str]:
    """Both names of every class of every task."""
    names = [(classes.class_names(task), classes.class_names(task, "other_name")) for task in classes.tasks()]
    return [text for both in names for column in both for text in column.values()]


LISTS: dict[str, Callable[[], list[str]]] = {
    "reports": lambda: read_table("data/reports/reports.parquet")["text"].to_list(),
    "vocabulary": vocabulary,
    "classes": class_names,
}


def main(params: Any, item: str) -> str:
    """Write ``data/embeddings/<item>/``, one vector per distinct text."""
    torch.set_num_threads(params.text.threads)
    texts = list(dict.fromkeys(LISTS[item]()))
    encoder = TextEncoder(params.text).to("cuda" if torch.cuda.is_available() else "cpu")
    Embeddings(texts, encoder.embed(texts), params.text).save(Path("data/embeddings") / item)
    return f"{len(texts)} distinct texts as vectors of {encoder.width}"
