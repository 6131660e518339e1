"""What can be fetched: archives on PhysioNet, each with its own list of checksums, and MERL's split files.

A release on PhysioNet has ``SHA256SUMS.txt`` at its root: 64 hexadecimal digits, one or two blanks, a path. What it
says is not trusted: a path that could leave the folder ends the run before anything is written.
"""

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from kmerl.archives.fetch.keys import key, repeated
from kmerl.archives.fetch.own_files import is_ours
from kmerl.errors import UserError

SUMS = "SHA256SUMS.txt"
PINS = Path(__file__).with_name("merl_splits.csv")
"""MERL's split files: the name they get, the path in its repository, and the SHA-256 of the commit below."""
_MERL_COMMIT = "38799b7deb1c9958f41badcfacc6a95192787cc4"
_LINE = re.compile(rb"([0-9a-fA-F]{64}) [ *]?([^ ].*)")
_REMEDY = "check the address, or tell who publishes it"
_LONGEST_PATH, _LONGEST_NAME = 4000, 240  # bytes; Linux takes names of 255, and a partial file's is longer


class Entry(NamedTuple):
    """A file to have: SHA-256, path in the release, path in the folder."""

    sha256: str
    remote: str
    local: str


@dataclass(frozen=True)
class Source:
    """Something that is published as a folder of files.

    Attributes:
        name: of the archive, as in ``params.yaml``.
        release: its folder below the site's address; names the version.
        pinned: the checksums are in this package, else in the release itself.
        prefix: only what stands below it is fetched, and placed in the folder without it.
    """

    name: str
    release: str
    pinned: bool = False
    prefix: str = ""

    def url(self, base: str, path: str) -> str:
        """The address of a file of the release; ``base`` ends with /."""
        return f"{base}{self.release}/{quote(path)}"


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("mimic_iv_ecg", "mimic-iv-ecg/1.0"),
        Source("ptb_xl", "ptb-xl/1.0.3"),
        Source("cpsc2018", "challenge-2020/1.0.2", prefix="training/cpsc_2018/"),
        Source("csn", "ecg-arrhythmia/1.0.0"),
        Source("merl_splits", _MERL_COMMIT, pinned=True),  # github.com/cheliu-computation/MERL-ICML2024
    )
}


def find_source(name: str) -> Source:
    """The source called ``name``.

    Raises:
        UserError: there is none.
    """
    if name not in SOURCES:
        raise UserError(f"no source {name!r}; the sources are {', '.join(SOURCES)}")
    return SOURCES[name]


def entries(source: Source, listing: Path, leave_out: Sequence[str], where: str) -> Iterator[Entry]:
    """The files to have, one at a time, in the order of the list.

    Args:
        source: whose list it is.
        listing: the list on disk.
        leave_out: beginnings of paths, in the release, that are not wanted.
        where: the list came from, for messages.

    Raises:
        UserError: a line is malformed, a path is unsafe or stands twice, or no file is listed.
    """
    seen, left_out = array("Q"), tuple(leave_out)
    for sha256, path in _pinned() if source.pinned else _listed(listing, where):
        seen.append(key(path.remote.encode()))
        if path.remote.startswith(source.prefix) and not path.remote.startswith(left_out):
            yield Entry(sha256, path.remote, path.local.removeprefix(source.prefix))
    if not seen:
        raise UserError(f"{where}: lists no file; {_REMEDY}")
    if doubles := repeated(seen):
        twice = next(path.remote for _, path in _listed(listing, where) if key(path.remote.encode()) in doubles)
        raise UserError(f"{where}: {twice!r} stands twice; {_REMEDY}")


class _Path(NamedTuple):
    remote: str
    local: str


def _pinned() -> Iterator[tuple[str, _Path]]:
    for row in csv.DictReader(PINS.read_text("utf-8").splitlines()):
        yield row["sha256"], _Path(row["path"], row["file"])


def _listed(listing: Path, where: str) -> Iterator[tuple[str, _Path]]:
    """The lines of a checksum file; no more than one of them is in memory, however long."""
    most = _LONGEST_PATH + 70
    with listing.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(most), b""), 1):
            text = line.rstrip(b"\r\n")
            if not text:
                continue
            found = _LINE.fullmatch(text)
            if not found or not line.endswith(b"\n"):
                shown = text[:60].decode("utf-8", "replace")
                raise UserError(f"{where}:{number}: {shown!r} is no checksum and path; {_REMEDY}")
            path = _safe(found[2], f"{where}:{number}")
            yield found[1].decode().lower(), _Path(path, path)


def _safe(path: bytes, where: str) -> str:
    """A path that cannot leave the folder it is joined to.

    Raises:
        UserError: it might, or is not one that every file system takes.
    """
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    parts = text.split("/")
    unsafe = (
        any(part in ("", ".", "..") or len(part.encode()) > _LONGEST_NAME for part in parts)
        or "\\" in text
        or not text.isprintable()
        or is_ours(text)
    )
    if unsafe:
        shown = path[:80].decode("utf-8", "backslashreplace")
        raise UserError(f"{where}: {shown!r} is no safe path; {_REMEDY}")
    return text
