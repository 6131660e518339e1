"""An archive's waveforms read into the waveform store, shard by shard and by several processes.

Records are taken in blocks of ``shard_records``. A block that is done lies in a scratch folder as a small store of its
own, so that a run that was killed goes on with the next one; at the end the blocks become one store. A block that is
damaged by then is read again. What a block holds depends on its records alone, so the number of processes changes no
byte.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field
from tqdm import tqdm

from kmerl.archives.recordings import read_file
from kmerl.archives.schemas import REJECTED
from kmerl.archives.wfdb_format import RecordError
from kmerl.archives.wfdb_reader import Reader
from kmerl.artifacts import batch_writer, read_table, table_writer, whole
from kmerl.errors import UserError
from kmerl.parts import Parts
from kmerl.pool import CONTEXT, pool
from kmerl.preprocessing.repair import WaveformParams, prepare
from kmerl.shards import INDEX, RECORDS, shard_name, shard_size, store_metadata, store_writer
from kmerl.wording import counts

_STORE, _REJECTED = "store", "rejected.parquet"  # in the folder of a block
_TOLD = 32  # records between two reports of progress
_WORTH = 1000  # records that are worth the start of a process


class PreprocessParams(WaveformParams):
    """The section ``preprocess``."""

    shard_records: int = Field(ge=1, le=65536, description="records read at a time, and per shard if all can be used")
    parts: Parts = Field(description="1of1, or 1of4 to 4of4: pieces of each archive that jobs of their own read")


@dataclass
class Summary:
    """Counts of what was read, kept, mended and rejected."""

    kept: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)  # by reason
    again: int = 0  # blocks that an earlier run had read

    def __str__(self) -> str:
        resumed = f" ({self.again} shards were there from an earlier run)" if self.again else ""
        return (
            f"{self.kept + self.rejected.total()} records read{resumed}, {self.kept} kept; "
            f"found or mended: {counts(self.flags)}; {self.rejected.total()} rejected: {counts(self.rejected)}"
        )


@dataclass(frozen=True)
class Source:
    """What blocks are read from, and how.

    Attributes:
        folder: the archive's root.
        name, origin: of the archive, and ``simulated`` or ``recorded``.
        params: the section ``preprocess``.
        scratch: folder of blocks that are done.
        crop_seconds: s that are used of each record; None for as many as a waveform holds.
    """

    folder: Path
    name: str
    origin: str
    params: PreprocessParams
    scratch: Path
    crop_seconds: float | None = None

    def block(self, number: int) -> Path:
        """Where a block is when it is done."""
        return self.scratch / f"block-{number:05d}"


def preprocess(source: Source, entries: pl.DataFrame, waveforms: Path, rejected: Path, processes: int) -> Summary:
    """Write the waveform store and the rejected records of an archive, or of a part of it.

    Args:
        source: of the archive.
        entries: schema :data:`kmerl.archives.schemas.ENTRIES`, the records to read.
        waveforms: folder to write.
        rejected: table to write.
        processes: that read side by side.

    Raises:
        UserError: not one record could be used, or a process ended abruptly.
    """
    size = source.params.shard_records
    blocks = {i: entries[start : start + size] for i, start in enumerate(range(0, entries.height, size))}
    todo = {i: block for i, block in blocks.items() if not _is_whole(source, i, block.height)}
    before = sum(block.height for block in blocks.values()) - sum(block.height for block in todo.values())
    with tqdm(
        total=entries.height, initial=before, desc=f"preprocess {source.name}", unit="record", disable=None
    ) as bar:
        processes = min(processes, len(todo), -(-(entries.height - before) // _WORTH))
        if processes > 1:
            _read_side_by_side(source, todo, processes, bar.update)
        else:
            for i, block in todo.items():
                read_block(source, i, block, bar.update)
    summary = _join(source, len(blocks), waveforms, rejected)
    summary.again = len(blocks) - len(todo)
    return summary


def read_block(source: Source, number: int, entries: pl.DataFrame, told: Callable[[int], object]) -> None:
    """Read some records into a store of one shard, with a table of those that cannot be used.

    Args:
        source: of the archive.
        number: of the block.
        entries: its records.
        told: is called with the number of records read since it was called before.
    """
    params, metadata = source.params, {"archive": source.name, "origin": source.origin}
    reader, unsaid, root = Reader(), 0, f"{source.folder}{os.sep}"
    store_of = (source.name, source.origin, params.fs, params.samples, max(1, entries.height))
    with (
        whole(source.block(number)) as folder,
        store_writer(folder / _STORE, *store_of) as store,
        table_writer(folder / _REJECTED, REJECTED, metadata) as reject,
    ):
        for record_id, patient_id, file, flags in entries.iter_rows():
            try:
                waveform = prepare(read_file(f"{root}{file}", reader), params, store.slot(), source.crop_seconds)
            except RecordError as error:
                reject({"record_id": record_id, "reason": error.reason, "detail": str(error)})
            else:
                if flags:
                    waveform = replace(waveform, flags=tuple(sorted({*waveform.flags, *flags})))
                store.append(waveform, record_id, patient_id)
            unsaid += 1
            if unsaid == _TOLD:
                told(unsaid)
                unsaid = 0
    told(unsaid)


def _is_whole(source: Source, number: int, height: int) -> bool:
    """Whether a block of so many records has been read, and is still as long as it was."""
    block = source.block(number)
    if not block.exists():
        return False
    try:
        kept = read_table(block / _STORE / INDEX, RECORDS).height
        refused = read_table(block / _REJECTED, REJECTED).height
        size = (block / _STORE / shard_name(0)).stat().st_size if kept else 0
    except (UserError, OSError):
        return False
    return kept + refused == height and size == (shard_size(kept, source.params.samples) if kept else 0)


def _join(source: Source, blocks: int, waveforms: Path, rejected: Path) -> Summary:
    """Make one store of the blocks; their files are linked, not copied, where the file system can."""
    params, summary, failure = source.params, Summary(), "its tables are empty"
    metadata = {"archive": source.name, "origin": source.origin}
    described = store_metadata(source.name, source.origin, params.fs, params.samples)
    with whole(waveforms) as folder, ExitStack() as stack:
        folder.mkdir()
        index = stack.enter_context(batch_writer(folder / INDEX, RECORDS, described))
        refuse = stack.enter_context(batch_writer(rejected, REJECTED, metadata))
        shard = 0
        for number in range(blocks):
            records = read_table(source.block(number) / _STORE / INDEX, RECORDS)
            refused = read_table(source.block(number) / _REJECTED, REJECTED)
            if records.height:
                index(records.with_columns(pl.lit(shard, pl.Int32).alias("shard")).to_arrow())
                _link(source.block(number) / _STORE / shard_name(0), folder / shard_name(shard))
                shard += 1
            refuse(refused.to_arrow())
            summary.kept += records.height
            summary.flags.update(records["flags"].explode().drop_nulls().to_list())
            summary.rejected.update(refused["reason"].to_list())
            if refused.height:
                failure = "{reason}: {detail}".format(**refused.row(-1, named=True))
        if blocks and not summary.kept:
            raise UserError(
                f"{source.folder}: no usable record of {source.name} ({failure}); check the archive's folder"
            )
    return summary


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


# --- several processes

_told: Any = None  # in a process that reads: the counter of records


def _read_side_by_side(
    source: Source, todo: dict[int, pl.DataFrame], processes: int, told: Callable[[int], object]
) -> None:
    counter, said = CONTEXT.Value("q", 0), 0
    broken = (
        f"{source.folder}: a process that read records ended abruptly, perhaps for want of memory; "
        "run again, shards that are done are kept"
    )
    with pool(processes, broken, _begin, (counter,)) as submit:
        waiting = {submit(_read_in_process, source, i, block) for i, block in todo.items()}
        while waiting:
            done, waiting = wait(waiting, 0.2, FIRST_COMPLETED)
            told(counter.value - said)
            said = counter.value
            for one in done:
                one.result()


def _begin(counter: Any) -> None:
    global _told
    _told = counter


def _read_in_process(source: Source, number: int, entries: pl.DataFrame) -> None:
    def told(records: int) -> None:
        with _told.get_lock():
            _told.value += records

    read_block(source, number, entries, told)
