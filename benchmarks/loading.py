"""Reading the batches of pretraining: all records of a batch at once, against record by record as it was done before.

The reference draws from a generator for each record, reads and normalises its leads, cuts them, and stacks records
that show equally many tokens. It is kept here as it was, and given the same masks it must make the same tokens.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kmerl import methods
from kmerl.leads import LEADS, bit_mask
from kmerl.model.params import MaskParams, TokenParams
from kmerl.model.tokens import Shown
from kmerl.randomness import generator
from kmerl.shards import Waveform, store_writer
from kmerl.training.batches import Batches, Examples
from kmerl.waveforms import NormalizeParams, WaveformStore

TOKENS = TokenParams(length=100, per="lead", padding="tokens")
NORMALIZE = NormalizeParams(rule="zscore", clip_mv=5.0, scope="record")
MASKING = MaskParams(masked_leads=[9, 10, 11], draw="per_sample", segment_share=0.25, segments="per_lead")
STEPS = range(8)
CPU = torch.device("cpu")

Tokens = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Segments (n, p), leads (n,) and times (n,) of one record."""


def store(folder: Path, n: int = 1024, samples: int = 5000) -> WaveformStore:
    """A store of so many records of noise, 12 leads each."""
    with store_writer(folder, "noise", "simulated", 500, samples, shard_records=512) as writer:
        for i in range(n):
            values = generator(0, "loading", i).integers(-1500, 1500, (len(LEADS), samples), np.int16)
            mv = values * 0.001
            none = np.zeros(len(LEADS), np.int32)
            moments = {"minimum": mv.min(1), "maximum": mv.max(1), "mean": mv.mean(1), "deviation": mv.std(1)}
            scale, offset = np.full(len(LEADS), 0.001, np.float32), np.zeros(len(LEADS), np.float32)
            waveform = Waveform(
                samples=values, scale=scale, offset=offset, fs=500.0, length=samples, leads=bit_mask(LEADS),
                **moments, zeros=none, nans=none, flags=(),
            )  # fmt: skip
            writer.append(waveform, str(i), None)
    return WaveformStore(folder)


def batches(store: WaveformStore, kind: str, batch: int) -> Batches:
    """Those of a method with the demo's options of masking."""
    rows = np.arange(len(store))
    examples = Examples(rows, rows, np.zeros((len(rows), 1), np.uint8))
    found: Any = methods.load(kind)
    method = found.__new__(found)  # its views need of its options the masking alone
    method.options = found.section.model_construct(masking=MASKING)
    return Batches(store, examples, method, TOKENS, NORMALIZE, batch, seed=1)


class OneByOne:
    """The reference: a batch record by record.

    Args:
        made: whose batches it reads.
        masked: whether it draws masks, or shows all there is.
    """

    def __init__(self, made: Batches, masked: bool):
        self.made, self.masked = made, masked
        self.present = made.store.present
        columns = ("scale", "offset", "mean", "deviation")
        self.of_lead = {name: made.store.records[name].to_numpy().reshape(-1, len(LEADS)) for name in columns}
        made.store.samples_of(np.arange(len(made.store)), np.zeros(len(made.store), np.int64))  # opens all shards
        self.shard, self.row = (made.store.records[name].to_numpy() for name in ("shard", "row"))

    def batch(self, step: int) -> list[tuple[torch.Tensor, ...]]:
        """The groups of a step."""
        return grouped(
            [self.record(int(member), step // self.made.steps_per_epoch) for member in self.made.members(step)]
        )

    def record(self, member: int, epoch: int) -> Tokens:
        """What one record shows, by draws of its own."""
        row = int(self.made.examples.rows[member])
        present = np.flatnonzero(self.present[row] >> np.arange(len(LEADS)) & 1)
        if not self.masked:
            return self.tokens(row, present, np.ones((len(present), 50), bool))
        rng = generator(1, "mask", epoch, member)
        shown = min(len(LEADS) - int(rng.choice(MASKING.masked_leads)), len(present))
        leads = np.sort(rng.permutation(present)[:shown])
        rank = rng.random((len(leads), 50)).argsort(axis=1).argsort(axis=1)
        return self.tokens(row, leads, rank >= int(MASKING.segment_share * 50))

    def tokens(self, row: int, leads: NDArray[np.int64], visible: NDArray[np.bool_]) -> Tokens:
        """The visible tokens of some leads of a record."""
        signal = self.read(row, leads)
        cut = signal.reshape(len(leads), 50, 100)
        rows, times = np.nonzero(visible)
        return np.ascontiguousarray(cut[rows, times]), leads[rows], times

    def read(self, row: int, leads: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some leads of a record, normalised by what all of its leads have."""
        signal: NDArray[np.float32] = self.made.store._open(int(self.shard[row]))[self.row[row], leads].astype(
            np.float32
        )
        signal *= self.of_lead["scale"][row, leads][:, None]
        signal += self.of_lead["offset"][row, leads][:, None]
        used = (self.present[row] >> leads & 1).astype(bool)
        counted = np.flatnonzero(self.present[row] >> np.arange(len(LEADS)) & 1)
        mean, deviation = (self.of_lead[name][row, counted].astype(np.float64) for name in ("mean", "deviation"))
        moments = [(float(mean.mean()), float(np.sqrt((deviation**2).mean() + mean.var())))]
        centre, width = np.array(moments, np.float32).T[:, :, None]
        signal -= centre
        signal /= width
        signal[~used] = 0
        return signal


def grouped(records: Sequence[Tokens]) -> list[tuple[torch.Tensor, ...]]:
    """Records that show equally many tokens, stacked."""
    by_count: dict[int, list[int]] = {}
    for i, tokens in enumerate(records):
        by_count.setdefault(len(tokens[2]), []).append(i)
    return [
        tuple(torch.from_numpy(np.stack([records[i][part] for i in members])) for part in range(3))
        for _, members in sorted(by_count.items())
    ]


def pair(store: WaveformStore, kind: str, batch: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Ours and the reference, each a function that makes the batches of ``STEPS``; checked to make the same tokens."""
    made = batches(store, kind, batch)
    one_by_one = OneByOne(made, masked=kind != "merl")
    (shown,) = made.method.show(made.records(made.members(0), 0))
    theirs = grouped([_as_drawn(one_by_one, made, shown, i) for i in range(batch)])
    for ours, reference in zip(made[0].to(CPU).views[0].groups, theirs, strict=True):
        assert torch.allclose(ours[0], reference[0], atol=1e-5)
        assert all(torch.equal(a, b) for a, b in zip(ours[1:], reference[1:], strict=True))
    return on_one_core(lambda step: made[step].to(CPU)), on_one_core(one_by_one.batch)


def on_one_core(call: Callable[[int], object]) -> Callable[[], object]:
    """A call for each of ``STEPS``, by one thread of torch."""

    def calls() -> list[object]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return [call(step) for step in STEPS]
        finally:
            torch.set_num_threads(threads)

    return calls


def _as_drawn(one_by_one: OneByOne, made: Batches, shown: Shown, i: int) -> Tokens:
    leads = np.flatnonzero(shown.leads[i])
    return one_by_one.tokens(int(made.examples.rows[made.members(0)[i]]), leads, shown.tokens[i, leads])
