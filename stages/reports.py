"""Clean the reports of the pretraining archive; one row per distinct text."""

from pathlib import Path
from typing import Any

from kmerl.archives.schemas import SPLITS, STATEMENTS
from kmerl.artifacts import read_metadata, read_table, whole, write_table
from kmerl.knowledge.cleaning import clean, compared
from kmerl.knowledge.schemas import REPORTS, STUDIES, UNUSED

DATA = Path("data")


def main(params: Any) -> str:
    """Statements to reports."""
    source = DATA / "statements" / f"{params.pretraining_archive}.parquet"
    metadata = read_metadata(source)
    splits = read_table(DATA / "splits" / f"{params.pretraining_archive}.parquet", SPLITS)
    result = clean(read_table(source, STATEMENTS), params.reports, splits)
    with whole(DATA / "reports") as folder:
        write_table(folder / "reports.parquet", result.reports, REPORTS, metadata)
        write_table(folder / "studies.parquet", result.studies, STUDIES, metadata)
        write_table(folder / "rejected.parquet", result.rejected, UNUSED, metadata)
    return (
        f"{len(result.reports)} distinct reports of {len(result.studies)} records, {len(result.rejected)} rejected"
        f"{compared(params.pretraining_archive, metadata['origin'], result)}"
    )
