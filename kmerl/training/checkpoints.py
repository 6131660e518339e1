"""Checkpoints of a run that has not ended: when they are due, how they are written, and how a run goes on from one."""

import time
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import nn

from kmerl.artifacts import whole
from kmerl.errors import UserError
from kmerl.training.ledger import Row
from kmerl.training.params import LoopParams

FILE = "checkpoint.pt"


class Due:
    """When the next one is due, by steps or by the clock."""

    def __init__(self, loop: LoopParams) -> None:
        self._steps, self._minutes = loop.checkpoint_every, loop.checkpoint_minutes
        self._last = time.monotonic()

    def by_steps(self, step: int) -> bool:
        """Whether one is due behind a step, in every process."""
        return self._steps is not None and step % self._steps == 0

    def by_clock(self) -> bool:
        """Whether one is due by this process's clock."""
        return self._minutes is not None and time.monotonic() - self._last >= 60 * self._minutes

    def written(self) -> None:
        """One was written."""
        self._last = time.monotonic()


def save(
    scratch: Path, learner: nn.Module, optimizer: torch.optim.Optimizer, step: int, history: list[Row], records: int
) -> None:
    """Write the checkpoint behind a step.

    Args:
        scratch: its folder.
        learner: what learns.
        optimizer: of its weights.
        step: how many were taken.
        history: up to it.
        records: of one step, those of all processes.
    """
    state = {"step": step, "history": history, "learner": learner.state_dict(), "optimizer": optimizer.state_dict()}
    # torch tells of a full disk only if it writes to a file of Python's
    with whole(scratch / FILE) as temporary, temporary.open("wb") as file:
        torch.save(state | {"records": records}, file)


def resume(
    scratch: Path,
    learner: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
    batch: int,
    processes: int,
) -> tuple[int, list[Row]]:
    """The step to begin with and the history up to it, from the last checkpoint if there is one.

    Which records a step sees follows from how many all processes see together, so a run goes on in any number of them
    with a batch that makes up for it.

    Raises:
        UserError: the checkpoint is damaged, or of a run with another number of records in a step.
    """
    path = scratch / FILE
    if not path.exists():
        return 0, []
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        records = state["records"]
        if records == batch * processes:
            learner.load_state_dict(state["learner"])
            optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, EOFError, KeyError, ValueError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not readable ({reason}); delete it, and the run begins anew") from None
    if records != batch * processes:
        fits = (
            f"set pretrain.loop.batch to {records // processes}" if records % processes == 0 else "take as many again"
        )
        raise UserError(
            f"{path}: begun with {records} records in a step, not {batch} in each of {processes} processes; {fits}, or "
            "delete it, and the run begins anew"
        )
    return state["step"], [tuple(row) for row in state["history"]]
