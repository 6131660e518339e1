"""What every archive offers: its records, one after another, from its own tables."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
import pyarrow as pa
from pyarrow import csv
from pydantic import Field, field_validator, model_validator

from kmerl.errors import UserError
from kmerl.regular import assert_regular, open_regular
from kmerl.section import Section


class SplitParams(Section):
    """How an archive is divided by drawing."""

    unit: Literal["patient", "record"] = Field(
        description="what is drawn: a patient with all records, or a record (as in MERL, which leaks patients)"
    )
    valid_share: float = Field(ge=0, lt=1, description="share of the units in valid")
    test_share: float = Field(ge=0, lt=1, description="share of the units in test")

    @model_validator(mode="after")
    def _leave_some_to_train(self) -> "SplitParams":
        if self.valid_share + self.test_share >= 1:
            raise ValueError("valid_share + test_share leaves nothing to train")
        return self


class PublishedSplit(Section):
    """Records and splits as the field publishes them (the split files of MERL)."""

    published: str = Field(min_length=1, description="folder of the split files; `kmerl.archives fetch` brings them")


Rule = Literal["official"] | SplitParams | PublishedSplit
LabelRule = Literal["corrected", "published"]


class ArchiveParams(Section):
    """Where an archive lies, how its files are told apart, how its records are divided and labelled."""

    folder: str = Field(min_length=1, description="folder that holds the archive in its official layout")
    watch: str = Field(min_length=1, description="file or folder that DVC compares to see whether the archive changed")
    checksum: Literal["size", "mtime", "sha256"] = Field(
        description="what the manifest records of every file: its size, also its modification time, or also its hash"
    )
    split: Rule = Field(
        description="official, published, or how to draw it; a record whose archive names no patient is drawn by itself"
    )
    labels: LabelRule = Field(
        description="corrected, or published: as in the field's split files, which are wrong for CSN (substrings)"
    )

    crop_seconds: float | None = Field(
        gt=0,
        description="s of each record that are read, zeros behind them, or null: up to preprocess.seconds (MERL's "
        "evaluation reads the first 5 s of CPSC2018)",
    )

    @field_validator("split", mode="before")
    @classmethod
    def _one_form(cls, split: object) -> object:
        """Of the three forms the one that is meant, so that a mistake in it is told and not one in another form."""
        if isinstance(split, dict):
            return (PublishedSplit if set(split) == {"published"} else SplitParams).model_validate(split)
        if split != "official" and not isinstance(split, Section):
            raise ValueError(
                "official, {published: data/raw/merl_splits}, or {unit: patient, valid_share: 0.1, test_share: 0.2}"
            )
        return split


@dataclass(frozen=True)
class RecordEntry:
    """One record as the archive's tables describe it, its waveform not yet read.

    Attributes:
        record_id: the archive's own identifier.
        patient_id: None where the archive names no patient.
        file: what :func:`kmerl.archives.recordings.read_file` reads: a WFDB header or a MATLAB struct.
        split: the archive's official split; None where it has none.
        statements: non-empty pieces of the report, in order.
        targets: (task, code) of every positive label.
        published: the same by the rule of the published files; None where these leave the record out.
        flags: what the tables have amiss that does not stand against the record; kept beside those of the waveform.
    """

    record_id: str
    patient_id: str | None
    file: Path
    split: Literal["train", "valid", "test"] | None = None
    statements: Sequence[str] = ()
    targets: Sequence[tuple[str, str]] = ()
    published: Sequence[tuple[str, str]] | None = ()
    flags: Sequence[str] = ()


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

    official_split: ClassVar[bool] = False

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


_PIECE = 8 << 20  # bytes of a CSV file read at a time
_LARGEST = 1 << 31  # bytes of a table that is read as a whole: twenty times MIMIC-IV-ECG's
_LONGEST_HEADER = 1 << 16  # bytes of the names of columns
_RELEASE = "take the file from the archive's official release"


def read_csv(path: Path, columns: Sequence[str], loosely: bool = False) -> pl.DataFrame:
    """The named columns of a CSV file, as text; empty cells are null.

    Args:
        path: of the file.
        columns: names of the columns wanted.
        loosely: a column's name may also be written with blanks that ``columns`` does not have.

    Raises:
        UserError: the file is missing, is not UTF-8 or not a table, or lacks a column.
    """
    with _readable(path):
        size = assert_regular(path)
        if size > _LARGEST:
            raise UserError(f"{path}: {size:,} bytes, more than {_LARGEST:,}; {_RELEASE}")
        wanted = _spelt(path, columns, loosely)
        table = pl.read_csv(path, columns=wanted, infer_schema=False).select(wanted)
        return table.rename(dict(zip(wanted, columns, strict=True)))


def read_csv_in_pieces(path: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Like :func:`read_csv`, some rows at a time: a table may be larger than memory.

    Raises:
        UserError: as there; of what stands far down in the file only when it is reached.
    """
    with _readable(path):
        _spelt(path, columns)
        reader = csv.open_csv(
            path,
            csv.ReadOptions(block_size=_PIECE),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()), null_values=[""],
                strings_can_be_null=True,
            ),
        )  # fmt: skip
        for batch in reader:
            piece = pl.from_arrow(pa.Table.from_batches([batch]))
            assert isinstance(piece, pl.DataFrame)
            yield piece


def _spelt(path: Path, columns: Sequence[str], loosely: bool = False) -> list[str]:
    """The columns as the file writes their names.

    Raises:
        UserError: it lacks one.
    """
    with open_regular(path) as file:
        if len(file.readline(_LONGEST_HEADER + 1)) > _LONGEST_HEADER:
            raise UserError(f"{path}: a first line of more than {_LONGEST_HEADER:,} bytes; {_RELEASE}")
    present = pl.read_csv(path, n_rows=0, infer_schema=False).columns
    spelt = {(name.replace(" ", "") if loosely else name): name for name in present}
    missing = ", ".join(name or "(the unnamed first)" for name in columns if name not in spelt)
    if missing:
        raise UserError(f"{path}: no column {missing} (it has {', '.join(present)[:200]}); {_RELEASE}")
    return [spelt[name] for name in columns]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Tell what is wrong with a CSV file in one line."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; copy it there from the archive's official release") from None
    except (pl.exceptions.PolarsError, pa.ArrowException, UnicodeDecodeError, OSError) as error:
        problem = str(error).splitlines()[0][:160]
        if "utf" in problem.lower():
            raise UserError(
                f"{path}: not UTF-8 text; {_RELEASE}, or convert it (iconv -f WINDOWS-1252 -t UTF-8)"
            ) from None
        raise UserError(f"{path}: not a readable CSV table ({problem}); {_RELEASE}") from None


def once(frame: pl.DataFrame, key: str, path: Path) -> tuple[pl.DataFrame, list[Rejected]]:
    """The rows of a table whose ``key`` stands there for the first time, and the others as rejected.

    Of several rows for one record the first stands, so that no join multiplies records.
    """
    named = frame.filter(pl.col(key).is_not_null())
    first = named[key].is_first_distinct()
    nameless = frame.with_row_index("row", 1).filter(pl.col(key).is_null())["row"]
    rejected = [Rejected(f"row {row}", "no_id", f"{path.name} gives no {key} there") for row in nameless]
    repeated = named[key].filter(~first)
    rejected += [Rejected(one, "repeated_id", f"{path.name} has this {key} once more") for one in repeated]
    return named.filter(first), rejected
