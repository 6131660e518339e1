"""What was fetched or compared, so that a second run need not read 90 GB again.

``.kmerl-fetched.tsv`` in the archive's folder has a line per file: path, size (bytes), modification time (ns since
1970) and SHA-256. Lines are only ever added. A line that no longer tells how a file is means nothing; neither does one
that a killed run did not finish.
"""

import fcntl
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from kmerl.archives.fetch.disk import writing
from kmerl.archives.fetch.keys import Keys
from kmerl.archives.fetch.own_files import LEDGER
from kmerl.errors import UserError


class Ledger:
    """The ledger of a folder. As a context it is open for new lines, and for one process alone.

    Args:
        folder: the archive's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LEDGER
        self._known = Keys([])
        self._file: BinaryIO | None = None
        self._new = False  # whether there was no such folder

    def read(self) -> "Ledger":
        """Learn the lines there are, eight bytes of memory each."""
        try:
            with suppress(FileNotFoundError), self.path.open("rb") as file:
                self._known = Keys(file)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read ({error.strerror}); mend or delete it") from None
        return self

    def __enter__(self) -> "Ledger":
        with writing(self.path):
            self._new = not self.path.parent.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)  # a killed run loses no line
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{self.path.parent}: another fetch is at work there; wait for it or stop it") from None
            except OSError:  # a file system without locks
                pass
            self._file.seek(0, 2)
            if self._file.tell() and _last_byte(self.path) != b"\n":  # a killed run's last line
                self._file.write(b"\n")
        return self.read()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            empty = error is not None and self._file.tell() == 0
            self._file.close()
            if empty:  # nothing was fetched: leave nothing behind
                with suppress(OSError):
                    self.path.unlink()
                    if self._new:
                        self.path.parent.rmdir()

    def knows(self, line: str) -> bool:
        """Whether this is one of the lines that :meth:`read` found."""
        return line.encode() in self._known

    def add(self, line: str) -> None:
        """Write a line that is not there yet.

        Raises:
            UserError: it cannot be written.
        """
        if self._file and not self.knows(line):
            with writing(self.path):
                self._file.write(line.encode())


def line_of(path: str, size: int, mtime_ns: int, sha256: str) -> str:
    """The ledger's line for a file as it is."""
    return f"{path}\t{size}\t{mtime_ns}\t{sha256}\n"


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read()
