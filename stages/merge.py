"""Merge the names of one entity (paper section 2.4)."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.merge import merge
from kmerl.knowledge.verify import VERIFIED

DATA = Path("data")


def main(params: Any) -> str:
    """Verified entities to merged names."""
    verified = read_table(DATA / "knowledge" / "verify" / "verified.parquet", VERIFIED)
    entities = dict(verified.filter("kept").group_by("entity").len().iter_rows())
    with whole(DATA / "knowledge" / "merge") as folder:
        counts = merge(entities, params.knowledge.engine, params.knowledge.merge, folder)
    return (
        "{entities} entities, {spellings} after merging spellings, {merged} after asking, {mended} keys mended"
    ).format_map(counts)
