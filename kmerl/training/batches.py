"""Training batches: which records, which leads and segments of them, in what order; all a function of the seed."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from kmerl.leads import LEADS, from_bit_mask, positions
from kmerl.model.encoder import Group, group_tokens
from kmerl.model.params import MaskParams, TokenParams
from kmerl.model.tokens import Tokens, draw_leads, draw_segments, tokenize, trim
from kmerl.randomness import generator
from kmerl.training.texts import Names
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
class Batch:
    """A batch, its records ordered by group.

    Attributes:
        groups: segments (b, n, p), leads (b, n), times (b, n) of records that show equally many tokens.
        reports: (B,) rows among the distinct reports.
        labels: (B, Q).
        names: (Q,) the name by which each query is asked, a place among all names; None for their own names.
    """

    groups: list[Group]
    reports: Tensor
    labels: Tensor
    names: Tensor | None


class Batches(Dataset[Batch]):
    """The batches of a run, indexed by step, so that any step can be made again without those before it.

    Args:
        store: waveforms.
        examples: the training records.
        tokens, masking, normalize: how they are shown.
        batch: records per process and step.
        seed: of the order, of the masks and of the names.
        rank, size: this process and how many there are; each sees its own part of every global batch.
        names: from which every step draws how queries are asked, the same in every process.
    """

    def __init__(
        self,
        store: WaveformStore,
        examples: Examples,
        tokens: TokenParams,
        masking: MaskParams,
        normalize: NormalizeParams,
        batch: int,
        seed: int,
        rank: int = 0,
        size: int = 1,
        names: Names | None = None,
    ):
        self.store, self.examples = store, examples
        self.tokens, self.masking, self.normalize = tokens, masking, normalize
        self.batch, self.seed, self.rank, self.size = batch, seed, rank, size
        self.names = names
        self.steps_per_epoch = len(examples) // (batch * size)
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
        shared = int(generator(self.seed, "lead count", step).choice(self.masking.masked_leads))
        records = [self._show(int(member), step // self.steps_per_epoch, shared) for member in members]
        groups, order = group_tokens(records)
        members = members[order]
        reports, labels = (torch.from_numpy(part[members]) for part in (self.examples.reports, self.examples.labels))
        return Batch(groups, reports, labels, self.draw_names(step))

    def draw_names(self, step: int) -> Tensor | None:
        """(Q,) the name by which each query is asked at a step, in every process; None if by its own."""
        if self.names is None:
            return None
        return torch.from_numpy(self.names.draw(generator(self.seed, "query names", step)))

    def _show(self, member: int, epoch: int, shared_count: int) -> Tokens:
        """The visible tokens of one record in one epoch."""
        rng = generator(self.seed, "mask", epoch, member)
        count = int(rng.choice(self.masking.masked_leads)) if self.masking.draw == "per_sample" else shared_count
        row = int(self.examples.rows[member])
        present = np.array(positions(from_bit_mask(int(self.store.present[row]))))
        leads = draw_leads(present, count, rng)
        signal = self.store.read_normalized(row, [LEADS[lead] for lead in leads], self.normalize)
        signal = trim(signal, int(self._length[row]), self.tokens)
        n_leads = 1 if self.tokens.per == "segment" else len(leads)
        visible = draw_segments(n_leads, signal.shape[1] // self.tokens.length, self.masking, rng)
        return tokenize(signal, leads, self.tokens, visible)
