"""Fetch a source into a folder: only what is missing there, several files at a time."""

import hashlib
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tqdm import tqdm

from kmerl.archives.fetch.client import Client, FileError
from kmerl.archives.fetch.disk import writing
from kmerl.archives.fetch.download import fetch_file
from kmerl.archives.fetch.ledger import Ledger, line_of
from kmerl.archives.fetch.own_files import stored_list
from kmerl.archives.fetch.params import FetchParams
from kmerl.archives.fetch.sources import PINS, SUMS, Entry, Source, entries
from kmerl.archives.fetch.survey import Estimate, Reading, Survey, estimate, survey
from kmerl.errors import UserError
from kmerl.http_client import StoppedError
from kmerl.wording import size_text

_MOST_PROBLEMS = 20
"""So many files that cannot be had end a run: then it is not the files."""
_POLL = 0.2  # s between looks at whether the run ended


@dataclass(frozen=True)
class Receipt:
    """What is in a folder now; the same on every machine.

    Attributes:
        source: its name.
        release: its folder on the site, which names the version.
        files: how many.
        bytes: of all of them.
        sums_sha256: SHA-256 of the list that told their checksums.
        files_sha256: SHA-256 of the lines `checksum  path` of these files, in the list's order.
    """

    source: str
    release: str
    files: int
    bytes: int
    sums_sha256: str
    files_sha256: str


@dataclass(frozen=True)
class Job:
    """A source, the folder it goes into, and how it is asked for.

    Attributes:
        verify: compare what is in the folder anew, also what was compared before.
    """

    source: Source
    folder: Path
    params: FetchParams
    verify: bool = False

    @property
    def base(self) -> str:
        """The address below which the release stands."""
        return self.params.merl_url if self.source.pinned else self.params.physionet_url

    @property
    def sums_url(self) -> str:
        """Where the list of checksums comes from."""
        return str(PINS) if self.source.pinned else self.source.url(self.base, SUMS)

    @property
    def left_out(self) -> Sequence[str]:
        """Beginnings of paths that are not wanted."""
        return self.params.leave_out.get(self.source.name, ())


def fetch(job: Job) -> tuple[Receipt, str]:
    """Make a folder complete. Returns the receipt, and a line for people.

    Raises:
        UserError: it cannot be completed; what was fetched stays, and the next call continues.
    """
    stop = threading.Event()
    client = Client(job.params, stop)
    with Ledger(job.folder) as ledger:
        listing, sums = _listing(job, client, job.folder, ledger)
        with writing(job.folder), tempfile.TemporaryFile("w+", encoding="utf-8", dir=job.folder) as todo:
            listed = entries(job.source, listing, job.left_out, job.sums_url)
            found = survey(listed, job.folder, ledger, Reading(anew=job.verify), job.params.measured_files, todo)
            files, wanted = found.total("listed"), found.total("wanted")
            if not files:
                raise UserError(f"{job.source.name}: nothing is listed below {job.source.prefix or job.source.release}")
            if wanted:
                check_space(job.folder, [estimate(k, job.source, job.base, client) for k in found.kinds.values()])
            todo.seek(0)
            fetched = _Crew(job, client, ledger, stop).work(_read(todo), wanted) if wanted else 0
    receipt = Receipt(job.source.name, job.source.release, files, found.size + fetched, sums, found.digest)
    replaced = f", {found.total('changed'):,} of them anew" if found.total("changed") else ""
    return receipt, (
        f"{files:,} files, {size_text(receipt.bytes)}, complete in {job.folder}; "
        f"{wanted:,} fetched ({size_text(fetched)}){replaced}"
    )


def rehearse(job: Job) -> str:
    """What :func:`fetch` would do, in lines for people. Nothing is written into the folder.

    Raises:
        UserError: the list cannot be had, or is unsafe.
    """
    client = Client(job.params, threading.Event())
    ledger = Ledger(job.folder).read()
    with tempfile.TemporaryDirectory(prefix="kmerl-") as scratch:
        listing, _ = _listing(job, client, Path(scratch), ledger)
        listed = entries(job.source, listing, job.left_out, job.sums_url)
        reading = Reading(anew=job.verify, names_only=not job.verify)
        found = survey(listed, job.folder, ledger, reading, job.params.measured_files)
    estimates = {name: estimate(k, job.source, job.base, client) for name, k in sorted(found.kinds.items())}
    return "\n".join(_rehearsed(job, found, estimates))


def _rehearsed(job: Job, found: Survey, estimates: dict[str, Estimate]) -> Iterator[str]:
    yield f"{job.source.name} ({job.source.release}) into {job.folder}:"
    for name, size in estimates.items():
        kind = found.kinds[name]
        changed = f" ({kind.changed:,} of them replace others)" if kind.changed else ""
        yield f"  {name}: {kind.listed:,} files, {kind.present:,} there, {kind.wanted:,} to fetch{changed}, {size.text}"
    if unread := found.total("unread"):
        yield f"  {unread:,} of those there were not compared with their checksums; --verify does so"
    for beginning in job.left_out:
        yield f"  left out: {beginning}* (fetch.leave_out)"
    about = "" if all(size.exact for size in estimates.values()) else "about "
    total = size_text(sum(size.size for size in estimates.values()))
    yield (
        f"  to fetch in all: {found.total('wanted'):,} of {found.total('listed'):,} files, {about}{total}; "
        f"{size_text(_free(job.folder))} are free there"
    )


def check_space(folder: Path, estimates: Sequence[Estimate]) -> None:
    """End before the work if the disk cannot hold it; a size that is only estimated counts half.

    Raises:
        UserError: it cannot.
    """
    total = sum(size.size for size in estimates)
    if sum(size.size if size.exact else size.size / 2 for size in estimates) > (free := _free(folder)):
        about = "" if all(size.exact for size in estimates) else "about "
        raise UserError(
            f"{folder}: {about}{size_text(total)} are to be fetched, but {size_text(free)} are free there; "
            "free space or take another folder"
        )


def _free(folder: Path) -> int:
    return shutil.disk_usage(next(one for one in (folder, *folder.absolute().parents) if one.exists())).free


def _listing(job: Job, client: Client, folder: Path, ledger: Ledger) -> tuple[Path, str]:
    """The list of checksums, and its own: the one that was fetched before if it is intact, or a new one in ``folder``.

    A release never changes once it is published, so the list is asked for only once.
    """
    if job.source.pinned:
        return PINS, hashlib.sha256(PINS.read_bytes()).hexdigest()
    name = stored_list(job.source.release)
    stored = job.folder / name
    try:
        with stored.open("rb") as file:
            sums, size = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        if ledger.knows(line_of(name, size, 0, sums)):
            return stored, sums
    except OSError:
        pass
    target = folder / name
    try:
        fetched = fetch_file(client, job.sums_url, target, None)
    except FileError as problem:
        raise UserError(f"no checksum file: {problem}") from None
    try:
        for _ in entries(job.source, target, (), job.sums_url):  # all of it, before any of it counts
            pass
    except UserError:
        target.unlink()
        raise
    ledger.add(line_of(name, fetched.size, 0, fetched.sha256))
    return target, fetched.sha256


def _read(todo: IO[str]) -> Iterator[Entry]:
    for lines in zip(todo, todo, todo, strict=True):
        yield Entry(*(line.removesuffix("\n") for line in lines))


class _Crew:
    """Threads that fetch files until there are none left, or one of them finds that it is of no use.

    They are daemons: a run that is interrupted does not wait for a server that says nothing.
    """

    def __init__(self, job: Job, client: Client, ledger: Ledger, stop: threading.Event) -> None:
        self.job, self.client, self.ledger, self.stop = job, client, ledger, stop
        self.size = 0
        self._queue: queue.Queue[Entry | None] = queue.Queue(4 * job.params.connections)
        self._lock = threading.Lock()
        self._problems: list[FileError] = []
        self._end: BaseException | None = None

    def work(self, todo: Iterator[Entry], total: int) -> int:
        """Fetch all of them. Returns their size in bytes.

        Raises:
            UserError: not all could be fetched.
        """
        threads = [threading.Thread(target=self._fetch, daemon=True) for _ in range(self.job.params.connections)]
        with tqdm(total=total, desc=self.job.source.name, unit=" files", disable=None) as self._bar:
            try:
                for thread in threads:
                    thread.start()
                for entry in todo:
                    self._put(entry)
                for _ in threads:
                    self._put(None)
                for thread in threads:
                    while thread.is_alive() and self._end is None:
                        thread.join(_POLL)  # not for ever: Ctrl-C would have to wait
            finally:
                self.stop.set()
                for thread in threads:
                    thread.join(_POLL)
        if self._end:
            raise self._end
        if self._problems:
            more = f" (and {len(self._problems) - 1} more files)" if len(self._problems) > 1 else ""
            raise UserError(f"{self._problems[0]}{more}")
        return self.size

    def _put(self, entry: Entry | None) -> None:
        while not self.stop.is_set():
            try:
                return self._queue.put(entry, timeout=_POLL)
            except queue.Full:
                continue

    def _fetch(self) -> None:
        """What a thread does."""
        try:
            while (entry := self._queue.get()) is not None and not self.stop.is_set():
                try:
                    self._one(entry)
                except FileError as problem:
                    with self._lock:
                        self._problems.append(problem)
                        if len(self._problems) >= _MOST_PROBLEMS:
                            raise UserError(f"{problem} (and {len(self._problems) - 1} more files)") from None
        except StoppedError:
            pass
        except BaseException as error:
            self._end = self._end or error
            self.stop.set()

    def _one(self, entry: Entry) -> None:
        target = self.job.folder / entry.local
        fetched = fetch_file(self.client, self.job.source.url(self.job.base, entry.remote), target, entry.sha256)
        status = target.stat()
        with self._lock:
            self.ledger.add(line_of(entry.local, status.st_size, status.st_mtime_ns, fetched.sha256))
            self.size += fetched.size
            self._bar.update()
