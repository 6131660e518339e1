"""An archive read record by record into the waveform store and its tables.

One shard of waveforms is in memory at a time; of the archive's own tables, the columns that are needed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from tqdm import tqdm

from kmerl.archives.archive import Archive, RecordEntry, Rejected, SplitParams
from kmerl.archives.recordings import read_file
from kmerl.archives.tables import REJECTED, STATEMENTS, TARGETS
from kmerl.archives.wfdb_format import RecordError
from kmerl.artifacts import table_writer
from kmerl.errors import UserError
from kmerl.randomness import seed_of
from kmerl.repair import WaveformParams, prepare
from kmerl.waveforms import StoreWriter, store_writer


class PreprocessParams(WaveformParams):
    """The section ``preprocess``."""

    shard_records: int = Field(ge=1, le=65536, description="records per shard, and in memory while writing")


@dataclass(frozen=True)
class Outputs:
    """Where preprocessing writes: a folder and three tables."""

    waveforms: Path
    statements: Path
    targets: Path
    rejected: Path


@dataclass
class Summary:
    """Counts of what was read, kept, mended and rejected."""

    kept: Counter[str] = field(default_factory=Counter)  # by split
    flags: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)  # by reason

    def __str__(self) -> str:
        read = self.kept.total() + self.rejected.total()
        return (
            f"{read} records read, {self.kept.total()} kept ({_counts(self.kept)}); "
            f"found or mended: {_counts(self.flags)}; {self.rejected.total()} rejected: {_counts(self.rejected)}"
        )


Split = Literal["train", "valid", "test"]
SplitRule = Literal["official"] | SplitParams


def preprocess(
    archive: Archive,
    name: str,
    origin: str,
    params: PreprocessParams,
    split: SplitRule,
    seed: int,
    outputs: Outputs,
) -> Summary:
    """Write an archive's waveform store, statements, targets and rejected records.

    Args:
        archive: the reader.
        name: of the archive.
        origin: ``simulated`` or ``recorded``.
        params: the section ``preprocess``.
        split: the parameter ``archives.NAME.split``.
        seed: of a drawn split.
        outputs: files to write.

    Raises:
        UserError: the archive has no official split although that is wanted, a table of the archive is unusable, or
            no record at all could be used.
    """
    if split == "official" and not archive.official_split:
        raise UserError(
            f"archives.{name}.split: {name} has no official split; "
            "write {unit: patient, valid_share: 0.1, test_share: 0.2}, or other shares"
        )
    metadata = {"archive": name, "origin": origin}
    summary = Summary()

    def choose(entry: RecordEntry) -> Split:
        return split_of(entry, name, split, seed)

    with ExitStack() as stack:
        store = stack.enter_context(
            store_writer(outputs.waveforms, name, origin, params.fs, params.samples, params.shard_records)
        )
        statements = stack.enter_context(table_writer(outputs.statements, STATEMENTS, metadata))
        targets = stack.enter_context(table_writer(outputs.targets, TARGETS, metadata))
        rejected = stack.enter_context(table_writer(outputs.rejected, REJECTED, metadata))
        failure = "its tables are empty"
        for entry in tqdm(archive.records(), desc=f"preprocess {name}", unit="record", disable=None):
            result = entry if isinstance(entry, Rejected) else _keep(entry, store, params, choose, summary)
            if isinstance(result, Rejected):
                rejected({"record_id": result.record_id, "reason": result.reason, "detail": result.detail})
                summary.rejected[result.reason] += 1
                failure = f"{result.reason}: {result.detail}"
            elif isinstance(entry, RecordEntry):
                _append_tables(entry, statements, targets)
        if not summary.kept:
            raise UserError(f"{archive.folder}: no usable record of {name} ({failure}); check the archive's folder")
    return summary


def split_of(entry: RecordEntry, archive: str, rule: SplitRule, seed: int) -> Split:
    """The official split of a record, or the drawn one of its patient (or of itself)."""
    if isinstance(rule, SplitParams):
        by_patient = rule.unit == "patient" and entry.patient_id is not None
        unit = f"patient {entry.patient_id}" if by_patient else f"record {entry.record_id}"
        return draw_split(seed, archive, unit, rule)
    if entry.split is None:
        raise ValueError(f"record {entry.record_id} of {archive} has no official split")  # the reader's mistake
    return entry.split


def draw_split(seed: int, archive: str, unit: str, params: SplitParams) -> Split:
    """The split of a patient (or record), which depends on nothing but the seed and its name."""
    share = seed_of(seed, "split", archive, unit) / 2**63
    if share < params.test_share:
        return "test"
    return "valid" if share < params.test_share + params.valid_share else "train"


def _keep(
    entry: RecordEntry,
    store: StoreWriter,
    params: PreprocessParams,
    choose: Callable[[RecordEntry], Split],
    summary: Summary,
) -> Rejected | None:
    """Put one record into the store; what stands against it, if anything does."""
    try:
        waveform = prepare(read_file(entry.file), params)
    except RecordError as error:
        return Rejected(entry.record_id, error.reason, str(error))
    split = choose(entry)
    waveform = replace(waveform, flags=tuple(sorted({*waveform.flags, *entry.flags})))
    store.append(waveform, entry.record_id, entry.patient_id, split)
    summary.kept[split] += 1
    summary.flags.update(waveform.flags)
    return None


def _append_tables(
    entry: RecordEntry,
    statements: Callable[[Mapping[str, Any]], None],
    targets: Callable[[Mapping[str, Any]], None],
) -> None:
    statements({"record_id": entry.record_id, "statements": list(entry.statements)})
    for task, code in entry.targets:
        targets({"record_id": entry.record_id, "task": task, "code": code})


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counter.items())) or "none"
