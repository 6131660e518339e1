"""Child processes that end with the one that started them, however that ends, and that are not waited for in vain."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process

import psutil

LOOK_SECONDS, STOPPED_SECONDS = 5.0, 60.0
"""How often is looked for children that are stopped (SIGSTOP), and how long one may be stopped before work is given up.

A run that is stopped as a whole (Ctrl-Z, a batch system) does not look, so that it may rest as long as it likes.
"""
_PR_SET_PDEATHSIG = 1
_LINUX = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here, as a fork must not load anything


def bound(end: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """What a child runs before its program (``preexec_fn``), so that Linux ends it with the thread that started it.

    Args:
        end: how; only SIGKILL also ends a child that is stopped or that hangs.

    Returns:
        None on other systems.
    """
    linux, parent = _LINUX, os.getpid()
    if linux is None:
        return None

    def begin() -> None:
        linux.prctl(_PR_SET_PDEATHSIG, end, 0, 0, 0)
        if os.getppid() != parent:  # it ended before Linux was told
            os._exit(1)

    return begin


def follow_parent(*_: object) -> None:
    """In a process of ``multiprocessing``: end with the one that started it. Takes what an initializer is given."""
    parent = parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel
    if _LINUX is not None and os.getppid() == parent.pid:  # else a server of forks stands between
        _LINUX.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def follow() -> None:
        connection.wait([sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def without_interrupts(*further: signal.Signals) -> Iterator[None]:
    """Hold Ctrl-C back for a moment; a process started meanwhile never gets it, and so prints no traceback.

    ``further`` signals are held back too; none that a process started meanwhile has to get.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *further})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, by KeyboardInterrupt, so that children are ended and a line is said."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not ours:  # only the main thread can be told
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # again: polars puts a handler before it, with which Ctrl-C no longer ends a wait for another process
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Looking:
    """Finds children, and children of theirs, that stay stopped."""

    def __init__(self) -> None:
        self._times: Counter[int] = Counter()
        self._next = 0.0

    def stopped(self) -> psutil.Process | None:
        """One that was found stopped for ``STOPPED_SECONDS``; looks only now and then, however often it is asked."""
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + LOOK_SECONDS
        found = {child.pid: child for child in psutil.Process().children(recursive=True) if _is_stopped(child)}
        self._times = Counter({pid: self._times[pid] + 1 for pid in found})
        return next((found[pid] for pid, times in self._times.items() if times * LOOK_SECONDS > STOPPED_SECONDS), None)


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:  # it has ended
        return False
