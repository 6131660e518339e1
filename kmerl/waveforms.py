"""The waveform store: memory-mapped int16 shards and one Parquet index.

A shard is ``shard-00000.npy``, int16 (n, 12, S), lead-major in the order of :data:`kmerl.leads.LEADS`, so that a
reader touches only the leads it asks for. Normalisation is applied when read, from statistics in the index.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from kmerl.artifacts import read_metadata, read_table, table_writer, whole
from kmerl.errors import UserError
from kmerl.leads import LEADS, positions
from kmerl.section import Section

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
        pa.field("split", pa.string(), nullable=False),  # train | valid | test
    ]
)
_INDEX = "records.parquet"
_OPEN_SHARDS = 256  # each holds a file descriptor; systems allow about 1,000


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


class NormalizeParams(Section):
    """How mV become the model's input."""

    rule: Literal["millivolt", "minmax", "zscore"] = Field(
        description="millivolt: clipped mV; minmax: (x - min) / (max - min), as in MERL; zscore: (x - mean) / deviation"
    )
    clip_mv: float = Field(gt=0, le=100, description="the rule millivolt clips to plus and minus this, mV")
    scope: Literal["record", "visible_leads"] = Field(
        description="leads whose extremes or moments count: all of the record (as in MERL), or only those that are read"
    )

    @property
    def depends_on_scope(self) -> bool:
        """Whether the scope makes a difference: not if every lead is scaled alike in every record."""
        return self.rule != "millivolt"


class WaveformStore:
    """A folder of shards, read record by record and lead by lead. It can be pickled, and shards open when first read.

    Attributes:
        records: the index, one row per record (schema :data:`RECORDS`).
        archive, origin: which archive it is, and ``simulated`` or ``recorded``.
        fs, samples: sampling rate in Hz, and S.
        present: (n,) uint16, the bit mask of leads in use.

    Raises:
        UserError: there is no such store.
    """

    def __init__(self, folder: Path | str) -> None:
        index = Path(folder) / _INDEX
        self._index(Path(folder), read_table(index, RECORDS), read_metadata(index))

    @classmethod
    def in_memory(cls, waveforms: Sequence[Waveform], fs: int, archive: str = "memory") -> "WaveformStore":
        """A store of one shard that is on no disk, its records named "0", "1", ...: for records fresh from a file.

        Args:
            waveforms: at least one, all of one length.
            fs: their sampling rate, Hz.
            archive: what the store calls itself.
        """
        rows = [
            {name: getattr(one, name) for name in RECORDS.names if hasattr(one, name)}
            | {"record_id": str(row), "patient_id": None, "split": "test", "shard": 0, "row": row}
            for row, one in enumerate(waveforms)
        ]
        records = pl.from_arrow(pa.Table.from_pylist(rows, schema=RECORDS))
        assert isinstance(records, pl.DataFrame)
        samples = np.stack([one.samples for one in waveforms])
        store = cls.__new__(cls)
        metadata = {"archive": archive, "origin": "recorded", "fs": fs, "samples": samples.shape[2]}
        store._index(Path(archive), records, metadata)
        store._shards[0] = samples
        return store

    def _index(self, folder: Path, records: pl.DataFrame, metadata: Mapping[str, Any]) -> None:
        """Take over the index and what it says of the whole store."""
        self.folder, self.records = folder, records
        self.archive: str = metadata["archive"]
        self.origin: str = metadata["origin"]
        self.fs: int = metadata["fs"]
        self.samples: int = metadata["samples"]
        self.present: NDArray[np.uint16] = self.records["leads"].to_numpy()
        self._shard, self._row = self.records["shard"].to_numpy(), self.records["row"].to_numpy()
        self._scale, self._offset = self._per_lead("scale"), self._per_lead("offset")
        self._minimum, self._maximum = self._per_lead("minimum"), self._per_lead("maximum")
        self._mean, self._deviation = self._per_lead("mean"), self._per_lead("deviation")
        self._shards: dict[int, NDArray[np.int16]] = {}

    def __len__(self) -> int:
        return self.records.height

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}  # a memory map would be pickled as a copy

    def read(self, row: int, leads: Sequence[str] = LEADS) -> NDArray[np.float32]:
        """A record's signals in mV, (l, S), in the order asked for; leads that are not in use are zeros.

        Args:
            row: of :attr:`records`.
            leads: names in any spelling.

        Raises:
            UserError: a lead is unknown or asked twice, or the shard is missing.
        """
        return self._read(row, positions(leads))

    def read_normalized(self, row: int, leads: Sequence[str], normalize: NormalizeParams) -> NDArray[np.float32]:
        """A record's signals as the model's input, (l, S) without unit; leads that are not in use are zeros.

        The extremes and moments come from the index: no lead is read that was not asked for.

        Raises:
            UserError: as :meth:`read`.
        """
        asked = positions(leads)
        signal = self._read(row, asked)
        if normalize.rule == "millivolt":
            return np.clip(signal, -normalize.clip_mv, normalize.clip_mv, out=signal)
        counted = range(len(LEADS)) if normalize.scope == "record" else asked
        in_use = [lead for lead in counted if self.present[row] >> lead & 1]
        if not in_use:
            return np.zeros_like(signal)
        centre, width = self._moments(row, in_use) if normalize.rule == "zscore" else self._extremes(row, in_use)
        signal -= np.float32(centre)
        signal /= np.float32(width)
        signal[[not self.present[row] >> lead & 1 for lead in asked]] = 0
        return signal

    def _read(self, row: int, leads: list[int]) -> NDArray[np.float32]:
        signal = self._open(int(self._shard[row]))[self._row[row], leads].astype(np.float32)
        signal *= self._scale[row, leads][:, None]
        signal += self._offset[row, leads][:, None]
        return signal

    def _open(self, shard: int) -> NDArray[np.int16]:
        if shard not in self._shards:
            path = self.folder / _shard_name(shard)
            try:
                mapped = np.load(path, mmap_mode="r").view(np.ndarray)
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: missing or damaged ({error}); run the stage preprocess again") from None
            if len(self._shards) >= _OPEN_SHARDS:
                del self._shards[next(iter(self._shards))]
            self._shards[shard] = mapped
        return self._shards[shard]

    def _extremes(self, row: int, leads: list[int]) -> tuple[float, float]:
        low = float(self._minimum[row, leads].min())
        return low, float(self._maximum[row, leads].max()) - low

    def _moments(self, row: int, leads: list[int]) -> tuple[float, float]:
        """Mean and deviation over several leads of equal length, from those of each."""
        mean, deviation = self._mean[row, leads].astype(np.float64), self._deviation[row, leads].astype(np.float64)
        return float(mean.mean()), float(np.sqrt((deviation**2).mean() + mean.var()))

    def _per_lead(self, column: str) -> NDArray[np.float32]:
        return self.records[column].to_numpy().reshape(-1, len(LEADS))


class StoreWriter:
    """Appends waveforms to the shards of one store; see :func:`store_writer`."""

    def __init__(self, folder: Path, append_row: Any, samples: int, shard_records: int) -> None:
        self._folder, self._append_row = folder, append_row
        self._buffer = np.empty((shard_records, len(LEADS), samples), np.int16)
        self._shard, self._filled = 0, 0

    def append(self, waveform: Waveform, record_id: str, patient_id: str | None, split: str) -> None:
        """Add one record; it is on disk when its shard is full or the store is closed."""
        if self._filled == len(self._buffer):
            self.flush()
        self._buffer[self._filled] = waveform.samples
        row: Mapping[str, Any] = {
            **{name: getattr(waveform, name) for name in RECORDS.names if hasattr(waveform, name)},
            "record_id": record_id, "patient_id": patient_id, "split": split,
            "shard": self._shard, "row": self._filled,
        }  # fmt: skip
        self._append_row(row)
        self._filled += 1

    def flush(self) -> None:
        """Write the shard that is in memory."""
        if self._filled:
            np.save(self._folder / _shard_name(self._shard), self._buffer[: self._filled])
            self._shard, self._filled = self._shard + 1, 0


@contextmanager
def store_writer(
    folder: Path | str, archive: str, origin: str, fs: int, samples: int, shard_records: int
) -> Iterator[StoreWriter]:
    """A new store at ``folder``; it appears there whole, when the block has succeeded. One shard is in memory."""
    metadata = {"archive": archive, "origin": origin, "fs": fs, "samples": samples}
    with whole(folder) as temporary:
        temporary.mkdir()
        with table_writer(temporary / _INDEX, RECORDS, metadata, batch=5_000) as append_row:
            writer = StoreWriter(temporary, append_row, samples, shard_records)
            yield writer
            writer.flush()


def _shard_name(shard: int) -> str:
    return f"shard-{shard:05d}.npy"
