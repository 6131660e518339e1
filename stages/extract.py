"""Ask for the cardiac entities of each distinct report (paper section 2.4)."""

from pathlib import Path
from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.knowledge.extract import extract
from kmerl.reports import REPORTS

DATA = Path("data")


def main(params: Any) -> str:
    """Reports to mentions."""
    reports = read_table(DATA / "reports" / "reports.parquet", REPORTS)
    with whole(DATA / "knowledge" / "extract") as folder:
        counts = extract(reports, params.knowledge.engine, params.knowledge.extract, folder)
    return (
        "{reports} reports, {mentions} mentions of {entities} entities ({unplaced} not written so), "
        "{unusable} unusable answers"
    ).format_map(counts)
