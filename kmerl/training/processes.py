"""Training in several processes, one per GPU, through torchrun."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from kmerl.errors import UserError


def device_of_this_process() -> torch.device:
    """This process's GPU, or the CPU."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return "RANK" in os.environ


def launch(processes: int, module: Sequence[str]) -> None:
    """Run a module with its arguments in so many processes of this node and wait for them.

    Raises:
        UserError: one of them failed.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    if subprocess.run([*command, *module]).returncode:
        raise UserError(f"one of {processes} processes failed; its message is above")


def distributed(run: Callable[[], Any]) -> Any:
    """Call ``run`` inside a process group if torchrun started this process, else just call it."""
    if not started_by_torchrun():
        return run()
    device = device_of_this_process()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        return run()
    finally:
        dist.destroy_process_group()
