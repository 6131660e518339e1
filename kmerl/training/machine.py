"""What training asks of a machine: its settings, and in one line what it lacks (GPUs, memory, shared memory)."""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kmerl.distributed import world
from kmerl.errors import UserError
from kmerl.training.params import LoopParams

SHARED = Path("/dev/shm")
"""Where batches lie on their way from the processes that read them (Linux)."""
_AHEAD = 2  # batches that each of them keeps ready, as torch's DataLoader has it
_OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory|ALLOC_FAILED", re.IGNORECASE)


def settle(loop: LoopParams) -> None:
    """Set threads, precision of products and determinism for this process."""
    torch.set_num_threads(loop.threads)
    torch.set_float32_matmul_precision(loop.float32_matmul)
    if loop.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it is first used
    torch.use_deterministic_algorithms(loop.deterministic, warn_only=torch.cuda.is_available())


def check_gpus(processes: int) -> None:
    """See whether each process of this node has a GPU of its own; on a machine without GPUs they share the CPU.

    Raises:
        UserError: there are fewer.
    """
    if torch.cuda.is_available() and processes > torch.cuda.device_count():
        raise UserError(f"pretrain.loop.processes: {processes} but {torch.cuda.device_count()} GPUs; lower it")


def check_shared_memory(batch: Any, workers: int) -> None:
    """See whether what ``workers`` of each process read ahead has a place.

    Args:
        batch: one that was read; others are about as large.
        workers: for each process.

    Raises:
        UserError: it has not.
    """
    if not workers or not SHARED.is_dir():
        return
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if world()[1] > 1 else 1
    each = size(batch) * 5 // 4
    free, need = shutil.disk_usage(SHARED).free, each * (_AHEAD * workers + 1) * processes
    if need > free:
        fit = max(0, (free // (each * processes) - 1) // _AHEAD)
        raise UserError(
            f"{SHARED}: {free / 1e6:.0f} MB are free, and batches on their way from {workers} workers of each process "
            f"need {need / 1e6:.0f} MB; lower pretrain.loop.workers to {fit}, or enlarge it (docker run --shm-size)"
        )


def size(value: Any) -> int:
    """Bytes of all tensors in nested lists, tuples and dataclasses."""
    if isinstance(value, Tensor):
        return value.nbytes
    if is_dataclass(value):
        return sum(size(getattr(value, field.name)) for field in fields(value))
    return sum(map(size, value)) if isinstance(value, Sequence) and not isinstance(value, str) else 0


@contextmanager
def fitting(setting: str, records: int) -> Iterator[None]:
    """What is computed of so many records at a time, told to the user if memory does not suffice.

    Args:
        setting: the parameter that says how many.
        records: its value.

    Raises:
        UserError: it does not.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        where = "the GPU's memory" if "CUDA" in str(error) else "memory"
        remedy = f"lower it to {records // 2}" if records >= 4 else "choose a smaller pretrain.model.encoder.shape"
        raise UserError(f"{setting}: {where} does not hold {records} records; {remedy}, and run again") from None
