"""How fast a step is, what share of the card's arithmetic it reaches, what it needs, and how fast batches are read."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.report import Row
from benchmarks.gpu.setting import Setting
from kmerl.processors import processors
from kmerl.training import loop
from kmerl.training.batches import Batch
from kmerl.training.ledger import Ledger
from kmerl.training.recipe import Recipe

PRECISIONS = {
    "float32": {"precision": "float32", "float32_matmul": "highest"},
    "TF32": {"precision": "float32", "float32_matmul": "high"},
    "bfloat16": {"precision": "bfloat16", "float32_matmul": "high"},
}


class Steps:
    """Training steps on batches that lie ready, as the loop takes them.

    Args:
        setting: the model, its texts, the device.
        run: how it is trained.
        batches: shown in turn.
        compiled: whether its layers are compiled.
    """

    def __init__(self, setting: Setting, run: Recipe, batches: list[Batch], compiled: bool = False) -> None:
        torch.set_float32_matmul_precision(run.params.loop.float32_matmul)
        torch.use_deterministic_algorithms(run.params.loop.deterministic, warn_only=True)
        self.setting, self.params, self.batches = setting, run.params, batches
        learner = loop.Learner(setting.network(run), setting.texts()).to(setting.device)
        self.wrapped = loop._wrapped(learner, setting.device, compiled)
        self.weights = [*learner.parameters()]
        self.optimizer = torch.optim.AdamW(self.weights, fused=True)
        self.ledger = Ledger(setting.device, [])
        self.count = 0

    def step(self) -> None:
        """One whole step; nothing waits for it."""
        batch = self.batches[self.count % len(self.batches)]
        self.count += 1
        losses, norm = loop._gradient(self.wrapped, self.weights, batch, self.count, self.params)
        self.ledger.add(self.count, 1e-4, losses, norm, told=False)
        loop._update(self.optimizer, 1e-4, self.ledger.lost)

    def forward(self) -> Any:
        """The losses only."""
        with torch.autocast(self.setting.device.type, torch.bfloat16, self.params.loop.precision == "bfloat16"):
            return self.wrapped(self.batches[0])

    def both(self) -> None:
        """The losses and their gradient."""
        loop._gradient(self.wrapped, self.weights, self.batches[0], 1, self.params)


def ready(setting: Setting, run: Recipe, count: int, batch: int | None = None) -> list[Batch]:
    """Batches on the device."""
    made = setting.batches(run, batch)
    return [made[step].to(setting.device) for step in range(count)]


def timed(setting: Setting, call: Callable[[], object]) -> float:
    """Seconds of a call, of as many as there is time for, one behind another."""
    call()  # what is done once only
    setting.wait()
    start = time.perf_counter()
    call()
    setting.wait()
    once = time.perf_counter() - start
    times = max(1, min(setting.size.timed, int(setting.size.seconds / once)))
    start = time.perf_counter()
    for _ in range(times):
        call()
    setting.wait()
    return (time.perf_counter() - start) / times


def matmul(setting: Setting) -> Iterator[Row]:
    """The rate of large square products."""
    n = setting.size.matmul
    for name, dtype, precision in (
        ("float32", torch.float32, "highest"), ("TF32", torch.float32, "high"), ("bfloat16", torch.bfloat16, "high"),
    ):  # fmt: skip
        torch.set_float32_matmul_precision(precision)
        a, b = (torch.randn(n, n, device=setting.device, dtype=dtype) for _ in range(2))
        rate = 2 * n**3 / timed(setting, lambda a=a, b=b: a @ b)
        if name == "bfloat16":
            setting.matmul_rate = rate
        yield Row("matmul", f"{n} x {n}, {name}", rate / 1e12, "TFLOP/s")


def steps(setting: Setting, compiled: bool = False) -> Iterator[Row]:
    """Forward, backward and step in each precision."""
    part = "step, compiled" if compiled else "step"
    note = ("; first steps {:.0f} s" if setting.cuda else "; not compiled on a CPU") if compiled else ""
    batch = setting.size.batch
    found = ready(setting, setting.recipe(), setting.size.batches)
    with FlopCounterMode(display=False) as counter:
        Steps(setting, setting.recipe(PRECISIONS["bfloat16"]), found).both()
    work = counter.get_total_flops()
    if not compiled:
        yield Row(part, "arithmetic of a record, forward and backward", work / batch / 1e9, "GFLOP")
    for name, precision in PRECISIONS.items():
        begun = time.perf_counter()
        one = Steps(setting, setting.recipe(precision), found, compiled)
        for _ in range(len(found)):
            one.step()
        setting.wait()
        begun = time.perf_counter() - begun
        forward, both, whole = (timed(setting, call) for call in (one.forward, one.both, one.step))
        share = f", {work / whole / setting.matmul_rate:.1%} of the bfloat16 rate" if setting.matmul_rate else ""
        parts = f"forward {1e3 * forward:.1f} ms, backward {1e3 * (both - forward):.1f} ms, step {1e3 * whole:.1f} ms"
        yield Row(
            part, f"{name}, batch {batch}", batch / whole, "records/s",
            f"{parts}{share}{note.format(begun)}",
        )  # fmt: skip
    if not compiled:
        one = Steps(setting, setting.recipe(PRECISIONS["bfloat16"] | {"deterministic": True}), found)
        yield Row(part, "bfloat16, deterministic", batch / timed(setting, one.step), "records/s")
        torch.use_deterministic_algorithms(False)


def compiled_steps(setting: Setting) -> Iterator[Row]:
    """The same with ``loop.compile``; a CPU would compile for minutes, and takes the layers as they are."""
    with nullcontext() if setting.cuda else torch.compiler.set_stance("force_eager"):
        yield from steps(setting, compiled=True)


def waiting(setting: Setting) -> Iterator[Row]:
    """How often a step makes the processor wait for the GPU, and where; there should be no such place."""
    if not setting.cuda:
        yield Row("synchronisation", "in a step", None, note="a CPU has none")
        return
    one, counted = Steps(setting, setting.recipe(), ready(setting, setting.recipe(), 1)), 3
    one.step()
    setting.wait()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for _ in range(counted):
                one.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    places = Counter(
        f"{one.filename.rpartition('/')[2]}:{one.lineno}" for one in seen if "synchron" in str(one.message)
    )
    where = ", ".join(f"{place} ({times})" for place, times in places.most_common(5))
    yield Row("synchronisation", "in a step", places.total() / counted, "times", where)


def memory(setting: Setting) -> Iterator[Row]:
    """The most that a bfloat16 step holds on the GPU."""
    for batch in setting.size.memory:
        what = f"batch {batch}, bfloat16"
        if not setting.cuda:
            run = setting.recipe(PRECISIONS["bfloat16"] | {"batch": batch})
            Steps(setting, run, ready(setting, run, 1)).step()
            yield Row("memory", what, None, note="a CPU's is not measured; the step ran")
            continue
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            run = setting.recipe(PRECISIONS["bfloat16"] | {"batch": batch})
            one = Steps(setting, run, ready(setting, run, 1))
            one.step()
            one.step()
            setting.wait()
            yield Row("memory", what, torch.cuda.max_memory_allocated() / 2**30, "GiB")
            del one
        except torch.OutOfMemoryError as error:
            yield Row("memory", what, None, note=str(error).splitlines()[0])


def loader(setting: Setting) -> Iterator[Row]:
    """Batches read from the store alone, then also brought to the device."""
    size, cores = setting.size, processors()
    run = setting.recipe()
    made = setting.batches(run)
    made[0]  # shards are opened
    start = time.perf_counter()
    for step in range(size.batches):
        made[step]
    rate = size.batch * size.batches / (time.perf_counter() - start)
    yield Row("loader", "in the training process", rate, "records/s", "files in the page cache")
    for workers in sorted({1, min(8, cores)}):
        rounds = max(2 * size.batches, 4 * workers)
        ahead = iter(loop._ahead(made, 0, rounds + 1, workers, setting.device))
        next(ahead).to(setting.device)  # they have started
        start = time.perf_counter()
        for batch in ahead:
            batch.to(setting.device)
        setting.wait()
        rate = size.batch * rounds / (time.perf_counter() - start)
        yield Row("loader", f"{workers} workers, and to the device", rate, "records/s", f"{cores} cores")
