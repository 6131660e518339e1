"""Counts of what an archive's index and its tables of rejected records say; no waveform is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.leads import LEADS
from kmerl.page.texts import explain
from kmerl.waveforms import WaveformStore

STATISTICS = ("minimum", "maximum", "deviation")
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

COLUMNS = ["archive", "origin", "kind", "name", "records", "share", "explanation"]
_ABSENT = "not_in_archive"
TOTAL, TABLE, REJECTED, FLAG = "total", "table", "rejected", "flag"
"""Kinds: a whole archive; reasons of its own tables to reject a record; reasons of its waveforms; flags."""


@dataclass(frozen=True)
class Findings:
    """What is known of one archive.

    Attributes:
        archive, origin: the latter ``simulated`` or ``recorded``.
        fs: sampling rate of the store, Hz.
        seconds: length of a stored waveform.
        kept: records in the store.
        flagged: those with a flag.
        without_split: those that no split names.
        flags: flag -> records of the store, by name.
        rates: sampling rate of the source, Hz -> records.
        lengths: shortest, median and longest record without padding, s; empty if there are none.
        whole: records as long as the store allows.
        twelve: records with all twelve leads in use.
        leads: (12,) records in which each lead is in use.
        amplitudes: (3, 7, 12) mV: ``QUANTILES`` of ``STATISTICS`` over the records with the lead; NaN if there is none.
        tables, waveforms: columns of ``kmerl.archives.schemas.REJECTED``, by what rejected the record.
        absent: records that the published split names and the archive does not have.
    """

    archive: str
    origin: str
    fs: int
    seconds: float
    kept: int
    flagged: int
    without_split: int
    flags: Mapping[str, int]
    rates: Mapping[float, int]
    lengths: tuple[float, ...]
    whole: int
    twelve: int
    leads: NDArray[np.int64]
    amplitudes: NDArray[np.float64]
    tables: pl.DataFrame
    waveforms: pl.DataFrame
    absent: int

    @property
    def read(self) -> int:
        """Records whose waveform was read, or was to be."""
        return self.kept + self.waveforms.height

    @property
    def named(self) -> int:
        """Rows of the archive's tables, usable or not."""
        return self.read + self.tables.height


def find(store: WaveformStore, tables: pl.DataFrame, waveforms: pl.DataFrame) -> Findings:
    """The findings of an archive.

    Args:
        store: its waveforms with their splits.
        tables: records that its own tables rejected.
        waveforms: records that its waveforms rejected.
    """
    records = store.records
    length = records["length"]
    in_use = _in_use(store)
    ends = [float(one) / store.fs for one in (length.min(), length.median(), length.max()) if one is not None]
    return Findings(
        archive=store.archive,
        origin=store.origin,
        fs=store.fs,
        seconds=store.samples / store.fs,
        kept=len(store),
        flagged=int((records["flags"].list.len() > 0).sum()),
        without_split=records["split"].null_count(),
        flags=_counts(records["flags"].explode().drop_nulls()),
        rates=_counts(records["fs"]),
        lengths=tuple(ends),
        whole=int((length == store.samples).sum()),
        twelve=int(in_use.all(axis=1).sum()),
        leads=in_use.sum(axis=0),
        amplitudes=np.stack([_quantiles(records[name], in_use) for name in STATISTICS]),
        tables=tables.filter(pl.col("reason") != _ABSENT),
        waveforms=waveforms,
        absent=tables.filter(pl.col("reason") == _ABSENT).height,
    )


def _in_use(store: WaveformStore) -> NDArray[np.bool_]:
    """(n, 12) whether a record has a lead."""
    return np.asarray(store.present[:, None] >> np.arange(len(LEADS)) & 1, np.bool_)


def _counts(values: pl.Series) -> dict[Any, int]:
    """How often each value is there, in the order of the values."""
    counted = values.value_counts(name="records")
    return dict(counted.sort(counted.columns[0]).iter_rows())


def _quantiles(column: pl.Series, in_use: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(7, 12) quantiles of a statistic for each lead over the records that have the lead."""
    values = column.to_numpy().reshape(-1, len(LEADS))
    found = np.full((len(QUANTILES), len(LEADS)), np.nan)
    for lead in np.flatnonzero(in_use.any(axis=0)):
        found[:, lead] = np.quantile(values[in_use[:, lead], lead].astype(np.float64), QUANTILES)
    return found


def tidy(findings: Sequence[Findings]) -> pl.DataFrame:
    """One row for each archive, kind and name (:data:`COLUMNS`).

    ``share`` is of the store's records for flags, ``without_split`` and ``flagged``, and else of all records that the
    archive's tables name; empty where there are none.
    """
    types = dict.fromkeys(COLUMNS, pl.String) | {"records": pl.Int64, "share": pl.Float64}
    return pl.DataFrame([row for one in findings for row in _rows(one)], types, orient="row")


def _rows(one: Findings) -> Iterator[tuple[str, str, str, str, int, float | None, str]]:
    totals = {"named": one.named, "read": one.read, "kept": one.kept}
    of_kept = {"flagged": one.flagged, "without_split": one.without_split}
    groups = (
        (TOTAL, totals, one.named, "totals"),
        (TOTAL, of_kept, one.kept, "totals"),
        (TOTAL, {_ABSENT: one.absent} if one.absent else {}, 0, "totals"),
        (TABLE, _counts(one.tables["reason"]), one.named, "reasons"),
        (REJECTED, _counts(one.waveforms["reason"]), one.named, "reasons"),
        (FLAG, one.flags, one.kept, "flags"),
    )
    for kind, counts, whole, texts in groups:
        for name, number in counts.items():
            share = number / whole if whole else None
            yield one.archive, one.origin, kind, str(name), number, share, explain(texts, str(name))  # type: ignore[arg-type]
