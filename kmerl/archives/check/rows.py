"""What is looked for and what is found: a file that may be a record, and what became of a record."""

from typing import Literal, NamedTuple

Status = Literal["read", "repaired", "rejected"]


class Group(NamedTuple):
    """Records that are counted together.

    Attributes:
        name: of the archive, ``..., other files`` for records below it that its tables do not name, or ``loose files``.
        folder: relative to the folder that is checked.
        simulated: whether the archive is.
    """

    name: str
    folder: str
    simulated: bool = False

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.name + " (simulated)" * self.simulated


class Candidate(NamedTuple):
    """A file that is still to be read.

    Attributes:
        path: relative to the folder that is checked.
        file: what :func:`kmerl.archives.recordings.read_file` reads.
        patient: None where nothing names one.
        flags: what the archive's tables have amiss.
    """

    group: Group
    record_id: str
    path: str
    file: str
    patient: str | None = None
    flags: tuple[str, ...] = ()


class Row(NamedTuple):
    """What became of a record, or of a file or folder that ought to hold some.

    Attributes:
        path: relative to the folder that is checked; empty where a table names a record without its file.
        flags: what was found and mended; see :mod:`kmerl.archives.check.flags`.
        reason, detail: a fixed category and one line, of a rejected one.
        fs, seconds: sampling rate in Hz and length in s as recorded; None if the file cannot be read.
        leads: bit mask of :mod:`kmerl.leads`, the leads that can be used.
    """

    group: Group
    record_id: str
    path: str
    status: Status
    flags: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""
    fs: float | None = None
    seconds: float | None = None
    leads: int = 0
    patient: str | None = None


def rejected(group: Group, record_id: str, path: str, reason: str, detail: str, patient: str | None = None) -> Row:
    """A record that cannot be used."""
    return Row(group, record_id, path, "rejected", reason=reason, detail=" ".join(detail.split()), patient=patient)


def crash(error: Exception) -> str:
    """An exception that nobody foresaw, as the detail of the reason ``crash``."""
    return f"{type(error).__name__}: {error}"[:400]
