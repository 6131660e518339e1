"""What every archive offers: its records, one after another, from its own tables."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from kmerl.errors import UserError
from kmerl.section import Section


class ArchiveParams(Section):
    """Where an archive lies and how its files are told apart."""

    folder: str = Field(min_length=1, description="folder that holds the archive in its official layout")
    watch: str = Field(min_length=1, description="file or folder that DVC compares to see whether the archive changed")
    checksum: Literal["size", "mtime", "sha256"] = Field(
        description="what the manifest records of every file: its size, also its modification time, or also its hash"
    )


@dataclass(frozen=True)
class RecordEntry:
    """One record as the archive's tables describe it, its waveform not yet read.

    Attributes:
        record_id: the archive's own identifier.
        patient_id: None where the archive names no patient.
        header: WFDB header file of the record.
        split: the archive's official split; None where it has none.
        statements: non-empty pieces of the report, in order.
        targets: (task, code) of every positive label.
        flags: what the tables have amiss that does not stand against the record; kept beside those of the waveform.
    """

    record_id: str
    patient_id: str | None
    header: Path
    split: Literal["train", "valid", "test"] | None = None
    statements: Sequence[str] = ()
    targets: Sequence[tuple[str, str]] = field(default=())
    flags: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Rejected:
    """A record that cannot be used: a fixed category, and one line on what was found."""

    record_id: str
    reason: str
    detail: str


class Archive(ABC):
    """An archive in its official layout.

    Args:
        folder: the archive's root folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def records(self) -> Iterator[RecordEntry | Rejected]:
        """Every row of the archive's tables, in their order.

        Raises:
            UserError: a table is missing, is not UTF-8, or lacks a column.
        """


def existing_folder(name: str, folder: Path) -> Path:
    """The folder of the archive called ``name``.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(
            f"archive {name}: there is no folder {folder}; link the archive there, or set archives.{name}.folder"
        )
    return folder


def read_csv(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """The named columns of a CSV file, as text; empty cells are null.

    Raises:
        UserError: the file is missing, is not UTF-8 or not a table, or lacks a column.
    """
    try:
        present = pl.read_csv(path, n_rows=0, infer_schema=False).columns
        missing = ", ".join(name or "(the unnamed first)" for name in columns if name not in present)
        if missing:
            found = ", ".join(present)[:200]
            raise UserError(
                f"{path}: no column {missing} (it has {found}); take it from the archive's official release"
            )
        return pl.read_csv(path, columns=list(columns), infer_schema=False).select(columns)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; copy it there from the archive's official release") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        problem = str(error).splitlines()[0][:160]
        what = "not UTF-8 text" if "utf" in problem.lower() else f"not a readable CSV table ({problem})"
        raise UserError(f"{path}: {what}; take the file from the archive's official release") from None


def refuse_duplicates(frame: pl.DataFrame, key: str, path: Path) -> None:
    """Make sure that ``key`` names each row of a table once, so that no join can multiply records.

    Raises:
        UserError: a key is empty or stands twice.
    """
    if frame[key].null_count():
        row = frame[key].is_null().arg_max()
        raise UserError(f"{path}: row {(row or 0) + 1} has no {key}; take the file from the archive's official release")
    repeated = frame[key].is_duplicated()
    if repeated.any():
        raise UserError(f"{path}: {key} {frame[key].filter(repeated)[0]} stands twice; keep one of its rows")
