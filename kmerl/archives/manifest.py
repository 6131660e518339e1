"""The list of an archive's files: what the rest of the pipeline depends on, instead of walking them again."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from kmerl.errors import UserError

MANIFEST = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),  # relative to the archive's folder, with /
        pa.field("size", pa.int64(), nullable=False),  # bytes
        pa.field("mtime_ns", pa.int64()),  # modification time, ns since 1970
        pa.field("sha256", pa.string()),
    ]
)
MARKER = "SIMULATED"
"""A file of this name in an archive's root folder says that the archive was simulated."""


def origin(folder: Path) -> str:
    """``simulated`` or ``recorded``."""
    return "simulated" if (folder / MARKER).exists() else "recorded"


def list_files(folder: Path, checksum: Literal["size", "mtime", "sha256"]) -> Iterator[dict[str, Any]]:
    """A row of :data:`MANIFEST` for every file below ``folder``, sorted by path, one at a time.

    Raises:
        UserError: a file cannot be read, or is a link to nothing.
    """
    for path, entry in _walk(folder, ""):
        try:
            status = entry.stat()
            row: dict[str, Any] = {"path": path, "size": status.st_size, "mtime_ns": None, "sha256": None}
            if checksum == "mtime":
                row["mtime_ns"] = status.st_mtime_ns
            elif checksum == "sha256":
                with open(entry.path, "rb") as file:  # noqa: PTH123 (an os.DirEntry)
                    row["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{folder / path}: {error.strerror}; mend or remove it") from None
        yield row


def _walk(folder: Path | str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files in the order of their paths; a folder sorts with its slash, as in the whole path."""
    with os.scandir(folder) as entries:
        named = {f"{entry.name}/" if entry.is_dir() else entry.name: entry for entry in entries}
    for name, entry in sorted(named.items()):
        if name.endswith("/"):
            yield from _walk(entry.path, prefix + name)
        else:
            yield prefix + name, entry
