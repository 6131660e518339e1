"""Read an archive into the waveform store and its tables."""

from pathlib import Path
from typing import Any

from kmerl.archives.registry import open_archive
from kmerl.artifacts import read_metadata
from kmerl.preprocessing import Outputs, preprocess


def main(params: Any, item: str) -> str:
    """Write ``data/{waveforms,statements,targets,rejected}`` of ITEM."""
    origin = read_metadata(f"data/manifests/{item}.parquet")["origin"]
    given = getattr(params.archives, item)
    archive = open_archive(item, Path(given.folder))
    outputs = Outputs(
        waveforms=Path(f"data/waveforms/{item}"),
        statements=Path(f"data/statements/{item}.parquet"),
        targets=Path(f"data/targets/{item}.parquet"),
        rejected=Path(f"data/rejected/{item}.parquet"),
    )
    return str(preprocess(archive, item, origin, params.preprocess, given.split, params.seed, outputs))
