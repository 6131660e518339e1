"""Training batches: which records, which leads and segments of them, in what order; all a function of the seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kmerl.methods.method import Method, Records
from kmerl.model.encoder import Group
from kmerl.model.params import TokenParams
from kmerl.model.reading import Reading, read
from kmerl.model.tokens import whole_segments
from kmerl.randomness import generator, streams
from kmerl.training.text_vectors import Names
from kmerl.waveforms import NormalizeParams, WaveformStore


@dataclass(frozen=True)
class Examples:
    """Records to learn from or to validate on.

    Attributes:
        rows: (N,) rows of the waveform store.
        reports: (N,) row of each record's report among the distinct reports.
        labels: (N, Q) uint8.
    """

    rows: NDArray[np.int64]
    reports: NDArray[np.int64]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class View:
    """One view of the records of a batch.

    Attributes:
        groups: segments (b, n, p), leads (b, n), times (b, n) of records that show equally many tokens.
        rows: (B,) which row of what is made of the groups is each record's; None where they are in order.
    """

    groups: list[Group]
    rows: Tensor | None

    def of_records(self, rows: Tensor) -> Tensor:
        """(B, ...) in the order of the groups -> in the order of the batch."""
        return rows if self.rows is None else rows[self.rows.to(rows.device, non_blocking=True)]


@dataclass(frozen=True)
class Batch:
    """A batch on a device, its records ordered by the groups of the first view.

    Attributes:
        views: as many as the method shows.
        reports: (B,) rows among the distinct reports.
        labels: (B, Q).
        names: (Q,) the name by which each query is asked, a place among all names; None for their own names.
        shares: (Q,) float32 share of all training records that are positive, by query.
    """

    views: list[View]
    reports: Tensor
    labels: Tensor
    names: Tensor | None
    shares: Tensor


@dataclass(frozen=True)
class ReadBatch:
    """A batch as it was read, before its views are cut into tokens; the same otherwise.

    Attributes:
        readings: of each view.
        rows: of each view, as :class:`View` has them.
        reports, labels, names, shares: as of a :class:`Batch`.
    """

    readings: list[Reading]
    rows: list[Tensor | None]
    reports: Tensor
    labels: Tensor
    names: Tensor | None
    shares: Tensor

    def pin_memory(self) -> "ReadBatch":
        """The same in memory from which a GPU is sent to without waiting; a ``DataLoader`` calls it."""
        readings = [reading.pin_memory() for reading in self.readings]
        rows = [None if one is None else one.pin_memory() for one in self.rows]
        names = None if self.names is None else self.names.pin_memory()
        reports, labels, shares = (part.pin_memory() for part in (self.reports, self.labels, self.shares))
        return ReadBatch(readings, rows, reports, labels, names, shares)

    def to(self, device: torch.device) -> Batch:
        """The batch with its tokens, which are cut and normalised on the device."""
        groups = [reading.cut(device) for reading in self.readings]
        views = [View(*one) for one in zip(groups, self.rows, strict=True)]
        return Batch(views, self.reports, self.labels, self.names, self.shares)


class Batches(Dataset[ReadBatch]):
    """The batches of a run, indexed by step, so that any step can be made again without those before it.

    Args:
        store: waveforms.
        examples: the training records.
        method: which views it sees.
        tokens, normalize: how they are shown.
        batch: records per process and step.
        seed: of the order, of the views and of the names.
        rank, size: this process and how many there are; each sees its own part of every global batch.
        names: from which every step draws how queries are asked, the same in every process.
    """

    def __init__(
        self,
        store: WaveformStore,
        examples: Examples,
        method: Method[Any],
        tokens: TokenParams,
        normalize: NormalizeParams,
        batch: int,
        seed: int,
        rank: int = 0,
        size: int = 1,
        names: Names | None = None,
    ):
        self.store, self.examples, self.method = store, examples, method
        self.tokens, self.normalize = tokens, normalize
        self.batch, self.seed, self.rank, self.size = batch, seed, rank, size
        self.names = names
        self.steps_per_epoch = len(examples) // (batch * size)
        self._shares = torch.from_numpy(examples.labels.mean(0, dtype=np.float64).astype(np.float32))
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def members(self, step: int) -> NDArray[np.int64]:
        """(B,) examples of this process at a step: every epoch in a new order, its last partial batch left out."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, generator(self.seed, "order", epoch).permutation(len(self.examples)))
        start = (place * self.size + self.rank) * self.batch
        return self._order[1][start : start + self.batch]

    def __getitem__(self, step: int) -> ReadBatch:
        members = self.members(step)
        rows = self.examples.rows[members]
        views = self.method.show(self.records(members, step))
        readings = [read(self.store, rows, shown, self.tokens, self.normalize) for shown in views]
        order = readings[0].order
        places = [None, *(torch.from_numpy(np.argsort(other.order)[order]) for other in readings[1:])]
        reports, labels = (
            torch.from_numpy(part[members[order]]) for part in (self.examples.reports, self.examples.labels)
        )
        return ReadBatch(readings, places, reports, labels, self.draw_names(step), self._shares)

    def draw_names(self, step: int) -> Tensor | None:
        """(Q,) the name by which each query is asked at a step, in every process; None if by its own."""
        if self.names is None:
            return None
        return torch.from_numpy(self.names.draw(generator(self.seed, "query names", step)))

    def records(self, members: NDArray[np.int64], step: int) -> Records:
        """Examples (B,) as a step finds them."""
        rows, epoch = self.examples.rows[members], step // self.steps_per_epoch
        everyone = np.zeros(1, np.int64)
        return Records(
            leads=self.store.leads_of(rows),
            segments=whole_segments(self.store.lengths[rows], self.store.samples, self.tokens),
            tokens=self.tokens,
            streams=lambda name: streams(members, self.seed, name, epoch),
            streams_of_step=lambda name: streams(everyone, self.seed, name, step),
        )
