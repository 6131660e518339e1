"""One label vector per record, each bit traceable to its sentence."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_json, read_metadata, read_table, whole
from kmerl.knowledge.labels import make_labels, trace_bits, unusable_reports
from kmerl.knowledge.schemas import MENTIONS, STUDIES, UNUSABLE, VERIFIED
from kmerl.parts import read_parts

DATA = Path("data")


def main(params: Any) -> str:
    """Everything known about the reports to label vectors."""
    knowledge = DATA / "knowledge"
    merged = read_json(knowledge / "merge" / "merged.json")
    superclasses = read_json(knowledge / "superclass" / "superclasses.json")
    verified = read_parts(knowledge / "verify", "verified.parquet", VERIFIED)
    mentions = read_parts(knowledge / "extract", "mentions.parquet", MENTIONS)
    trace = trace_bits(mentions, verified, merged, superclasses)
    studies = DATA / "reports" / "studies.parquet"
    unusable = unusable_reports(read_parts(knowledge / "extract", "unusable.parquet", UNUSABLE), verified)
    metadata = {**read_metadata(studies), "archive": params.pretraining_archive}
    with whole(DATA / "labels") as folder:
        counts = make_labels(
            read_table(studies, STUDIES),
            unusable,
            trace,
            merged,
            superclasses,
            params.knowledge.labels,
            folder,
            metadata,
        )
    return (
        "{labelled} of {records} records labelled with {queries} queries ({entities} entities, {superclasses} "
        "superclasses), {without_entities} records without any, {unusable} without a usable answer, {rare} rare "
        "queries left out"
    ).format_map(counts)
