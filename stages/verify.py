"""Ask YES or NO for each extracted entity (paper section 2.4)."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.extract import MENTIONS
from kmerl.knowledge.verify import verify
from kmerl.reports import REPORTS

DATA = Path("data")


def main(params: Any) -> str:
    """Mentions to verified mentions."""
    reports = read_table(DATA / "reports" / "reports.parquet", REPORTS)
    mentions = read_table(DATA / "knowledge" / "extract" / "mentions.parquet", MENTIONS)
    with whole(DATA / "knowledge" / "verify") as folder:
        counts = verify(reports, mentions, params.knowledge.engine, params.knowledge.verify, folder)
    return "{kept} of {mentions} mentions kept, {questions} questions, {unusable} unusable answers".format_map(counts)
