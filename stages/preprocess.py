"""Read an archive's waveforms, or a part of them, into the waveform store."""

import os
from pathlib import Path
from typing import Any

from kmerl.archives.archive import existing_folder
from kmerl.archives.schemas import ENTRIES
from kmerl.artifacts import digest, read_json, read_metadata, read_table, remove
from kmerl.errors import UserError
from kmerl.parts import part_of
from kmerl.preprocessing.blocks import Source, preprocess
from kmerl.processors import processors


def processes() -> int:
    """How many may work side by side: as many as the engine grants, and no more than there are processors for them.

    Raises:
        UserError: the grant is no number.
    """
    granted = os.environ.get("KMERL_THREADS") or str(processors())
    if not granted.isdecimal():
        raise UserError(f"KMERL_THREADS is {granted!r}; set it to a number of processes, or not at all")
    return max(1, min(int(granted), processors()))


def main(params: Any, item: str) -> str:
    """Write ``data/waveforms/ARCHIVE/PART`` and ``data/rejected/ARCHIVE/PART.parquet`` of ITEM, ARCHIVE-PART."""
    name, _, part = item.rpartition("-")
    table, manifest = Path(f"data/entries/{name}.parquet"), Path(f"data/manifests/{name}.parquet")
    archive, code = getattr(params.archives, name), read_json("data/code.json")["preprocess"]
    folder, crop = existing_folder(name, Path(archive.folder)), archive.crop_seconds
    key = digest([part, params.preprocess.model_dump_json(), crop, folder.absolute(), code], [table, manifest])
    scratch = Path(".scratch/preprocess") / f"{item}-{key}"
    for left in scratch.parent.glob(f"{item}-*"):  # of runs with other parameters or files
        if left != scratch:
            remove(left)
    source = Source(folder, name, read_metadata(manifest)["origin"], params.preprocess, scratch, crop)
    summary = preprocess(
        source,
        part_of(read_table(table, ENTRIES), part),
        Path("data/waveforms") / name / part,
        Path("data/rejected") / name / f"{part}.parquet",
        processes(),
    )
    remove(scratch)
    return str(summary)
