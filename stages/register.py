"""List an archive's files, so that everything else depends on the list and not on the files."""

from pathlib import Path
from typing import Any

from kmerl.archives.archive import existing_folder
from kmerl.archives.fetch.own_files import is_ours
from kmerl.archives.manifest import MANIFEST, list_files, origin
from kmerl.artifacts import table_writer
from kmerl.errors import UserError

ENGINES = ".snakemake_timestamp"
"""What Snakemake puts into each folder that a rule makes, a simulated archive's too; DVC makes the same without it."""


def main(params: Any, item: str) -> str:
    """Write ``data/manifests/ITEM.parquet``."""
    archive = getattr(params.archives, item)
    folder = existing_folder(item, Path(archive.folder))
    metadata = {"archive": item, "origin": origin(folder)}
    files, size = 0, 0
    with table_writer(f"data/manifests/{item}.parquet", MANIFEST, metadata) as append:
        for row in list_files(folder, archive.checksum):
            if is_ours(row["path"]) or row["path"] == ENGINES:  # of the downloader or an engine, not of the archive
                continue
            append(row)
            files, size = files + 1, size + row["size"]
        if not files:
            raise UserError(f"archive {item}: {folder} holds no files; copy the archive there in its official layout")
    return f"{files} files, {size / 1e6:.1f} MB, {metadata['origin']}"
