"""Merge the names of one entity (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import whole
from kmerl.knowledge.merge import merge
from kmerl.knowledge.schemas import VERIFIED
from kmerl.parts import read_parts
from stages._mining import Step
from stages._places import knowledge


def main(params: Any, item: str) -> str:
    """Verified entities to merged names, under the variant ITEM of the parameters."""
    step, place = Step(params, "merge", item, f"merge@{item}"), knowledge(item)
    verified = read_parts(place / "verify", "verified.parquet", VERIFIED)
    entities = dict(verified.filter("kept").group_by("entity").len().iter_rows())
    with whole(place / "merge") as folder:
        counts = merge(entities, step.asking, step.params, folder)
    return (
        "{entities} entities, {spellings} after merging spellings, {merged} after asking, {mended} keys mended, "
        "{unusable} unusable answers"
    ).format_map(counts) + f"; {step.cost}"
