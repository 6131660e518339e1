"""The list of an archive's files: what the rest of the pipeline depends on, instead of walking them again."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
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

    What cannot be read, as a link to nothing, is listed as it stands there, with no hash: it costs the record to which
    it belongs, and not the archive.

    Raises:
        UserError: a folder cannot be read, so that nobody knows what is in it.
    """
    for path, entry in _walk(folder, ""):
        try:
            status = entry.stat()
        except OSError:
            status = entry.stat(follow_symlinks=False)
        row: dict[str, Any] = {"path": readable(path), "size": status.st_size, "mtime_ns": None, "sha256": None}
        if checksum == "mtime":
            row["mtime_ns"] = status.st_mtime_ns
        elif checksum == "sha256" and stat.S_ISREG(status.st_mode):
            with suppress(OSError), open(entry.path, "rb") as file:  # noqa: PTH123 (an os.DirEntry)
                row["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        yield row


def readable(name: str) -> str:
    """A file's name as text, whatever its bytes are."""
    return name.encode("utf-8", "backslashreplace").decode()


def _walk(folder: Path | str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Files in the order of their paths; a folder sorts with its slash, as in the whole path."""
    try:
        with os.scandir(folder) as entries:
            named = {f"{entry.name}/" if entry.is_dir() else entry.name: entry for entry in entries}
    except OSError as error:
        raise UserError(f"{readable(str(folder))}: {error.strerror}; mend or remove it") from None
    for name, entry in sorted(named.items()):
        if name.endswith("/"):
            yield from _walk(entry.path, prefix + name)
        else:
            yield prefix + name, entry
