"""Several processes for one work, that a user can interrupt and that never outlive the one that started them."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from threading import Thread
from typing import Any

from kmerl.errors import UserError

CONTEXT = get_context("spawn")
"""How processes start: a fork would copy the threads' locks of other libraries."""


@contextmanager
def pool(
    processes: int, broken: str, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[Callable[..., Future[Any]]]:
    """Processes of one thread each; the block gets a function that submits a call to them.

    Args:
        processes: how many.
        broken: what to tell if one of them ends abruptly.
        begin: a function that each process calls first.
        arguments: what it gets.

    Raises:
        UserError: a process ended abruptly.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1"))
    try:
        with ProcessPoolExecutor(processes, CONTEXT, initializer=_begin, initargs=(begin, arguments)) as executor:

            def submit(function: Callable[..., Any], *given: Any) -> Future[Any]:
                with _without_interrupts():  # a call may start a process
                    return executor.submit(function, *given)

            try:
                yield submit
            except BaseException:
                executor.shutdown(wait=True, cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise UserError(broken) from None


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; a process started meanwhile never gets it, and so prints no traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(begin: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """Prepare a process: it ends with the one that started it, however that ends."""
    parent = parent_process()
    if parent is not None:

        def follow() -> None:
            connection.wait([parent.sentinel])
            os._exit(1)

        Thread(target=follow, daemon=True).start()
    if begin is not None:
        begin(*arguments)
