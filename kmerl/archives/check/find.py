"""Everything below a folder that is or ought to be a record, one after another.

Archives are recognised by their tables, wherever they lie; their records come in the order of these. Other records are
found by their files, folder by folder. Of an archive's records, once they are named, a number each stays in memory.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kmerl.archives.archive import RecordEntry, Rejected
from kmerl.archives.check.rows import Candidate, Group, Row, crash, rejected
from kmerl.archives.manifest import MARKER
from kmerl.archives.registry import open_archive, recognise
from kmerl.archives.wfdb_format import RecordError
from kmerl.archives.wfdb_reader import header_text
from kmerl.catalogue import checked
from kmerl.errors import UserError

_HEADER, _MATLAB, _SIGNAL = ".hea", ".mat", ".dat"
_KINDS = 100  # endings of other files that are told apart


@dataclass
class Others:
    """What was not looked into: files by their endings, and links that lead back up."""

    files: Counter[str] = field(default_factory=Counter)
    loops: int = 0

    def add(self, ending: str) -> None:
        """Count a file."""
        known = ending in self.files or (len(self.files) < _KINDS and len(ending) < 12)
        self.files[(ending or "no ending") if known else "other endings"] += 1


class _Place(NamedTuple):
    """A folder to look into."""

    path: str
    group: Group  # of records there that no table names
    stems: frozenset[str]  # names of records that the archive around it rejected


class Finder:
    """Finds the records below a folder.

    Args:
        root: the folder.
        others: gets what is not looked into.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, root: Path, others: Others) -> None:
        if not root.is_dir():
            what = "a file, not a folder" if root.exists() else "no such folder"
            raise UserError(f"{root}: {what}; name the folder that holds the archives or records")
        self.root, self.others = root.absolute(), others
        self._prefix = str(self.root).rstrip(os.sep) + os.sep
        self._claimed: set[int] = set()  # hashes of the paths, without their endings, that tables name
        self._entered = {_identity(root)}  # the root and every folder that a link led to
        self._real = [os.path.realpath(root)]

    def __iter__(self) -> Iterator[Candidate | Row]:
        places = [_Place(str(self.root), Group("loose files", "."), frozenset())]
        while places:
            place = places.pop()
            try:
                with os.scandir(place.path) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                detail = error.strerror or str(error)
                yield rejected(place.group, "", self._relative(place.path), "unreadable_folder", detail)
                continue
            names = [entry.name for entry in listed]
            name = recognise(Path(place.path), frozenset(names)) if names else None
            if name is not None and not place.group.name.startswith(name):  # a part of an archive may look like one
                stems: set[str] = set()
                own = Group(name, self._relative(place.path), MARKER in names)
                yield from self._tabled(own, Path(place.path), stems)
                place = _Place(place.path, own._replace(name=f"{name}, other files"), frozenset(stems))
            folders = {entry.name for entry in listed if _is_folder(entry)}
            yield from self._files(place, [entry for entry in listed if entry.name not in folders])
            below = [entry for entry in listed if entry.name in folders and self._enters(entry)]
            places += [_Place(entry.path, place.group, place.stems) for entry in reversed(below)]

    def _relative(self, path: str) -> str:
        return "." if path == str(self.root) else path.removeprefix(self._prefix)

    def _tabled(self, group: Group, folder: Path, stems: set[str]) -> Iterator[Candidate | Row]:
        """The records of an archive's tables; ``stems`` gets the names of those that are rejected."""
        seen: set[str] = set()
        try:
            for entry in open_archive(group.name, folder).records():
                entry = checked(entry, folder, seen)
                if isinstance(entry, Rejected):
                    stems.add(entry.record_id)
                    yield rejected(group, entry.record_id, "", entry.reason, entry.detail)
                    continue
                seen.add(entry.record_id)
                yield self._candidate(group, entry)
        except UserError as error:
            yield rejected(group, "", group.folder, "bad_table", str(error))
        except Exception as error:  # tables of any content are a user's; the files below are read nevertheless
            yield rejected(group, "", group.folder, "crash", crash(error))

    def _candidate(self, group: Group, entry: RecordEntry) -> Candidate:
        file = os.fspath(entry.file)
        self._claimed.add(hash(os.path.splitext(file)[0]))  # noqa: PTH122 (speed)
        path = self._relative(file)
        return Candidate(group, entry.record_id, path, file, entry.patient_id, tuple(entry.flags))

    def _files(self, place: _Place, entries: list["os.DirEntry[str]"]) -> Iterator[Candidate | Row]:
        """Records of a folder that no table names."""
        parts = [(entry, *os.path.splitext(entry.name)) for entry in entries]  # noqa: PTH122 (speed)
        headers = {stem for _, stem, ending in parts if ending.lower() == _HEADER}
        named: set[str] | None = None
        for entry, stem, ending in parts:
            kind = ending.lower()
            if kind not in (_HEADER, _MATLAB, _SIGNAL):
                if not entry.name.startswith("."):
                    self.others.add(kind)
                continue
            known = stem in place.stems or hash(os.path.join(place.path, stem)) in self._claimed  # noqa: PTH118
            if known or (kind != _HEADER and stem in headers):
                continue
            if kind != _HEADER:  # perhaps the signals of a header with another name
                named = _named_in(place.path, headers) if named is None else named
                if entry.name in named:
                    continue
            path = self._relative(entry.path)
            if not _may_be_read(entry):
                yield rejected(place.group, stem, path, "unreadable_file", f"{entry.name} is no file")
            elif kind == _SIGNAL:
                yield rejected(place.group, stem, path, "no_header", f"no header {stem}.hea beside {entry.name}")
            else:
                yield Candidate(place.group, stem, path, entry.path)

    def _enters(self, entry: "os.DirEntry[str]") -> bool:
        """Whether to look into a folder: each once, however many links lead to it."""
        try:
            if not entry.is_symlink():
                return len(self._entered) == 1 or _identity(entry.path) not in self._entered
            real = os.path.realpath(entry.path)
            if any(_within(real, own) for own in self._real):  # is met on another way
                return False
            if _within(self._real[0], real):
                self.others.loops += 1
                return False
            self._real.append(real)
            self._entered.add(_identity(entry.path))
        except OSError:
            pass  # the attempt to look into it tells what is wrong
        return True


def _identity(path: Path | str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 (speed)
    return status.st_dev, status.st_ino


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _may_be_read(entry: "os.DirEntry[str]") -> bool:
    """False of a pipe or a device, which may keep a reader waiting; what is wrong with the rest, its reader tells."""
    try:
        return entry.is_file(follow_symlinks=False) or stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def _named_in(folder: str, stems: set[str]) -> set[str]:
    """The words of all headers of a folder, among which are the names of their signal files."""
    words: set[str] = set()
    for stem in stems:
        try:
            words.update(header_text(os.path.join(folder, stem + _HEADER)).split())  # noqa: PTH118 (speed)
        except RecordError:
            continue
    return words
