"""Reading the waveform store: memory-mapped int16 shards, each with its rows in a Parquet index.

Shards are lead-major (:mod:`kmerl.shards`), so that a reader touches only the leads it asks for. Normalisation is
applied when read, from statistics in the index. Which split a record belongs to stands in a table of its own, since
no waveform depends on it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from kmerl.artifacts import read_metadata, read_table
from kmerl.errors import UserError
from kmerl.leads import LEADS, positions
from kmerl.regular import assert_regular
from kmerl.section import Section
from kmerl.shards import INDEX, RECORDS, Waveform, index_table, shard_name, store_metadata

Floats = NDArray[np.float64]
_EACH = np.arange(len(LEADS))
_OPEN_SHARDS = 256  # each holds a file descriptor; systems allow about 1,000


class NormalizeParams(Section):
    """How mV become the model's input."""

    rule: Literal["millivolt", "minmax", "zscore"] = Field(
        description="millivolt: clipped mV; minmax: (x - min) / (max - min), as in MERL; zscore: (x - mean) / deviation"
    )
    clip_mv: float = Field(gt=0, le=100, description="the rule millivolt clips to plus and minus this, mV")
    scope: Literal["record", "visible_leads", "lead"] = Field(
        description="leads whose extremes or moments count: all of the record (as in MERL), only those that are read, "
        "or for each lead its own"
    )

    @property
    def limit(self) -> float | None:
        """What the input is clipped to, plus and minus; None if it is not clipped."""
        return self.clip_mv if self.rule == "millivolt" else None

    @property
    def depends_on_scope(self) -> bool:
        """Whether the scope makes a difference: not if every lead is scaled alike in every record."""
        return self.rule != "millivolt"


class WaveformStore:
    """A folder of shards, of which only the leads asked for are read, of one record or of many at once.

    It can be pickled, and shards open when first read.

    Args:
        folder: of a store, or of several (parts of one archive that were written side by side), which are one then.
        splits: record_id and split (schema :data:`SPLITS`); records that are not in it have none.

    Attributes:
        records: the index, one row per record (schema :data:`RECORDS`), and split.
        archive, origin: which archive it is, and ``simulated`` or ``recorded``.
        fs, samples: sampling rate in Hz, and S.
        present: (n,) uint16, the bit mask of leads in use.
        lengths: (n,) int32, samples that are not padding.

    Raises:
        UserError: there is no such store, or its parts do not belong together.
    """

    def __init__(self, folder: Path | str, splits: pl.DataFrame | None = None) -> None:
        indexes = index_files(folder)
        described = [read_metadata(index) for index in indexes]
        for index, one in zip(indexes, described, strict=True):
            if one != described[0]:
                raise UserError(f"{index.parent}: not of one kind with {indexes[0].parent}; run preprocess again")
        parts = [read_table(index, RECORDS) for index in indexes]
        files: list[Path] = []
        shards = []
        for index, part in zip(indexes, parts, strict=True):
            shards.append(part["shard"].to_numpy() + len(files))
            files += [index.parent / shard_name(i) for i in range((part["shard"].max() or 0) + 1 if len(part) else 0)]
        records = pl.concat(parts)
        if records["record_id"].is_duplicated().any():
            raise UserError(f"{folder}: a record stands in two parts; delete the folder and run preprocess again")
        self._index(Path(folder), records, described[0], files, np.concatenate(shards), splits)

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
            | {"record_id": str(row), "patient_id": None, "shard": 0, "row": row}
            for row, one in enumerate(waveforms)
        ]
        records = pl.from_arrow(index_table(rows))
        assert isinstance(records, pl.DataFrame)
        samples = np.stack([one.samples for one in waveforms])
        store = cls.__new__(cls)
        metadata = store_metadata(archive, "recorded", fs, samples.shape[2])
        store._index(Path(archive), records, metadata, [], np.zeros(len(rows), np.int32), None)
        store._shards[0] = samples
        return store

    def _index(
        self,
        folder: Path,
        records: pl.DataFrame,
        metadata: Mapping[str, Any],
        files: list[Path],
        shards: NDArray[np.int32],
        splits: pl.DataFrame | None,
    ) -> None:
        """Take over the index and what it says of the whole store."""
        known = splits if splits is not None else pl.DataFrame(schema={"record_id": pl.String, "split": pl.String})
        self.folder = folder
        self.records = records.join(known, on="record_id", how="left", maintain_order="left")
        self.archive: str = metadata["archive"]
        self.origin: str = metadata["origin"]
        self.fs: int = metadata["fs"]
        self.samples: int = metadata["samples"]
        self.present: NDArray[np.uint16] = self.records["leads"].to_numpy()
        self.lengths: NDArray[np.int32] = self.records["length"].to_numpy()
        self._files, self._shard, self._row = files, shards, self.records["row"].to_numpy()
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
        asked = np.array(positions(leads), np.int64)
        return self._scaled(row, asked, self._scale[row, asked], self._offset[row, asked])

    def read_normalized(self, row: int, leads: Sequence[str], normalize: NormalizeParams) -> NDArray[np.float32]:
        """A record's signals as the model's input, (l, S) without unit; leads that are not in use are zeros.

        Raises:
            UserError: as :meth:`read`.
        """
        asked = np.array(positions(leads), np.int64)
        (factor,), (shift,) = self.scaling(np.array([row]), np.isin(_EACH, asked)[None], normalize)
        signal = self._scaled(row, asked, factor[asked], shift[asked])
        return signal if normalize.limit is None else np.clip(signal, -normalize.limit, normalize.limit, out=signal)

    def leads_of(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(B, 12) the leads in use of records (B,)."""
        return (self.present[rows][:, None] >> _EACH & 1).astype(bool)

    def samples_of(self, rows: NDArray[np.int64], leads: NDArray[np.int64]) -> NDArray[np.int16]:
        """(R, S) as stored: one lead each of records (R,), by its position in ``LEADS``; no other lead is read.

        Raises:
            UserError: a shard is missing or damaged.
        """
        found = np.empty((len(rows), self.samples), np.int16)
        shards, places = self._shard[rows], self._row[rows].astype(np.int64) * len(LEADS) + leads
        starts = np.flatnonzero(np.diff(shards, prepend=-1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
            shard = self._open(int(shards[start])).reshape(-1, self.samples)
            shard.take(places[start:end], axis=0, out=found[start:end], mode="clip")  # "raise" would copy once more
        return found

    def scaling(
        self, rows: NDArray[np.int64], leads: NDArray[np.bool_], normalize: NormalizeParams
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Factor and shift (B, 12) of records (B,) of which ``leads`` (B, 12) are read; zeros for leads not in use.

        The model's input is sample * factor + shift, clipped by the rule millivolt. The extremes and moments come from
        the index: no lead is read for it.
        """
        factor, shift = self._scale[rows].astype(np.float64), self._offset[rows].astype(np.float64)
        used = self.leads_of(rows)
        read = used & leads
        if normalize.rule != "millivolt":
            counted = used if normalize.scope == "record" else read
            scale = self._moments if normalize.rule == "zscore" else self._extremes
            centre, width = scale(rows, counted, normalize.scope == "lead")
            factor, shift = factor / width, (shift - centre) / width
        return np.where(read, factor, 0).astype(np.float32), np.where(read, shift, 0).astype(np.float32)

    def _scaled(
        self, row: int, leads: NDArray[np.int64], factor: NDArray[np.float32], shift: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        signal = self.samples_of(np.full(len(leads), row), leads).astype(np.float32)
        signal *= factor[:, None]
        signal += shift[:, None]
        return signal

    def _open(self, shard: int) -> NDArray[np.int16]:
        if shard not in self._shards:
            path = self._files[shard]
            try:
                assert_regular(path)
                mapped = np.load(path, mmap_mode="r").view(np.ndarray)
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: missing or damaged ({error}); run the stage preprocess again") from None
            if len(self._shards) >= _OPEN_SHARDS:
                del self._shards[next(iter(self._shards))]
            self._shards[shard] = mapped
        return self._shards[shard]

    def _extremes(self, rows: NDArray[np.int64], counted: NDArray[np.bool_], each: bool) -> tuple[Floats, Floats]:
        """Least value, and range, of each lead (B, 12) or over those ``counted`` (B, 1); 0 and 1 where none is."""
        low = np.where(counted, self._minimum[rows], np.inf)
        high = np.where(counted, self._maximum[rows], -np.inf)
        if not each:
            low, high = low.min(1, keepdims=True), high.max(1, keepdims=True)
        there = np.isfinite(low)
        return np.where(there, low, 0), np.where(there, high - low, 1)

    def _moments(self, rows: NDArray[np.int64], counted: NDArray[np.bool_], each: bool) -> tuple[Floats, Floats]:
        """Mean and deviation, likewise; over several leads of equal length they follow from those of each."""
        mean = np.where(counted, self._mean[rows].astype(np.float64), 0)
        deviation = np.where(counted, self._deviation[rows].astype(np.float64), 0 if not each else 1)
        if each:
            return mean, deviation
        share = counted / np.maximum(1, counted.sum(1, keepdims=True))
        centre = (share * mean).sum(1, keepdims=True)
        variance = (share * (deviation**2 + (mean - centre) ** 2)).sum(1, keepdims=True)
        return centre, np.sqrt(np.where(counted.any(1, keepdims=True), variance, 1))

    def _per_lead(self, column: str) -> NDArray[np.float32]:
        return self.records[column].to_numpy().reshape(-1, len(LEADS))


def index_files(folder: Path | str) -> list[Path]:
    """The index of a store, or those of its parts in the order of their names.

    Raises:
        UserError: there is none.
    """
    folder = Path(folder)
    found = [folder / INDEX] if (folder / INDEX).exists() else sorted(folder.glob(f"*/{INDEX}"))
    if not found:
        raise UserError(f"{folder}: no such file or folder with a waveform store; run the stage preprocess")
    return found
