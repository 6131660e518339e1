"""Ask YES or NO for each extracted entity (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.schemas import MENTIONS, REPORTS
from kmerl.knowledge.verify import verify
from stages._mining import Step
from stages._places import REPORTS as FOLDER
from stages._places import knowledge


def main(params: Any, item: str) -> str:
    """Mentions to verified mentions; ITEM is a variant of the parameters, and a part of the reports."""
    variant, part = item.split("-")
    step, place = Step(params, "verify", variant, f"verify@{item}"), knowledge(variant)
    reports = read_table(FOLDER / "reports.parquet", REPORTS)
    mentions = read_table(place / "extract" / part / "mentions.parquet", MENTIONS)
    with whole(place / "verify" / part) as folder:
        counts = verify(reports, mentions, step.asking, step.params, folder)
    return "{kept} of {mentions} mentions kept, {flagged} flagged, {unusable} unusable answers".format_map(counts) + (
        f"; {step.cost}"
    )
