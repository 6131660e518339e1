"""Ask YES or NO for each extracted entity (paper section 2.4)."""

from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.schemas import MENTIONS, REPORTS
from kmerl.knowledge.verify import verify
from stages._mining import Asker
from stages._places import KNOWLEDGE
from stages._places import REPORTS as FOLDER


def main(params: Any, item: str) -> str:
    """The mentions of the part ITEM to verified mentions."""
    reports, asker = read_table(FOLDER / "reports.parquet", REPORTS), Asker(params, f"verify@{item}")
    mentions = read_table(KNOWLEDGE / "extract" / item / "mentions.parquet", MENTIONS)
    with whole(KNOWLEDGE / "verify" / item) as folder:
        counts = verify(reports, mentions, asker.asking, params.knowledge.verify, folder)
    return "{kept} of {mentions} mentions kept, {flagged} flagged, {unusable} unusable answers".format_map(counts) + (
        f"; {asker.cost}"
    )
