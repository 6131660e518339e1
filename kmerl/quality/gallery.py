"""Records to look at: for each flag some that carry it, and one of each archive that carries none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from kmerl.leads import LEADS
from kmerl.plots.beginning import beginning
from kmerl.plots.ecg import RHYTHM, ecg_paper
from kmerl.quality.marks import Recorded, marks
from kmerl.randomness import generator
from kmerl.waveforms import WaveformStore

_MOST_FULL = 2  # marked leads drawn for their whole time


@dataclass(frozen=True)
class Shown:
    """A record as it is drawn.

    Attributes:
        archive, origin: where it is from.
        heading: what it is called.
        drawn: how many samples are drawn.
        marks: lead -> words, of the leads that the flag is about.
        record: its waveform and what the index says of it.
    """

    archive: str
    origin: str
    heading: str
    drawn: int
    marks: Mapping[str, str]
    record: Recorded


def choose(records: pl.DataFrame, flag: str | None, count: int, seed: int, archive: str) -> list[int]:
    """Rows of records with a flag, or without any: those with the fewest others first, as they show it best.

    Args:
        records: columns ``record_id`` and ``flags``.
        flag: or None for records without flags.
        count: at most so many.
        seed: decides among equals, with the names.
        archive: its name.
    """
    numbered = records.select("record_id", "flags").with_row_index("row")
    own = pl.col("flags").list.len()
    some = numbered.filter(own == 0 if flag is None else pl.col("flags").list.contains(flag)).sort("record_id")
    order = generator(seed, "quality", archive, flag or "").permutation(some.height)
    drawn = some.with_columns(order=pl.Series(order, dtype=pl.Int64), others=own).sort("others", "order")
    return drawn["row"].head(count).to_list()


def show(store: WaveformStore, row: int, flag: str | None) -> Shown:
    """Read one record as an example of a flag, or of none."""
    index = store.records.row(row, named=True)
    signal = store.read(row)[:, : index["length"]]
    per_lead = {name: np.asarray(index[name]) for name in ("zeros", "nans", "minimum", "maximum", "mean")}
    present = np.array([bool(index["leads"] >> lead & 1) for lead in range(len(LEADS))])
    record = Recorded(tuple(index["flags"]), signal, store.fs, present, **per_lead)
    heading, drawn = beginning(store, row)
    found = marks(flag, record) if flag else {}
    return Shown(store.archive, store.origin, heading, drawn, found, record)


def spread(offers: Sequence[Sequence[Shown]], count: int) -> list[Shown]:
    """At most ``count`` of what several archives offer, one of each in turn."""
    turns = chain.from_iterable(zip_longest(*offers))
    return [one for one in turns if one is not None][:count]


def figure(shown: Shown) -> Figure:
    """The record on ECG paper, all twelve places, the marked leads for their whole time at the bottom."""
    record = shown.record
    leads = [lead for lead, used in zip(LEADS, record.present, strict=True) if used]
    signal = record.signal[record.present][:, : shown.drawn]
    full = [lead for lead in shown.marks if lead in leads][:_MOST_FULL] or [RHYTHM]
    return ecg_paper(signal, leads, record.fs, shown.heading, shown.marks, twelve=True, full=full)
