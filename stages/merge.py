"""Merge the names of one entity (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import whole
from kmerl.knowledge.merge import merge
from kmerl.knowledge.schemas import VERIFIED
from kmerl.parts import read_parts
from stages._mining import Asker
from stages._places import KNOWLEDGE


def main(params: Any) -> str:
    """Verified entities to merged names."""
    verified, asker = read_parts(KNOWLEDGE / "verify", "verified.parquet", VERIFIED), Asker(params, "merge")
    entities = dict(verified.filter("kept").group_by("entity").len().iter_rows())
    with whole(KNOWLEDGE / "merge") as folder:
        counts = merge(entities, asker.asking, params.knowledge.merge, folder)
    return (
        "{entities} entities, {spellings} after merging spellings, {merged} after asking, {mended} keys mended, "
        "{unusable} unusable answers"
    ).format_map(counts) + f"; {asker.cost}"
