"""SIGTERM and Ctrl-C in training: they are noted, so that a run ends behind a whole step, with a checkpoint."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Wish:
    """Whether this process was told to end; calling it is handling a signal.

    Args:
        tell: is called the first time.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.told = False
        self._tell = tell

    def __call__(self, number: int, _: FrameType | None) -> None:
        """Note it. A second Ctrl-C is from someone who does not want to wait for the step's end."""
        if self.told and number == signal.SIGINT:
            raise KeyboardInterrupt
        first, self.told = not self.told, True
        if first:
            self._tell()


@contextmanager
def noted(tell: Callable[[], None] = lambda: None) -> Iterator[Wish]:
    """While the block runs, SIGTERM and SIGINT are noted and do nothing else; in another thread than the main one none.

    A scheduler may send SIGTERM again, by several ways, and at last SIGKILL: only a second SIGINT ends the block.
    """
    wish = Wish(tell)
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    # what is ignored stays so: a shell's jobs in the background leave Ctrl-C to those in the foreground
    heard = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, wish) for number in heard}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: it was not set by Python


def ignored() -> None:
    """In a process that works for this one: leave these signals, which a terminal or scheduler sends to all, to it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
