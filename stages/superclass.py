"""Group entities into superclasses (paper section 2.4)."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_json, whole
from kmerl.knowledge.superclass import superclass

DATA = Path("data")


def main(params: Any) -> str:
    """Merged entities to superclasses."""
    merged = read_json(DATA / "knowledge" / "merge" / "merged.json")
    with whole(DATA / "knowledge" / "superclass") as folder:
        counts = superclass(merged, params.knowledge.engine, params.knowledge.superclass, folder)
    return "{superclasses} superclasses of {entities} entities, {new} of them new names, {dropped} dropped".format_map(
        counts
    )
