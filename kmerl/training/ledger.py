"""The losses of a run's steps: they stay on the device and are read from there now and then, so that no step waits."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from kmerl.distributed import world
from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.training.batches import Batches

LOOK_STEPS = 20
"""Steps between two looks on a GPU, which would wait for each; a CPU is looked at after every step."""
_NAMED = 5  # records that a message names

Row = tuple[int, str, float]
"""One value of the history: step, name, value."""


class Broken(NamedTuple):
    """A step whose loss, or the gradient of it, is not finite, and its losses by name."""

    step: int
    losses: Mapping[str, float]


class Ledger:
    """What a run logs.

    Args:
        device: where the losses are.
        history: what was logged before.

    Attributes:
        history: all values that were read, step by step.
        lost: () float32, 1 from the first step on that is :class:`Broken`, the same in every process. Given to the
            optimiser as ``found_inf`` it keeps all weights as they were, without anyone waiting for it.
        broken: that step, once it was read.
        told: whether some process had been told to end at a step that was read.
    """

    def __init__(self, device: torch.device, history: list[Row]) -> None:
        self.history, self.lost = history, torch.zeros((), device=device)
        self.broken: Broken | None = None
        self.told = False
        self._every = 1 if device.type == "cpu" else LOOK_STEPS
        self._unread: list[tuple[int, float, tuple[str, ...], Tensor]] = []

    def add(self, step: int, rate: float, losses: Mapping[str, Tensor], norm: Tensor, told: bool) -> None:
        """Note a step before the optimiser takes it.

        Args:
            step: its number, from 1.
            rate: its learning rate.
            losses: this process's, the whole loss first; they are averaged over processes.
            norm: () of the whole gradient, the same in every process.
            told: whether this process was told to end.
        """
        parts = [*(loss.detach() for loss in losses.values()), torch.full_like(norm, told)]
        values = torch.stack(parts)
        if world()[1] > 1:
            dist.all_reduce(values, dist.ReduceOp.SUM)
            values /= world()[1]
        finite = values[0].isfinite() & norm.isfinite()
        self.lost = torch.where(finite, self.lost, 1.0)
        self._unread.append((step, rate, tuple(losses), torch.cat([values, self.lost[None]])))

    def due(self, step: int) -> bool:
        """Whether it is time to read: in every process at the same steps."""
        return step % self._every == 0

    def read(self) -> dict[str, float]:
        """Wait for the device and read all that was not read; returns the losses of the last step."""
        row: dict[str, float] = {}
        for step, rate, names, values in self._unread:
            *found, told, lost = values.tolist()
            row = dict(zip(names, found, strict=True))
            self.told |= told > 0
            if lost and self.broken is None:
                self.broken = Broken(step, row)
            self.log(step, {"learning_rate": rate} | row)
        self._unread.clear()
        return row

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add to the history."""
        self.history += [(step, name, value) for name, value in values.items()]


def explained(broken: Broken, batches: Batches) -> UserError:
    """What to tell the user of a step that was not taken; every process has to ask, as each knows its own records."""
    rows = batches.examples.rows[batches.members(broken.step - 1)]
    store, normalize = batches.store, batches.normalize
    ids = store.records["record_id"]
    with np.errstate(all="ignore"):
        wrong = [row for row in rows if not np.isfinite(store.read_normalized(int(row), LEADS, normalize)).all()]
    mine = [ids[int(row)] for row in rows], [ids[int(row)] for row in wrong]
    everyones: list[tuple[list[str], list[str]]] = [mine] * world()[1]
    if world()[1] > 1:
        dist.all_gather_object(everyones, mine)
    shown, wrong_ones = ([record for one in everyones for record in one[i]] for i in range(2))
    loss, *terms = (f"{name} {value:.4g}" for name, value in broken.losses.items())
    value = broken.losses["loss"]
    what = f"the loss is {value}" if not np.isfinite(value) else f"the gradient of the {loss} is not finite"
    where = f"{what} at step {broken.step}"
    if wrong_ones:
        return UserError(
            f"{where}: {_few(wrong_ones)} not finite once normalised (rule {normalize.rule}); leave them out, or "
            "choose another pretrain.normalize.rule"
        )
    seen = ", ".join([*terms, _few(shown)])
    return UserError(f"{where}; lower pretrain.optimizer.learning_rate (the step was not taken: {seen})")


def _few(records: list[str]) -> str:
    """Records in words, a few of them by name."""
    named, more = ", ".join(records[:_NAMED]), len(records) - _NAMED
    return f"record {named}" if len(records) == 1 else f"records {named}{f' and {more} more' if more > 0 else ''}"
