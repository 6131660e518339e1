"""One label vector per record, each bit traceable to its sentence."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_json, read_metadata, read_table, whole
from kmerl.knowledge.labels import make_labels, trace_bits, unusable_reports
from kmerl.knowledge.schemas import MENTIONS, STUDIES, UNUSABLE, VERIFIED
from kmerl.parts import read_parts
from kmerl.section import laid_over

DATA = Path("data")


def main(params: Any, item: str) -> str:
    """Everything known about the reports to label vectors, under the variant ITEM of the parameters."""
    knowledge = DATA / "knowledge" / item
    merged = read_json(knowledge / "merge" / "merged.json")
    superclasses = read_json(knowledge / "superclass" / "superclasses.json")
    verified = read_parts(knowledge / "verify", "verified.parquet", VERIFIED)
    mentions = read_parts(knowledge / "extract", "mentions.parquet", MENTIONS)
    trace = trace_bits(mentions, verified, merged, superclasses)
    studies = DATA / "reports" / "studies.parquet"
    unusable = unusable_reports(read_parts(knowledge / "extract", "unusable.parquet", UNUSABLE), verified)
    metadata = {**read_metadata(studies), "archive": params.pretraining_archive}
    with whole(DATA / "labels" / item) as folder:
        counts = make_labels(
            read_table(studies, STUDIES),
            unusable,
            trace,
            merged,
            superclasses,
            laid_over(params.knowledge.labels, getattr(params.plan.knowledge, item).labels),
            folder,
            metadata,
        )
    return (
        "{labelled} of {records} records labelled with {queries} queries ({entities} entities, {superclasses} "
        "superclasses), {without_entities} records without any, {unusable} without a usable answer, {rare} rare "
        "queries left out"
    ).format_map(counts)
