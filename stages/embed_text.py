"""Embed one list of texts: the reports, the vocabulary with all names of its queries, or the downstream class names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kmerl.archives import classes
from kmerl.artifacts import read_table
from kmerl.knowledge.vocabulary import load_names, load_vocabulary
from kmerl.section import laid_over
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder


def vocabulary(labels: Path) -> list[str]:
    """The queries, then what else they were called."""
    queries = load_vocabulary(labels)
    names = load_names(labels, queries)
    return [*queries.queries, *(name for query in queries.queries for name in names[query])]


def class_names(_: Path) -> list[str]:
    """Both names of every class of every task."""
    names = [(classes.class_names(task), classes.class_names(task, "other_name")) for task in classes.tasks()]
    return [text for both in names for column in both for text in column.values()]


LISTS: dict[str, Callable[[Path], list[str]]] = {
    "reports": lambda folder: read_table(folder / "reports.parquet")["text"].to_list(),
    "vocabulary": vocabulary,
    "classes": class_names,
}


def main(params: Any, item: str) -> str:
    """Write ``data/embeddings/<item>/``, one vector per distinct text."""
    wanted = getattr(params.plan.embed_text, item)
    text = laid_over(params.text, getattr(params.plan.text, wanted["text"]))
    torch.set_num_threads(text.threads)
    texts = list(dict.fromkeys(LISTS[wanted["list"]](Path(wanted["of"]))))
    encoder = TextEncoder(text).to("cuda" if torch.cuda.is_available() else "cpu")
    Embeddings(texts, encoder.embed(texts), text).save(Path("data/embeddings") / item)
    return f"{len(texts)} distinct texts as vectors of {encoder.width}"
