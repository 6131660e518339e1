"""Training batches: which records, which leads and segments of them, in what order; all a function of the seed."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kmerl.methods.method import Method, Record
from kmerl.model.encoder import Group, group_tokens
from kmerl.model.params import TokenParams
from kmerl.model.tokens import trim
from kmerl.randomness import generator
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
        return rows if self.rows is None else rows[self.rows.to(rows.device)]


@dataclass(frozen=True)
class Batch:
    """A batch, its records ordered by the groups of the first view.

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

    def to(self, device: torch.device) -> "Batch":
        """The same with its tokens on a device."""
        moved = [[(s.to(device), le.to(device), t.to(device)) for s, le, t in view.groups] for view in self.views]
        return replace(self, views=[View(groups, view.rows) for groups, view in zip(moved, self.views, strict=True)])


class Batches(Dataset[Batch]):
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
        self._length = store.records["length"].to_numpy()
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def members(self, step: int) -> NDArray[np.int64]:
        """(B,) examples of this process at a step: every epoch in a new order, its last partial batch left out."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, generator(self.seed, "order", epoch).permutation(len(self.examples)))
        start = (place * self.size + self.rank) * self.batch
        return self._order[1][start : start + self.batch]

    def __getitem__(self, step: int) -> Batch:
        members = self.members(step)
        shown = [self.method.show(self._record(int(member), step)) for member in members]
        (first, order), *others = [group_tokens(view) for view in zip(*shown, strict=True)]
        views = [View(first, None)]
        for groups, own_order in others:
            place = np.argsort(own_order)  # of a member in this view's groups
            views.append(View(groups, torch.from_numpy(place[order])))
        members = members[order]
        reports, labels = (torch.from_numpy(part[members]) for part in (self.examples.reports, self.examples.labels))
        return Batch(views, reports, labels, self.draw_names(step), self._shares)

    def draw_names(self, step: int) -> Tensor | None:
        """(Q,) the name by which each query is asked at a step, in every process; None if by its own."""
        if self.names is None:
            return None
        return torch.from_numpy(self.names.draw(generator(self.seed, "query names", step)))

    def _record(self, member: int, step: int) -> Record:
        """One record in one epoch."""
        row, epoch = int(self.examples.rows[member]), step // self.steps_per_epoch

        def read(leads: NDArray[np.int64]) -> NDArray[np.float32]:
            signal = self.store.read_normalized_at(row, leads, self.normalize)
            return trim(signal, int(self._length[row]), self.tokens)

        return Record(
            leads=self.store.leads_of(row), tokens=self.tokens, read=read,
            rng=lambda name: generator(self.seed, name, epoch, member),
            rng_of_step=lambda name: generator(self.seed, name, step),
        )  # fmt: skip
