"""Two processes that train together, on two cards or on one: their gradient against that of one process.

``python -m benchmarks.gpu.pair`` is one of them; its environment says which, as torchrun's does.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.gpu.report import Row
from benchmarks.gpu.setting import ROOT, TINY, Setting, Size
from kmerl.training import loop

_FREE = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"


def patience(device: torch.device) -> float:
    """Seconds that two processes have, with their start; a GPU's machine is not busy with other things."""
    return 90.0 if device.type == "cuda" else 600.0


def gradient(setting: Setting, rank: int = 0, processes: int = 1) -> torch.Tensor:
    """Of the first step's loss, averaged over processes."""
    run = setting.recipe({"precision": "float32", "float32_matmul": "highest"})
    batch = setting.size.curve_batch // processes
    torch.set_float32_matmul_precision("highest")
    learner = loop.Learner(setting.network(run), setting.texts()).to(setting.device)
    wrapped, weights = loop._wrapped(learner, setting.device, False), [*learner.parameters()]
    read = setting.batches(run, batch, rank, processes)[0]
    loop._gradient(wrapped, weights, read.to(setting.device), 1, run.params)
    return torch.cat([weight.grad.flatten() for weight in weights]).cpu()


def pair(setting: Setting) -> Iterator[Row]:
    """Over NCCL where there is a GPU, and where that cannot be, over gloo."""
    alone = gradient(setting)
    setting.wait()
    several = setting.cuda and torch.cuda.device_count() > 1
    where = "two cards" if several else "one card" if setting.cuda else "the CPU"
    for backend in ("nccl", "gloo") if setting.cuda else ("gloo",):
        what = f"gradient of two processes on {where} over {backend}, difference from one"
        start = time.perf_counter()
        said = _run(setting, backend, several)
        if not said:
            found = torch.load(setting.folder / f"{backend}.pt", weights_only=True)
            far = float((found - alone).abs().max() / alone.abs().max())
            yield Row("two processes", what, far, "of the largest", f"{time.perf_counter() - start:.0f} s in all")
            return
        yield Row("two processes", what, None, note=said)


def _run(setting: Setting, backend: str, several: bool) -> str:
    """Start both and wait; why they failed, empty if they did not."""
    port = subprocess.run([sys.executable, "-c", _FREE], capture_output=True, text=True, check=True).stdout.strip()
    both = []
    for rank in range(2):
        own = {
            "RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
            "PAIR": ",".join(
                [backend, f"cuda:{rank * several}" if setting.cuda else "cpu", str(int(setting.size is TINY))]
            ),
        }  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.gpu.pair", str(setting.folder)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        both.append(subprocess.Popen(command, env=os.environ | own, cwd=ROOT, **quiet))
    allowed = min(patience(setting.device), max(10.0, setting.left))
    said, end = "", time.monotonic() + allowed
    try:
        for one in both:
            _, errors = one.communicate(timeout=max(1.0, end - time.monotonic()))
            if one.returncode and not said:
                lines = [line.strip() for line in errors.splitlines() if "rror" in line]
                said = (lines or [f"exit status {one.returncode}"])[-1][:200]
    except subprocess.TimeoutExpired:
        said = f"no answer within {allowed:.0f} s"
    finally:
        for one in both:
            one.kill()
            one.wait()
    return said


def main(folder: Path) -> None:
    """One of the two."""
    backend, device, tiny = os.environ["PAIR"].split(",")
    rank = int(os.environ["RANK"])
    own = torch.device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    dist.init_process_group(backend, timeout=timedelta(seconds=patience(own)))
    size = TINY if tiny == "1" else Size()
    setting = Setting(own, size, folder, time.monotonic() + patience(own))
    found = gradient(setting, rank, 2)
    if rank == 0:
        torch.save(found, folder / f"{backend}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
