"""What an archive's own tables say: which records there are, their splits, statements and labels.

Nothing here reads a waveform, so that another split or rule of labels does not read the archive again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
from tqdm import tqdm

from kmerl.archives.archive import Archive, LabelRule, PublishedSplit, RecordEntry, Rejected, Rule, SplitParams
from kmerl.archives.classes import tasks
from kmerl.archives.manifest import readable
from kmerl.archives.merl_labels import Agreement, check_against, differences, read_published
from kmerl.archives.schemas import ENTRIES, LABEL_DIFFERENCES, REJECTED, SPLITS, STATEMENTS, TARGETS
from kmerl.artifacts import table_writer, write_table
from kmerl.errors import UserError
from kmerl.randomness import seed_of
from kmerl.wording import counts

Split = Literal["train", "valid", "test"]
_NONE = "no split"


@dataclass(frozen=True)
class Outputs:
    """Tables to write; the schemas of the same names are in :mod:`kmerl.archives.schemas`."""

    entries: Path
    splits: Path
    statements: Path
    targets: Path
    differences: Path
    rejected: Path


@dataclass
class Summary:
    """Counts of what an archive's tables name, and how their labels agree with the published ones."""

    records: Counter[str] = field(default_factory=Counter)  # by split
    rejected: Counter[str] = field(default_factory=Counter)  # by reason
    flags: Counter[str] = field(default_factory=Counter)
    members: Counter[str] = field(default_factory=Counter)  # by task
    absent: int = 0  # records that the published split names and the archive does not have
    agreements: dict[str, Agreement] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{self.records.total()} records ({counts(self.records)})"]
        if self.members:
            parts.append(f"labelled: {counts(self.members)}")
        if self.flags:
            parts.append(f"found: {counts(self.flags)}")
        parts.append(f"{self.rejected.total()} rejected: {counts(self.rejected)}")
        if self.absent:
            parts.append(f"{self.absent} records of the published split are not here")
        parts += [f"{task} against the published labels: {one}" for task, one in self.agreements.items()]
        return "; ".join(parts)


class _Published:
    """The published files of an archive's tasks."""

    def __init__(self, folder: Path, name: str) -> None:
        self.tables = {task: read_published(folder, task) for task in tasks(name)}
        if not self.tables:
            raise UserError(f"archives.{name}.split: {name} has no published split; write how to draw it")
        self.split: dict[str, str] = {}
        self.codes: dict[str, dict[str, list[str]]] = {}
        for task, table in self.tables.items():
            self.codes[task] = dict(table.select("record_id", "codes").iter_rows())
            for record_id, split in table.select("record_id", "split").iter_rows():
                if self.split.setdefault(record_id, split) != split:
                    raise UserError(
                        f"{folder}: record {record_id} is in {split} and {self.split[record_id]}; take MERL's files"
                    )


def catalogue(
    archive: Archive,
    name: str,
    origin: str,
    split: Rule,
    labels: LabelRule,
    seed: int,
    outputs: Outputs,
) -> Summary:
    """Write the tables of an archive.

    Args:
        archive: the reader.
        name: of the archive.
        origin: ``simulated`` or ``recorded``.
        split: the parameter ``archives.NAME.split``.
        labels: the parameter ``archives.NAME.labels``.
        seed: of a drawn split.
        outputs: files to write.

    Raises:
        UserError: the archive has no official or published split although that is wanted, a table is unusable, or no
            record is named in them.
    """
    if split == "official" and not archive.official_split:
        raise UserError(
            f"archives.{name}.split: {name} has no official split; "
            "write {unit: record, valid_share: 0.1, test_share: 0.2} (or unit: patient, where it names them), "
            "or {published: data/raw/merl_splits}"
        )
    published = _Published(Path(split.published), name) if isinstance(split, PublishedSplit) else None
    choose = _Labels(name, split, labels, seed, published)
    metadata = {"archive": name, "origin": origin}
    summary, seen = Summary(), set[str]()
    with ExitStack() as stack:

        def table(path: Path, schema: Any) -> Append:
            return stack.enter_context(table_writer(path, schema, metadata, batch=20_000))

        tables = _Tables(
            table(outputs.entries, ENTRIES), table(outputs.splits, SPLITS), table(outputs.statements, STATEMENTS),
            table(outputs.targets, TARGETS), table(outputs.rejected, REJECTED),
        )  # fmt: skip
        for entry in tqdm(archive.records(), desc=f"catalogue {name}", unit="record", disable=None, mininterval=1):
            entry = checked(entry, archive.folder, seen)
            if isinstance(entry, Rejected):
                tables.reject(entry)
                summary.rejected[entry.reason] += 1
            else:
                seen.add(entry.record_id)
                tables.add(entry, archive.folder, choose, summary)
        for record_id in choose.absent(seen):
            tables.reject(Rejected(record_id, "not_in_archive", "the published split names it"))
            summary.absent += 1
        if not seen:
            raise UserError(f"{archive.folder}: its tables name no record of {name}; check the archive's folder")
        summary.agreements = choose.agreements(seen)
        write_table(outputs.differences, choose.differences(), LABEL_DIFFERENCES, metadata)
    return summary


Append = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class _Tables:
    """The tables of records that are being written: functions that append a row."""

    entries: Append
    splits: Append
    statements: Append
    targets: Append
    rejected: Append

    def reject(self, one: Rejected) -> None:
        """A record that cannot be used."""
        self.rejected({"record_id": one.record_id, "reason": one.reason, "detail": one.detail})

    def add(self, entry: RecordEntry, folder: Path, choose: "_Labels", summary: Summary) -> None:
        """A record to be read."""
        file = entry.file.relative_to(folder).as_posix()
        named = {"record_id": entry.record_id}
        self.entries(named | {"patient_id": entry.patient_id, "file": file, "flags": list(entry.flags)})
        split = choose.split(entry)
        if split is not None:
            self.splits(named | {"split": split})
        self.statements(named | {"statements": list(entry.statements)})
        for row in choose.targets(entry, split, summary.members):
            self.targets(row)
        summary.records[split or _NONE] += 1
        summary.flags.update(entry.flags)


def checked(entry: RecordEntry | Rejected, folder: Path, seen: set[str]) -> RecordEntry | Rejected:
    """Reject a record whose name was there before, or whose file lies outside of the archive or has no proper name."""
    if isinstance(entry, Rejected):
        return Rejected(readable(entry.record_id), entry.reason, " ".join(readable(entry.detail).split()))
    if readable(str(entry.file)) != str(entry.file):
        return Rejected(readable(entry.record_id), "bad_path", f"{readable(entry.file.name)} is not UTF-8; rename it")
    if entry.record_id in seen:
        return Rejected(entry.record_id, "repeated_id", f"{entry.file.name} has the name of another record")
    if not entry.file.is_relative_to(folder) or ".." in entry.file.relative_to(folder).parts:
        return Rejected(entry.record_id, "bad_path", f"{str(entry.file)[-80:]} is outside of the archive's folder")
    return entry


class _Labels:
    """Splits and labels of one archive by its parameters."""

    def __init__(self, name: str, split: Rule, labels: LabelRule, seed: int, published: _Published | None) -> None:
        self.name, self.rule, self.labels, self.seed, self.published = name, split, labels, seed, published
        self.tasks = tasks(name)
        self.rows: dict[LabelRule, list[tuple[str, str, str, list[str]]]] = {"corrected": [], "published": []}
        self.derived: dict[str, dict[str, Sequence[str]]] = {task: {} for task in self.tasks}  # by the published rule

    def split(self, entry: RecordEntry) -> str | None:
        """The official or published split of a record, or the drawn one of its patient (or of itself)."""
        if self.published is not None:
            return self.published.split.get(entry.record_id)
        if isinstance(self.rule, SplitParams):
            by_patient = self.rule.unit == "patient" and entry.patient_id is not None
            unit = f"patient {entry.patient_id}" if by_patient else f"record {entry.record_id}"
            return draw_split(self.seed, self.name, unit, self.rule)
        if entry.split is None:
            raise ValueError(f"record {entry.record_id} of {self.name} has no official split")  # the reader's mistake
        return entry.split

    def targets(self, entry: RecordEntry, split: str | None, members: Counter[str]) -> Iterator[dict[str, Any]]:
        """Rows of the table of labels: the tasks that a record belongs to, and what it is positive for.

        A record belongs to a task if the published files say so; where these do not divide the archive, if it has a
        label there.
        """
        for task in self.tasks:
            corrected = [code for one, code in entry.targets if one == task]
            released = None if entry.published is None else [code for one, code in entry.published if one == task]
            self.derived[task][entry.record_id] = released or []
            if self.published is not None:
                released = self.published.codes[task].get(entry.record_id)
                member = released is not None
            else:
                member = bool(corrected) if self.labels == "corrected" else bool(released)
            if released is not None and split is not None:
                self.rows["published"].append((task, entry.record_id, split, released))
                self.rows["corrected"].append((task, entry.record_id, split, corrected))
            if not member:
                continue
            members[task] += 1
            codes = corrected if self.labels == "corrected" else released
            for code in codes if codes else (None,):
                yield {"record_id": entry.record_id, "task": task, "code": code}

    def absent(self, seen: set[str]) -> list[str]:
        """Records that the published files name and the archive does not have."""
        return sorted(set(self.published.split) - seen) if self.published is not None else []

    def agreements(self, seen: set[str]) -> dict[str, Agreement]:
        """How labels derived from the archive by the published rule agree with those published of its records."""
        tables = self.published.tables if self.published is not None else {}
        there = {task: table.filter(pl.col("record_id").is_in(seen)) for task, table in tables.items()}
        return {task: check_against(self.derived[task], table) for task, table in there.items()}

    def differences(self) -> pl.DataFrame:
        """Per task, class and split how the published labels differ from the corrected ones."""
        found = [pl.DataFrame(schema=dict.fromkeys(LABEL_DIFFERENCES.names, pl.String)).cast(_COUNTED)]
        for task in self.tasks:
            sides = [
                pl.DataFrame(
                    [row[1:] for row in self.rows[rule] if row[0] == task],
                    {"record_id": pl.String, "split": pl.String, "codes": pl.List(pl.String)},
                    orient="row",
                )
                for rule in ("published", "corrected")
            ]
            counted = differences(sides[0], sides[1], task).with_columns(task=pl.lit(task))
            found.append(counted.select(LABEL_DIFFERENCES.names))
        return pl.concat(found)


_COUNTED: Mapping[str, Any] = dict.fromkeys(LABEL_DIFFERENCES.names[3:], pl.Int64)


def draw_split(seed: int, archive: str, unit: str, params: SplitParams) -> Split:
    """The split of a patient (or record), which depends on nothing but the seed and its name."""
    share = seed_of(seed, "split", archive, unit) / 2**63
    if share < params.test_share:
        return "test"
    return "valid" if share < params.test_share + params.valid_share else "train"
