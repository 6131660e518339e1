"""What of a source is in a folder already, what is not, and about how large that is."""

import hashlib
import heapq
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from kmerl.archives.fetch.client import Client, FileError, RefusedError
from kmerl.archives.fetch.keys import key
from kmerl.archives.fetch.ledger import Ledger, line_of
from kmerl.archives.fetch.sources import Entry, Source
from kmerl.errors import UserError
from kmerl.http_client import whole_number
from kmerl.wording import size_text

_MOST_KINDS = 20
"""A list with more suffixes than this is no archive's; the rest counts as one kind."""


@dataclass
class Kind:
    """The files of one suffix.

    Attributes:
        listed: how many there are in the source.
        present: how many of them are in the folder as listed, or seem to be.
        unread: how many of these were not compared with their checksum.
        changed: how many are in the folder with other content.
        sample: some of those to fetch, by a number that is as good as random.
    """

    listed: int = 0
    present: int = 0
    unread: int = 0
    changed: int = 0
    sample: list[tuple[int, Entry]] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        """How many are to be fetched."""
        return self.listed - self.present


@dataclass
class Survey:
    """A source compared with a folder.

    Attributes:
        kinds: by suffix.
        size: bytes of what is in the folder as listed.
        digest: of the SHA-256 sums and paths of all that is listed, in the list's order.
    """

    kinds: dict[str, Kind] = field(default_factory=dict)
    size: int = 0
    digest: str = ""

    def total(self, name: str) -> int:
        """The sum of a number over all kinds."""
        return sum(getattr(kind, name) for kind in self.kinds.values())

    def kind_of(self, path: str) -> Kind:
        """The kind that a file belongs to."""
        suffix = PurePosixPath(path).suffix.lower() or "no suffix"
        if suffix not in self.kinds and len(self.kinds) >= _MOST_KINDS:
            suffix = "others"
        return self.kinds.setdefault(suffix, Kind())


@dataclass(frozen=True)
class Estimate:
    """How large the wanted files of a kind are: bytes in all, from how many sizes, and whether these are all."""

    size: float
    measured: int
    exact: bool

    @property
    def text(self) -> str:
        """For people."""
        if not self.measured:
            return "of unknown size" if not self.exact else size_text(0)
        return size_text(self.size) if self.exact else f"about {size_text(self.size)} (from {self.measured} files)"


@dataclass(frozen=True)
class Reading:
    """How a folder is compared: ``anew`` reads what the ledger knows too; ``names_only`` reads nothing."""

    anew: bool = False
    names_only: bool = False


def survey(
    listed: Iterable[Entry], folder: Path, ledger: Ledger, reading: Reading, sampled: int, todo: IO[str] | None = None
) -> Survey:
    """Compare a list with a folder, file by file, none of them kept in memory.

    Args:
        listed: the files to have.
        folder: where they are to be.
        ledger: knows some of those that are there, and learns of those that are read now.
        reading: which files are read.
        sampled: how many wanted files of a kind are kept as its sample.
        todo: gets the wanted files, three lines each.

    Raises:
        UserError: the list is unsafe, or a file cannot be read.
    """
    result, digest = Survey(), hashlib.sha256()
    for entry in tqdm(listed, desc="compare", unit=" files", disable=None, leave=False):
        digest.update(f"{entry.sha256}  {entry.local}\n".encode())
        kind = result.kind_of(entry.local)
        kind.listed += 1
        found = _compare(entry, folder, ledger, reading)
        if found.size is not None:
            kind.present += 1
            kind.unread += found.unread
            result.size += found.size
            continue
        kind.changed += found.changed
        item = (-key(entry.local.encode()), entry)  # the smallest keys stay
        if len(kind.sample) < sampled:
            heapq.heappush(kind.sample, item)
        else:
            heapq.heappushpop(kind.sample, item)
        if todo:
            todo.write("".join(f"{part}\n" for part in entry))
    result.digest = digest.hexdigest()
    return result


@dataclass(frozen=True)
class _Found:
    size: int | None = None
    unread: bool = False
    changed: bool = False


def _compare(entry: Entry, folder: Path, ledger: Ledger, reading: Reading) -> _Found:
    """One file: its size in bytes if it is as listed, or may be."""
    path = f"{folder}/{entry.local}"
    try:
        status = os.stat(path)  # noqa: PTH116 (a Path for each of 1.6 million files takes long)
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path}: no file, but a file belongs there; move it away and run again")
        line = line_of(entry.local, status.st_size, status.st_mtime_ns, entry.sha256)
        if not reading.anew and ledger.knows(line):
            return _Found(status.st_size)
        if reading.names_only:
            return _Found(status.st_size, unread=True)
        with open(path, "rb") as file:  # noqa: PTH123
            same = hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
    except (FileNotFoundError, NotADirectoryError):
        return _Found()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend or remove it and run again") from None
    if not same:
        return _Found(changed=True)
    ledger.add(line)
    return _Found(status.st_size)


def estimate(kind: Kind, source: Source, base: str, client: Client) -> Estimate:
    """Ask the server for the sizes of a kind's sample, and take the others to be like it.

    Raises:
        UserError: nothing can be had from the server.
    """
    sizes = []
    for _, entry in kind.sample:
        url = source.url(base, entry.remote)
        try:
            size = client.persist(url, partial(_size, client, url))
        except (FileError, RefusedError):  # some servers tell no size; what else is wrong is said by fetching
            continue
        if size is not None:
            sizes.append(size)
    exact = len(sizes) == kind.wanted
    return Estimate(sum(sizes) / len(sizes) * kind.wanted if sizes else 0.0, len(sizes), exact)


def _size(client: Client, url: str) -> int | None:
    with client.open(url, "HEAD") as response:
        return whole_number(response.headers.get("Content-Length"))
