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
    def depends_on_scope(self) -> bool:
        """Whether the scope makes a difference: not if every lead is scaled alike in every record."""
        return self.rule != "millivolt"


class WaveformStore:
    """A folder of shards, read record by record and lead by lead. It can be pickled, and shards open when first read.

    Args:
        folder: of a store, or of several (parts of one archive that were written side by side), which are one then.
        splits: record_id and split (schema :data:`SPLITS`); records that are not in it have none.

    Attributes:
        records: the index, one row per record (schema :data:`RECORDS`), and split.
        archive, origin: which archive it is, and ``simulated`` or ``recorded``.
        fs, samples: sampling rate in Hz, and S.
        present: (n,) uint16, the bit mask of leads in use.

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
        return self._read(row, positions(leads))

    def read_normalized(self, row: int, leads: Sequence[str], normalize: NormalizeParams) -> NDArray[np.float32]:
        """A record's signals as the model's input, (l, S) without unit; leads that are not in use are zeros.

        The extremes and moments come from the index: no lead is read that was not asked for.

        Raises:
            UserError: as :meth:`read`.
        """
        return self.read_normalized_at(row, np.array(positions(leads), np.int64), normalize)

    def leads_of(self, row: int) -> NDArray[np.int64]:
        """(l,) positions in ``LEADS`` of the leads in use, sorted: within a step of training leads are these."""
        return np.flatnonzero(self.present[row] >> _EACH & 1)

    def read_normalized_at(self, row: int, leads: NDArray[np.int64], normalize: NormalizeParams) -> NDArray[np.float32]:
        """As :meth:`read_normalized`, leads by their positions in ``LEADS``, each at most once."""
        signal = self._read(row, leads)
        if normalize.rule == "millivolt":
            return np.clip(signal, -normalize.clip_mv, normalize.clip_mv, out=signal)
        used = (self.present[row] >> leads & 1).astype(bool)
        if not used.any():
            return np.zeros_like(signal)
        scale = self._moments if normalize.rule == "zscore" else self._extremes
        if normalize.scope == "lead":
            each = [scale(row, leads[[i]]) if used[i] else (0.0, 1.0) for i in range(len(leads))]
        else:
            each = [scale(row, self.leads_of(row) if normalize.scope == "record" else leads[used])]
        centre, width = np.array(each, np.float32).T[:, :, None]
        signal -= centre
        signal /= width
        signal[~used] = 0
        return signal

    def _read(self, row: int, leads: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        signal = self._open(int(self._shard[row]))[self._row[row], leads].astype(np.float32)
        signal *= self._scale[row, leads][:, None]
        signal += self._offset[row, leads][:, None]
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

    def _extremes(self, row: int, leads: NDArray[np.int64]) -> tuple[float, float]:
        low = float(self._minimum[row, leads].min())
        return low, float(self._maximum[row, leads].max()) - low

    def _moments(self, row: int, leads: NDArray[np.int64]) -> tuple[float, float]:
        """Mean and deviation over several leads of equal length, from those of each."""
        mean, deviation = self._mean[row, leads].astype(np.float64), self._deviation[row, leads].astype(np.float64)
        return float(mean.mean()), float(np.sqrt((deviation**2).mean() + mean.var()))

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
