"""The queries, their names and the label vectors, as later stages read them (paper section 2.4)."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.artifacts import read_json, read_metadata, read_table
from kmerl.errors import UserError
from kmerl.knowledge.schemas import LABELS

VOCABULARY_FILE, NAMES_FILE, LABELS_FILE = "vocabulary.json", "names.json", "labels.parquet"


@dataclass(frozen=True)
class Vocabulary:
    """The ordered queries: merged entities, then the superclasses that are not entities themselves."""

    queries: tuple[str, ...]
    entities: tuple[str, ...]
    superclasses: Mapping[str, tuple[str, ...]]
    """Superclass -> its members among the entities; a superclass may be an entity too."""
    hash: str


def make_vocabulary(entities: Sequence[str], superclasses: Mapping[str, Sequence[str]]) -> Vocabulary:
    """Entities sorted, then new superclasses sorted."""
    own = sorted(set(entities))
    queries = (*own, *sorted(set(superclasses) - set(own)))
    grouped = {name: tuple(sorted(members)) for name, members in sorted(superclasses.items())}
    return Vocabulary(queries, tuple(own), grouped, _hash(queries))


def _hash(queries: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(queries), ensure_ascii=False).encode()).hexdigest()[:32]


def names_of(queries: Sequence[str], merged: Mapping[str, str]) -> dict[str, list[str]]:
    """Query -> every name it may be asked by: its own, then the others merged into it, sorted.

    A name that is another query asks for that one only; a superclass has no other names.
    """
    names: dict[str, list[str]] = {query: [query] for query in queries}
    for original, query in sorted(merged.items()):
        if query in names and original not in names:
            names[query].append(original)
    return names


def load_vocabulary(folder: Path | str) -> Vocabulary:
    """The vocabulary in a labels folder.

    Raises:
        UserError: the file is missing, or its hash is not that of its queries.
    """
    path = Path(folder) / VOCABULARY_FILE
    stored = read_json(path)
    queries = tuple(stored["queries"])
    if stored["hash"] != _hash(queries):
        raise UserError(f"{path}: the queries were changed by hand; run the labels stage again")
    groups = {name: tuple(members) for name, members in stored["superclasses"].items()}
    return Vocabulary(queries, tuple(stored["entities"]), groups, stored["hash"])


def load_names(folder: Path | str, vocabulary: Vocabulary) -> dict[str, list[str]]:
    """The names of every query of the vocabulary in a labels folder, as :func:`names_of` gives them.

    Raises:
        UserError: the file is missing, or belongs to another vocabulary.
    """
    path = Path(folder) / NAMES_FILE
    names: dict[str, list[str]] = read_json(path)
    if list(names) != sorted(vocabulary.queries) or any(listed[:1] != [query] for query, listed in names.items()):
        raise UserError(f"{path}: made with another vocabulary than the one beside it; run the labels stage again")
    return names


def load_labels(folder: Path | str) -> tuple[Vocabulary, pl.DataFrame]:
    """The vocabulary and the labels (columns of :data:`LABELS`) in a folder.

    Raises:
        UserError: a file is missing, or the labels belong to another vocabulary.
    """
    vocabulary, path = load_vocabulary(folder), Path(folder) / LABELS_FILE
    if read_metadata(path).get("vocabulary") != vocabulary.hash:
        raise UserError(f"{path}: made with another vocabulary than the one beside it; run the labels stage again")
    return vocabulary, read_table(path, LABELS)


def dense(vocabulary: Vocabulary, labels: pl.DataFrame, record_ids: Sequence[str]) -> NDArray[np.uint8]:
    """The label matrix of the records asked for, in their order: (N, Q), 1 where a query is positive.

    Raises:
        UserError: a record has no labels.
    """
    asked = pl.DataFrame({"record_id": list(record_ids)}, {"record_id": pl.String}).with_row_index("row")
    found = asked.join(labels, on="record_id", how="left", maintain_order="left")
    lost = found.filter(pl.col("positives").is_null())
    if len(lost):
        raise UserError(f"record {lost['record_id'][0]} has no labels ({len(lost)} such records); leave them out")
    matrix = np.zeros((len(asked), len(vocabulary.queries)), np.uint8)
    ones = found.select("row", "positives").explode("positives").drop_nulls()
    matrix[ones["row"].to_numpy(), ones["positives"].to_numpy()] = 1
    return matrix
