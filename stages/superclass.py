"""Group entities into superclasses (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import read_json, whole
from kmerl.knowledge.superclass import superclass
from stages._mining import Asker
from stages._places import KNOWLEDGE


def main(params: Any) -> str:
    """Merged entities to superclasses."""
    merged, asker = read_json(KNOWLEDGE / "merge" / "merged.json"), Asker(params, "superclass")
    with whole(KNOWLEDGE / "superclass") as folder:
        counts = superclass(merged, asker.asking, params.knowledge.superclass, folder)
    return (
        "{superclasses} superclasses of {entities} entities, {new} of them new names, {dropped} dropped, "
        "{unusable} unusable answers"
    ).format_map(counts) + f"; {asker.cost}"
