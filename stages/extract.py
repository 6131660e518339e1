"""Ask for the cardiac entities of each distinct report (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.extract import extract
from kmerl.knowledge.schemas import REPORTS
from kmerl.parts import part_of
from stages._mining import Asker
from stages._places import KNOWLEDGE
from stages._places import REPORTS as FOLDER


def main(params: Any, item: str) -> str:
    """The part ITEM of the reports to mentions."""
    reports, asker = part_of(read_table(FOLDER / "reports.parquet", REPORTS), item), Asker(params, f"extract@{item}")
    with whole(KNOWLEDGE / "extract" / item) as folder:
        counts = extract(reports, asker.asking, params.knowledge.extract, folder)
    return (
        "{reports} reports, {mentions} mentions of {entities} entities ({unplaced} not written so), "
        "{unusable} unusable answers"
    ).format_map(counts) + f"; {asker.cost}"
