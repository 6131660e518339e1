"""Locks on files that end with the process, however it ends."""

import fcntl
from pathlib import Path
from typing import IO


def locked(path: Path) -> IO[str] | None:
    """A file that no other process has locked, locked until it is closed; None if another one has it."""
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
