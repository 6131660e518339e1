"""One of the processes of a distributed run: it does its job and tells the process that started it how that goes.

Nothing here imports torch, which takes seconds: a process must notice from its first moments that its parent is gone.
"""

import os
import pickle
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, NamedTuple

READS, COMPUTES, VALIDATES, WRITES, ENDS = range(5)
_DOING = ("reads the records of", "computes", "validates after", "writes a checkpoint after", "ends after")
_parent: "Connection[Any, Any] | None" = None


class At(NamedTuple):
    """How far a process is; what comes later is greater."""

    step: int = 0
    phase: int = READS

    def __str__(self) -> str:
        return f"{_DOING[self.phase]} step {self.step}" if self.step else "starts"


class Done(NamedTuple):
    """What the first process returned; None of the others."""

    result: Any


class Failed(NamedTuple):
    """An exception with those that caused it, and its traceback as text.

    ``lost`` tells that the process only lost another one, whose own failure is what counts.
    """

    errors: list[BaseException]
    text: str
    lost: bool


def at(step: int, phase: int) -> None:
    """Tell how far this process is, if another one started it and wants to know."""
    if _parent is not None:
        _parent.send(At(step, phase))


def main(descriptor: int) -> None:
    """Receive a function with its arguments through a connection, call it, send back what became of it."""
    global _parent
    parent = Connection(descriptor)
    try:
        job = parent.recv_bytes()
    except EOFError:
        os._exit(1)
    Thread(target=_follow, args=(parent,), daemon=True).start()
    _parent = parent
    try:
        function, arguments = pickle.loads(job)
        result = function(*arguments)
        parent.send(Done(result if os.environ["RANK"] == "0" else None))
    except BaseException as error:
        parent.send(Failed(_chain(error), traceback.format_exc(), lost_another(error)))
        # now, as what ends in order would wait for the other processes
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _follow(parent: "Connection[Any, Any]") -> None:
    """End with the parent: it sends nothing after the job, so anything to read is the end."""
    try:
        parent.poll(None)
    finally:
        os._exit(1)


def lost_another(error: BaseException) -> bool:
    """Whether an exception says that another process of the group is gone or does not answer."""
    words = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "ProcessGroup")
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "DistError" in kinds or ("RuntimeError" in kinds and any(word in str(error) for word in words))


def _chain(error: BaseException) -> list[BaseException]:
    """The exception, what caused it, and so on, each such that it can be sent."""
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and len(found) < 10:
        found.append(_sendable(one))
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return found


def _sendable(error: BaseException) -> BaseException:
    try:
        again = pickle.loads(pickle.dumps(error))
    except Exception:
        again = None
    return again if type(again) is type(error) else RuntimeError(f"{type(error).__name__}: {error}")


def send_job(parent: "Connection[Any, Any]", function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """The other side of :func:`main`."""
    parent.send_bytes(pickle.dumps((function, arguments)))
