"""Read an archive's own tables: its records, their splits, statements and labels."""

from pathlib import Path
from typing import Any

from kmerl.archives.registry import open_archive
from kmerl.artifacts import read_metadata
from kmerl.catalogue import Outputs, catalogue


def main(params: Any, item: str) -> str:
    """Write ``data/{entries,splits,statements,targets,label_differences}`` of ITEM, and what its tables reject."""
    origin = read_metadata(f"data/manifests/{item}.parquet")["origin"]
    given = getattr(params.archives, item)
    outputs = Outputs(
        entries=Path(f"data/entries/{item}.parquet"),
        splits=Path(f"data/splits/{item}.parquet"),
        statements=Path(f"data/statements/{item}.parquet"),
        targets=Path(f"data/targets/{item}.parquet"),
        differences=Path(f"data/label_differences/{item}.parquet"),
        rejected=Path(f"data/rejected/{item}/tables.parquet"),
    )
    archive = open_archive(item, Path(given.folder))
    return str(catalogue(archive, item, origin, given.split, given.labels, params.seed, outputs))
