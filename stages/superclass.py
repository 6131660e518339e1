"""Group entities into superclasses (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import read_json, whole
from kmerl.knowledge.superclass import superclass
from stages._mining import Step
from stages._places import knowledge


def main(params: Any, item: str) -> str:
    """Merged entities to superclasses, under the variant ITEM of the parameters."""
    step, place = Step(params, "superclass", item, f"superclass@{item}"), knowledge(item)
    with whole(place / "superclass") as folder:
        counts = superclass(read_json(place / "merge" / "merged.json"), step.asking, step.params, folder)
    return (
        "{superclasses} superclasses of {entities} entities, {new} of them new names, {dropped} dropped, "
        "{unusable} unusable answers"
    ).format_map(counts) + f"; {step.cost}"
