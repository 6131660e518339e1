"""Writing the waveform store: shards of samples, and an index with a row per record.

A shard is ``shard-00000.npy``, int16 (n, 12, S), lead-major in the order of :data:`kmerl.leads.LEADS`. Samples go to
the file a few records at a time, so that memory does not grow with the shard.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kmerl.artifacts import batch_writer, whole
from kmerl.leads import LEADS

_PER_LEAD = pa.list_(pa.float32(), len(LEADS))
_COUNTS = pa.list_(pa.int32(), len(LEADS))
RECORDS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string()),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("fs", pa.float32(), nullable=False),  # of the source, Hz
        pa.field("length", pa.int32(), nullable=False),  # samples that are not padding
        pa.field("scale", _PER_LEAD, nullable=False),  # mV = sample * scale + offset
        pa.field("offset", _PER_LEAD, nullable=False),
        pa.field("leads", pa.uint16(), nullable=False),  # bit mask of kmerl.leads
        pa.field("minimum", _PER_LEAD, nullable=False),  # mV, padding left out, NaN for absent leads
        pa.field("maximum", _PER_LEAD, nullable=False),
        pa.field("mean", _PER_LEAD, nullable=False),
        pa.field("deviation", _PER_LEAD, nullable=False),
        pa.field("zeros", _COUNTS, nullable=False),  # samples of exactly 0 mV before repair
        pa.field("nans", _COUNTS, nullable=False),  # samples without a value before repair
        pa.field("flags", pa.list_(pa.string()), nullable=False),
    ]
)
INDEX = "records.parquet"
_AT_ONCE = 8  # records between two writes: 1 MB at 12 x 5,000, which stays in the processor's cache


@dataclass(frozen=True)
class Waveform:
    """A record ready for the store: twelve leads in the order of ``LEADS``, used or not as ``leads`` says.

    Attributes:
        samples: (12, S) int16; mV = sample * scale + offset; zeros for leads not in use.
        scale, offset: (12,) float32.
        fs: sampling rate of the source, Hz.
        length: number of samples that are not padding.
        leads: bit mask.
        minimum, maximum, mean, deviation: (12,) float32, mV, padding left out; NaN for leads not in use.
        zeros, nans: (12,) int32, samples of exactly 0 mV and without a value, before any repair.
        flags: what was mended or found, sorted.
    """

    samples: NDArray[np.int16]
    scale: NDArray[np.float32]
    offset: NDArray[np.float32]
    fs: float
    length: int
    leads: int
    minimum: NDArray[np.float32]
    maximum: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    zeros: NDArray[np.int32]
    nans: NDArray[np.int32]
    flags: tuple[str, ...]


_OF_WAVEFORM = [name for name in RECORDS.names if name in Waveform.__dataclass_fields__]


class StoreWriter:
    """Appends waveforms to the shards of one store; see :func:`store_writer`."""

    def __init__(self, folder: Path, write: Callable[[pa.Table], None], samples: int, shard_records: int) -> None:
        self._folder, self._write, self._samples, self._shard_records = folder, write, samples, shard_records
        self._memory = np.empty((_AT_ONCE, len(LEADS), samples), np.int16)
        self._shard, self._waiting = 0, 0
        self._slot = self._memory[0]
        self._rows: list[dict[str, Any]] = []
        self._file: io.BufferedWriter | None = None

    def slot(self) -> NDArray[np.int16]:
        """Memory (12, S) for the samples of the next waveform; they need not be copied if they are there already."""
        return self._slot

    def append(self, waveform: Waveform, record_id: str, patient_id: str | None) -> None:
        """Add one record; it is on disk when its shard is full or the store is closed."""
        if waveform.samples is not self._slot:
            np.copyto(self._slot, waveform.samples)
        row = {name: getattr(waveform, name) for name in _OF_WAVEFORM}
        row["record_id"], row["patient_id"] = record_id, patient_id
        row["shard"], row["row"] = self._shard, len(self._rows)
        self._rows.append(row)
        self._waiting += 1
        if self._waiting == _AT_ONCE:
            self._flush()
        self._slot = self._memory[self._waiting]
        if len(self._rows) == self._shard_records:
            self.finish()

    def finish(self) -> None:
        """End the shard that is being written, if there is one."""
        self._flush()
        self._slot = self._memory[0]
        if self._file is None:
            return
        with self._file as file:
            file.seek(0)
            file.write(_header(len(self._rows), self._samples))
        self._file = None
        self._write(index_table(self._rows))
        self._rows = []
        self._shard += 1

    def close(self) -> None:
        """Let go of the file of a shard that is not to be finished."""
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            if self._file is None:
                self._file = (self._folder / shard_name(self._shard)).open("wb")
                self._file.write(_header(0, self._samples))
            self._file.write(self._memory[: self._waiting].astype("<i2", copy=False).data)
            self._waiting = 0


@contextmanager
def store_writer(
    folder: Path | str, archive: str, origin: str, fs: int, samples: int, shard_records: int
) -> Iterator[StoreWriter]:
    """A new store at ``folder``; it appears there whole, when the block has succeeded."""
    with whole(folder) as temporary:
        temporary.mkdir()
        with batch_writer(temporary / INDEX, RECORDS, store_metadata(archive, origin, fs, samples)) as write:
            writer = StoreWriter(temporary, write, samples, shard_records)
            try:
                yield writer
                writer.finish()
            finally:
                writer.close()


def store_metadata(archive: str, origin: str, fs: int, samples: int) -> dict[str, Any]:
    """What the index of a store says of it as a whole: its archive, where that is from, Hz, and S."""
    return {"archive": archive, "origin": origin, "fs": fs, "samples": samples}


def index_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of the index (schema :data:`RECORDS`) from a mapping each."""
    columns = []
    for field in RECORDS:
        values = [row[field.name] for row in rows]
        if pa.types.is_fixed_size_list(field.type):
            flat = np.concatenate(values) if values else np.empty(0)
            column = pa.FixedSizeListArray.from_arrays(pa.array(flat, field.type.value_type), len(LEADS))
        else:
            column = pa.array(values, field.type)
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=RECORDS)


def shard_size(records: int, samples: int) -> int:
    """Bytes of a whole shard."""
    return len(_header(records, samples)) + 2 * records * len(LEADS) * samples


def shard_name(shard: int) -> str:
    """The file of a shard."""
    return f"shard-{shard:05d}.npy"


def _header(records: int, samples: int) -> bytes:
    """The header of a shard's file; it is equally long for any number of records."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i2", "fortran_order": False, "shape": (records, len(LEADS), samples)}
    )
    return header.getvalue()
