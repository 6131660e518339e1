"""Label vectors y in {0, 1}^Q (paper section 2.4): entities and superclasses a report asserts, each bit traceable."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from kmerl.artifacts import read_json, read_metadata, read_table, write_json, write_table
from kmerl.errors import UserError
from kmerl.section import Section

LABELS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("positives", pa.list_(pa.int32()), nullable=False),
    ]
)
"""``positives``: ascending indices into the vocabulary's queries."""

TRACE = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("via", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("extract_request", pa.string(), nullable=False),
        pa.field("verify_request", pa.string(), nullable=False),
    ]
)
"""Why a report sets a bit: query <- merged entity ``via`` (the query itself, or a member of it) <- entity as written
at ``[start, end)`` <- the questions that extracted and verified it."""

REJECTED = pa.schema(
    [pa.field("record_id", pa.string(), nullable=False), pa.field("reason", pa.string(), nullable=False)]
)

_VOCABULARY, _NAMES, _LABELS = "vocabulary.json", "names.json", "labels.parquet"
_TRACE, _REJECTED = "trace.parquet", "rejected.parquet"


class LabelsParams(Section):
    """Which queries and records the labels hold."""

    min_records: int = Field(ge=1, description="records; a query that fewer records set is left out")
    without_entities: Literal["keep", "drop"] = Field(
        description="records whose report asserts no query: kept with an empty label vector, or dropped"
    )


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


def ancestors(entity: str, superclasses: Mapping[str, Sequence[str]]) -> list[str]:
    """The superclasses an entity sets: its own, and those of a superclass that is an entity itself."""
    found: list[str] = []
    waiting = [entity]
    while waiting:
        name = waiting.pop()
        above = [s for s, members in superclasses.items() if name in members and s not in found and s != entity]
        found += above
        waiting += above
    return sorted(found)


def trace_bits(
    mentions: pl.DataFrame,
    verified: pl.DataFrame,
    merged: Mapping[str, str],
    superclasses: Mapping[str, Sequence[str]],
) -> pl.DataFrame:
    """One row per report, query and mention that sets it; columns of :data:`TRACE`.

    Raises:
        UserError: a kept entity has no merged name: the steps' outputs do not belong together.
    """
    kept = verified.filter("kept").select("report_id", "entity", verify_request="request")
    unknown = set(kept["entity"]) - set(merged)
    if unknown:
        raise UserError(f"entity {min(unknown)!r} has no merged name; run merge, superclass and labels again")
    pairs = [
        (entity, name, query)
        for entity, name in sorted(merged.items())
        for query in (name, *ancestors(name, superclasses))
    ]
    ways = pl.DataFrame(pairs, {"entity": pl.String, "via": pl.String, "query": pl.String}, orient="row")
    rows = (
        mentions.rename({"request": "extract_request"}).join(kept, on=["report_id", "entity"]).join(ways, on="entity")
    )
    return rows.select(TRACE.names).sort("report_id", "query", "via", "start", "entity")


def unusable_reports(extracted: pl.DataFrame, verified: pl.DataFrame) -> dict[str, str]:
    """Reports of which some answer could not be used, and the step that asked: what they assert is not known.

    Args:
        extracted: column report_id, one row per unusable answer of the first step.
        verified: columns report_id, answer, from :func:`~kmerl.knowledge.verify.verify`.
    """
    second = verified.filter(pl.col("answer") == "unusable")["report_id"]
    return dict.fromkeys(second, "unusable verification") | dict.fromkeys(extracted["report_id"], "unusable extraction")


def make_labels(
    studies: pl.DataFrame,
    unusable: Mapping[str, str],
    trace: pl.DataFrame,
    merged: Mapping[str, str],
    superclasses: Mapping[str, Sequence[str]],
    params: LabelsParams,
    folder: Path,
    metadata: Mapping[str, str],
) -> dict[str, int]:
    """Write the vocabulary, the label vectors, the trace and a summary to ``folder``.

    Args:
        studies: columns record_id, report_id.
        unusable: from :func:`unusable_reports`; the records of these have no labels, which is not "none".
        trace: from :func:`trace_bits`.
        merged: original -> merged name.
        superclasses: superclass -> members.
        params: which queries and records are kept.
        folder: gets vocabulary.json, names.json, labels.parquet, trace.parquet, rejected.parquet, summary.json.
        metadata: stored with the labels, beside the vocabulary's hash.

    Returns:
        Counts: records, labelled, without entities, unusable, queries, entities, superclasses, rare queries.
    """
    trace = trace.filter(~pl.col("report_id").is_in(list(unusable)))
    bits = trace.select("report_id", "query").unique()
    support = dict(studies.join(bits, on="report_id").group_by("query").len().iter_rows())
    common = {query for query, records in support.items() if records >= params.min_records}
    entities = sorted(common & set(merged.values()))
    groups = {
        name: [member for member in members if member in common]
        for name, members in superclasses.items()
        if name in common
    }
    vocabulary = make_vocabulary(entities, groups)
    index = pl.DataFrame({"query": list(vocabulary.queries)}, {"query": pl.String}).with_row_index("position")
    vectors = bits.join(index, on="query").group_by("report_id").agg(positives=pl.col("position").cast(pl.Int32).sort())
    usable = studies.filter(~pl.col("report_id").is_in(list(unusable)))
    labels = (
        usable.join(vectors, on="report_id", how="left", maintain_order="left")
        .with_columns(pl.col("positives").fill_null([]))
        .select("record_id", "positives")
    )
    empty = pl.col("positives").list.len() == 0
    no_answer = studies.filter(pl.col("report_id").is_in(list(unusable)))
    reason = pl.col("report_id").replace_strict(dict(unusable), return_dtype=pl.String)
    rejected = [no_answer.select("record_id", reason=reason)]
    without = labels.filter(empty)
    if params.without_entities == "drop":
        labels = labels.filter(~empty)
        rejected.append(without.select("record_id", reason=pl.lit("no positive entity")))
    write_json(folder / _VOCABULARY, asdict(vocabulary))
    write_json(folder / _NAMES, names_of(vocabulary.queries, merged))
    write_table(folder / _LABELS, labels, LABELS, {**metadata, "vocabulary": vocabulary.hash})
    write_table(folder / _TRACE, trace.filter(pl.col("query").is_in(list(vocabulary.queries))), TRACE)
    write_table(folder / _REJECTED, pl.concat(rejected), REJECTED)
    summary = {
        "records": len(studies),
        "labelled": len(labels),
        "without_entities": len(without),
        "unusable": len(no_answer),
        "queries": len(vocabulary.queries),
        "entities": len(vocabulary.entities),
        "superclasses": len(vocabulary.queries) - len(vocabulary.entities),
        "rare": len(set(merged.values()) | set(superclasses)) - len(vocabulary.queries),
    }
    counts = {query: support[query] for query in vocabulary.queries}
    write_json(folder / "summary.json", {**summary, "records_per_query": counts})
    return summary


def load_vocabulary(folder: Path | str) -> Vocabulary:
    """The vocabulary in a labels folder.

    Raises:
        UserError: the file is missing, or its hash is not that of its queries.
    """
    path = Path(folder) / _VOCABULARY
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
    path = Path(folder) / _NAMES
    names: dict[str, list[str]] = read_json(path)
    if list(names) != sorted(vocabulary.queries) or any(listed[:1] != [query] for query, listed in names.items()):
        raise UserError(f"{path}: made with another vocabulary than the one beside it; run the labels stage again")
    return names


def load_labels(folder: Path | str) -> tuple[Vocabulary, pl.DataFrame]:
    """The vocabulary and the labels (columns of :data:`LABELS`) in a folder.

    Raises:
        UserError: a file is missing, or the labels belong to another vocabulary.
    """
    vocabulary, path = load_vocabulary(folder), Path(folder) / _LABELS
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
