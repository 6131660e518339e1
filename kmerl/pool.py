"""Several processes for one work, that a user can interrupt and that never outlive the one that started them."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from threading import Event, Thread
from typing import Any

from kmerl import children
from kmerl.children import Looking, follow_parent, terminable, without_interrupts
from kmerl.errors import UserError

CONTEXT = get_context("spawn")
"""How processes start: a fork would copy the threads' locks of other libraries."""


@contextmanager
def pool(
    processes: int, broken: str, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[Callable[..., Future[Any]]]:
    """Processes of one thread each; the block gets a function that submits a call to them.

    They end with the thread that submits, so that is to be the one that runs the block.

    Args:
        processes: how many.
        broken: what to tell if one of them ends abruptly.
        begin: a function that each process calls first.
        arguments: what it gets.

    Raises:
        UserError: a process ended abruptly, or was stopped for long.
        KeyboardInterrupt: of Ctrl-C or SIGTERM; the processes were then killed.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1"))
    stopped: list[int] = []
    try:
        with (
            terminable(),
            ProcessPoolExecutor(processes, CONTEXT, initializer=_begin, initargs=(begin, arguments)) as executor,
            _watched(executor, stopped),
        ):

            def submit(function: Callable[..., Any], *given: Any) -> Future[Any]:
                with without_interrupts():  # a call may start a process
                    return executor.submit(function, *given)

            try:
                yield submit
            except Exception:
                executor.shutdown(wait=True, cancel_futures=True)
                raise
            except BaseException:  # nobody wants to wait for what is under way
                with without_interrupts(signal.SIGTERM):
                    _kill(executor)
                    executor.shutdown(wait=True, cancel_futures=True)
                raise
    except BrokenProcessPool:
        if stopped:
            broken = (
                f"process {stopped[0]}, one of {processes} that share the work, was stopped (SIGSTOP) for "
                f"{children.STOPPED_SECONDS:g} s, so all were ended; run again"
            )
        raise UserError(broken) from None


@contextmanager
def _watched(executor: ProcessPoolExecutor, stopped: list[int]) -> Iterator[None]:
    """End all processes of a pool when one of them stays stopped, and note its id in ``stopped``."""
    over, looking = Event(), Looking()

    def watch() -> None:
        while not over.wait(children.LOOK_SECONDS):
            found = looking.stopped()
            if found is not None and found.pid in (executor._processes or {}):
                stopped.append(found.pid)
                _kill(executor)

    with without_interrupts(signal.SIGTERM):  # signals are to wake the thread that waits for results, not this one
        Thread(target=watch, daemon=True).start()
    try:
        yield
        executor.shutdown(wait=True)
    finally:
        over.set()


def _kill(executor: ProcessPoolExecutor) -> None:
    """``executor.kill_workers()``, which Python has since 3.14."""
    for process in list((executor._processes or {}).values()):
        process.kill()


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Prepare a process: it ends with the one that started it, however that ends."""
    follow_parent()
    if begin is not None:
        begin(*arguments)
