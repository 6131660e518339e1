"""Ask for the cardiac entities of each distinct report (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.extract import extract
from kmerl.knowledge.schemas import REPORTS
from kmerl.parts import part_of
from stages._mining import Step
from stages._places import REPORTS as FOLDER
from stages._places import knowledge


def main(params: Any, item: str) -> str:
    """The reports to mentions; ITEM is a variant of the parameters, and a part of the reports."""
    variant, part = item.split("-")
    step = Step(params, "extract", variant, f"extract@{item}")
    reports = part_of(read_table(FOLDER / "reports.parquet", REPORTS), part)
    with whole(knowledge(variant) / "extract" / part) as folder:
        counts = extract(reports, step.asking, step.params, folder)
    return (
        "{reports} reports, {mentions} mentions of {entities} entities ({unplaced} not written so), "
        "{unusable} unusable answers"
    ).format_map(counts) + f"; {step.cost}"
