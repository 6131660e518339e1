"""``python -m benchmarks.gpu --out FOLDER``: run all parts, each by itself, and write what they found."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch

from benchmarks.gpu import learning, pair, speed
from benchmarks.gpu.report import Row, shown, write
from benchmarks.gpu.setting import TINY, Setting, Size, machine

PARTS: dict[str, tuple[Callable[[Setting], Iterator[Row]], float]] = {
    "matmul": (speed.matmul, 5),
    "step": (speed.steps, 45),
    "synchronisation": (speed.waiting, 5),
    "memory": (speed.memory, 10),
    "loader": (speed.loader, 15),
    "loss": (learning.curves, 60),
    "zero-shot": (learning.zeroshot, 10),
    "resumed run": (learning.resumed, 25),
    "two processes": (pair.pair, 40),
    "step, compiled": (speed.compiled_steps, 60),
}
"""Part -> what runs it, and the seconds below which it is not begun; in this order, what may take longest last."""


class OutOfTimeError(BaseException):
    """A part did not end in time; what the part calls must not take it for an error of its own."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise in the block when time is up."""

    def up(_: int, __: FrameType | None) -> None:
        raise OutOfTimeError(f"stopped: not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.1))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(setting: Setting, keep: Callable[[list[Row]], None]) -> list[Row]:
    """Run all parts; ``keep`` is given all rows so far after each."""
    rows: list[Row] = []
    for name, (part, needs) in PARTS.items():
        if setting.left < needs and setting.size is not TINY:
            rows.append(Row(name, "", None, note=f"skipped: {max(0, setting.left):.0f} s were left of {needs:.0f}"))
        else:
            try:
                with limited(setting.left):
                    for row in part(setting):
                        rows.append(row)
                        print(f"{row.part}: {row.what}: {'-' if row.value is None else shown(row.value)} {row.unit} "
                              f"{row.note}", flush=True)  # fmt: skip
            except (Exception, OutOfTimeError) as error:  # whatever it is, the other parts go on
                reason = (str(error).splitlines() or [""])[0][:200]
                rows.append(Row(name, "failed", None, note=f"{type(error).__name__}: {reason}"))
                print(f"{name}: failed: {type(error).__name__}: {reason}", flush=True)
            if setting.cuda:
                torch.cuda.empty_cache()
        keep(rows)
    return rows


def main(argv: list[str]) -> int:
    """Returns 0 if there is a figure of every part, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu_benchmark"), help="folder for gpu.md and gpu.json")
    parser.add_argument("--minutes", type=float, default=6.0, help="parts that do not fit in are left out")
    parser.add_argument(
        "--tiny", action="store_true", help="a very small model, on the CPU: to see that all of it runs"
    )
    given = parser.parse_args(argv)
    if not given.tiny and not torch.cuda.is_available():
        print("there is no GPU that torch can use; --tiny runs all of it on the CPU", file=sys.stderr)
        return 1
    device = torch.device("cpu" if given.tiny else "cuda")
    end = time.monotonic() + 60 * given.minutes
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kmerl-gpu-") as folder:
        setting = Setting(device, TINY if given.tiny else Size(), Path(folder), end)
        rows = run(setting, lambda rows: write(given.out, machine(device), rows, setting.curves))
    print(f"written: {given.out / 'gpu.md'}, {given.out / 'gpu.json'}")
    return int(any(row.what in ("", "failed") for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
