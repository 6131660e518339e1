"""MERL's published split files: which they are, and whether a folder holds them unchanged."""

import csv
import hashlib
from pathlib import Path

from kmerl.archives.fetch.sources import PINS, SOURCES
from kmerl.errors import UserError
from kmerl.regular import open_regular


def verify_merl_splits(folder: Path) -> int:
    """Make sure that a folder holds the split files as MERL published them. Needs no network.

    Args:
        folder: holds them by their file names, without subfolders.

    Returns:
        How many there are.

    Raises:
        UserError: one is missing, cannot be read, or is not as published; the message names it.
    """
    rows = list(csv.DictReader(PINS.read_text("utf-8").splitlines()))
    commit = SOURCES["merl_splits"].release
    for row in rows:
        file, origin = folder / row["file"], f"{row['path']} of MERL-ICML2024 at commit {commit}"
        try:
            with open_regular(file) as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except FileNotFoundError:
            raise UserError(f"{file}: no such file; put there {origin}") from None
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror}); mend it") from None
        if found != row["sha256"]:
            raise UserError(f"{file}: its SHA-256 is {found}, not {row['sha256']}; put there {origin}")
    return len(rows)
