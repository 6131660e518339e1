"""This process among those of a distributed run: its rank, its device, and what it exchanges with the others."""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from kmerl.model.params import Gather

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_STARTERS = ("TORCHELASTIC_RUN_ID", "KMERL_WATCHED")


def world() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) when not distributed."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


class _Gather(torch.autograd.Function):
    """All ranks' rows; the gradient of a rank's rows is the sum over all ranks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(world()[1])]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        rank, size = world()
        total = gradients[0].clone().contiguous()
        dist.all_reduce(total)
        return total.chunk(size)[rank]


def gather(x: Tensor) -> Tensor:
    """(B, ...) of every rank -> (ranks x B, ...) on every rank, with gradients flowing back to their owners."""
    if world()[1] == 1:
        return x
    gathered: Tensor = _Gather.apply(x)
    return gathered


def compared(x: Tensor, how: Gather) -> tuple[Tensor, Tensor]:
    """Rows that this process compares with everyone's, and everyone's (ranks x B, ...), of its own rows (B, ...).

    ``with_gradient``: its own rows; what the others' losses owe to them comes back to it, and gradients averaged over
    processes are those of one large batch. ``without_gradient`` (MERL's code): all rows with all, of which the others'
    are constants: every process computes the whole loss, and the averaged gradients are those of one large batch over
    the number of processes.
    """
    rank, size = world()
    if size == 1 or how == "with_gradient":
        return x, gather(x)
    parts = list(gather(x.detach()).chunk(size))
    parts[rank] = x
    everyone = torch.cat(parts)
    return everyone, everyone


def device_of_this_process() -> torch.device:
    """This process's GPU, or the CPU."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )


def one_of_several() -> bool:
    """Whether this process was started as one of several, here or by torchrun.

    Batch systems and MPI set some of these variables for any job, so torchrun's own, or ours, must be among them.
    """
    return all(name in os.environ for name in _VARIABLES) and any(name in os.environ for name in _STARTERS)
