"""Label vectors y in {0, 1}^Q (paper section 2.4): entities and superclasses a report asserts, each bit traceable."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from kmerl.artifacts import write_json, write_table
from kmerl.errors import UserError
from kmerl.knowledge.schemas import LABELS, TRACE, UNLABELLED
from kmerl.knowledge.vocabulary import LABELS_FILE, NAMES_FILE, VOCABULARY_FILE, make_vocabulary, names_of
from kmerl.section import Section

_TRACE, _REJECTED = "trace.parquet", "rejected.parquet"


class LabelsParams(Section):
    """Which queries and records the labels hold."""

    min_records: int = Field(ge=1, description="records; a query that fewer records set is left out")
    without_entities: Literal["keep", "drop"] = Field(
        description="records whose report asserts no query: kept with an empty label vector, or dropped"
    )


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
    write_json(folder / VOCABULARY_FILE, asdict(vocabulary))
    write_json(folder / NAMES_FILE, names_of(vocabulary.queries, merged))
    write_table(folder / LABELS_FILE, labels, LABELS, {**metadata, "vocabulary": vocabulary.hash})
    write_table(folder / _TRACE, trace.filter(pl.col("query").is_in(list(vocabulary.queries))), TRACE)
    write_table(folder / _REJECTED, pl.concat(rejected), UNLABELLED)
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
