"""Training in several processes, one per GPU: started here on one node, or by torchrun on several.

Those started here are watched. They end with the process that started them, however that ends; when one of them fails,
is killed, or is stopped, the others are ended within seconds (a minute if it is stopped), and the cause is one error.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from multiprocessing import Pipe, connection
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar

import psutil
import torch
import torch.distributed as dist

from kmerl import children
from kmerl.children import Looking, bound, terminable, without_interrupts
from kmerl.distributed import device_of_this_process, one_of_several
from kmerl.errors import UserError
from kmerl.training.machine import check_gpus
from kmerl.training.nodes import ALONE, Node
from kmerl.training.rank import At, Done, Failed, lost_another, send_job
from kmerl.training.signals import Wish, noted

HUNG_SECONDS = 3600.0
"""A run is given up when for so long none of its processes got on to another step, nor from reading to computing.

Far more than the slowest honest wait: the reading of all inputs, a validation or a checkpoint of the first process.
"""
GROUP_SECONDS = HUNG_SECONDS + 600
"""How long a process waits for the others in one exchange; matters where torchrun started it and nobody watches."""
_GRACE_SECONDS = 5.0  # between a process that lost another one and the news of what became of that one
_TICK_SECONDS = 1.0
_RUN_AGAIN = "all were ended; run again, it goes on after the last checkpoint"
_PROGRAM = "import sys; sys.path[:] = {path!r}; from kmerl.training.rank import main; main({descriptor})"

Result = TypeVar("Result")


def distributed(run: Callable[[], Result]) -> Result:
    """Call ``run`` inside a process group if this process is one of several, else just call it.

    Raises:
        UserError: another process ended or did not answer, where torchrun started them.
    """
    if not one_of_several():
        return run()
    device = device_of_this_process()
    own = device if device.type == "cuda" else None
    check_gpus(int(os.environ["LOCAL_WORLD_SIZE"]))
    if own is not None:
        torch.cuda.set_device(own)
    try:
        dist.init_process_group(
            "gloo" if own is None else "nccl", timeout=timedelta(seconds=GROUP_SECONDS), device_id=own
        )
        result = run()
    except RuntimeError as error:
        # one that was started here is told of by the process that watches all
        if not lost_another(error) or os.environ.get("KMERL_WATCHED"):
            raise
        reason = str(error).splitlines()[0]
        raise UserError(
            f"process {os.environ['RANK']} lost another one ({reason}); what that one said last is the cause; "
            "run again, it goes on after the last checkpoint"
        ) from error
    dist.destroy_process_group()  # not after an error: it would wait for the others
    return result


def launch(processes: int, function: Callable[..., Result], *arguments: Any, node: Node = ALONE) -> Result:
    """Call a function of a module in so many processes of this node, which with those of others are one process group.

    They end with the thread that calls this. Once they work, Ctrl-C and SIGTERM are passed on to them as SIGTERM, so
    that they can end in order; a second Ctrl-C ends them at once.

    Returns:
        What it returned in the first process; None on later nodes.

    Raises:
        UserError: there are fewer GPUs, or one of them was ended, or is stopped or hangs.
        KeyboardInterrupt: of Ctrl-C or SIGTERM; with what they had to say of it, if they ended in order.
        Exception: whatever one of them raised.
    """
    check_gpus(processes)
    store, port = None, node.port
    if listener := node.listener():
        port = int(listener.getsockname()[1])
        store = dist.TCPStore(  # type: ignore[attr-defined]
            "127.0.0.1", port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
        )
    ranks: list[_Rank] = []
    with terminable(), _ended(ranks):
        for local in range(processes):
            with without_interrupts():  # the list must have it
                ranks.append(_Rank(node.environment(local, processes, port)))
        for one in ranks:
            one.give(_member, (function, arguments))
        with noted(lambda: _tell(ranks)) as wish:
            result: Result = _await(ranks, wish)
    del store
    return result


def _member(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    """The job of a process that :func:`launch` started."""
    return distributed(lambda: function(*arguments))


class _Rank:
    """A process that was started, with what is known of it."""

    def __init__(self, told: dict[str, str]) -> None:
        self.rank, self.at, self.last = int(told["RANK"]), At(), ""
        self.done: Done | None = None
        self.failed: Failed | None = None
        self.connection, theirs = Pipe()
        environment = os.environ | told | {"KMERL_WATCHED": "1"}
        environment.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does
        program = _PROGRAM.format(path=[path or str(Path.cwd()) for path in sys.path], descriptor=theirs.fileno())
        quiet = self.rank > 0  # of a run only the first speaks, but what another one said last may tell why it ended
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *sys.argv],  # the arguments are for who lists processes
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            pass_fds=[theirs.fileno()],
            env=environment,
            preexec_fn=bound(),
        )
        theirs.close()
        self._log: deque[str] = deque(maxlen=60)
        if self.process.stdout is not None:
            Thread(target=self._keep_log, args=(self.process.stdout,), daemon=True).start()

    def give(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Send it its job."""
        with suppress(OSError):  # if it has ended, that is seen later
            send_job(self.connection, function, arguments)

    def hear(self) -> bool:
        """Take in what it told; whether it got on."""
        before = self.at, self.done, self.failed
        with suppress(EOFError, OSError):
            while self.connection.poll():
                told = self.connection.recv()
                if isinstance(told, At):
                    self.at = told
                elif isinstance(told, Done):
                    self.done = told
                else:
                    self.failed = told
        return before != (self.at, self.done, self.failed)

    def died(self) -> str:
        """How it ended without telling why, in words; empty if it did not."""
        status = self.process.poll()
        self.hear()  # what it told before it ended
        if status is None or self.failed is not None or (status == 0 and self.done is not None):
            return ""
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
        memory = ", perhaps for want of memory" if status == -signal.SIGKILL else ""
        lines = [" ".join(line.split()) for line in self._log if line.strip()]
        said = next((line for line in reversed(lines) if "rror" in line), lines[-1] if lines else "")
        return f"{self} {how}{memory}{f' ({said[:300]})' if said else ''}"

    def _keep_log(self, file: IO[bytes]) -> None:
        for text in file:
            self._log.append(text.decode("utf-8", "replace"))

    def __str__(self) -> str:
        return f"rank {self.rank} (process {self.process.pid})"


@contextmanager
def _ended(ranks: list[_Rank]) -> Iterator[None]:
    """After the block none of them is alive."""
    try:
        yield
    finally:
        with without_interrupts(signal.SIGTERM):
            for one in ranks:
                one.process.kill()
            for one in ranks:
                with suppress(subprocess.TimeoutExpired):  # one that waits for a disk ends when it can
                    one.process.wait(10)
                one.connection.close()


def _tell(ranks: list[_Rank]) -> None:
    """Pass on to all that they are to end."""
    for one in ranks:
        one.process.terminate()


def _await(ranks: list[_Rank], wish: Wish) -> Any:
    """Wait until all have ended well.

    Raises:
        UserError, Exception: as :func:`launch`.
    """
    looking, quiet, before = Looking(), 0.0, time.monotonic()
    while any(one.process.poll() is None or not one.done for one in ranks):
        connection.wait([one.connection for one in ranks if one.process.poll() is None], _TICK_SECONDS)
        got_on = [one.hear() for one in ranks]
        if any(one.failed or one.died() for one in ranks):
            _raise_cause(ranks, wish)
        if stopped := looking.stopped():
            raise UserError(
                f"{_whose(stopped, ranks)} was stopped (SIGSTOP) for {children.STOPPED_SECONDS:g} s and the others "
                f"wait for it; {_RUN_AGAIN}"
            )
        now = time.monotonic()
        # time in which this process was itself stopped does not count
        quiet, before = 0.0 if any(got_on) else quiet + min(now - before, 2 * _TICK_SECONDS), now
        if quiet > HUNG_SECONDS:
            raise UserError(f"for {HUNG_SECONDS:g} s no process got on: {_hung(ranks)}; {_RUN_AGAIN}")
    return ranks[0].done.result if ranks[0].done else None


def _raise_cause(ranks: list[_Rank], wish: Wish) -> None:
    """Raise what went wrong first: an error of one process makes others fail that wait for it.

    One that was told to end and had nothing to keep ended without a word.
    """
    end = time.monotonic() + _GRACE_SECONDS
    while True:
        for one in ranks:
            one.hear()
        if own := next((one.failed for one in ranks if one.failed and not one.failed.lost), None):
            raise _chained(own)
        if died := [said for one in ranks if (said := one.died())]:
            if wish.told:
                raise KeyboardInterrupt
            raise UserError(f"{'; '.join(died)}; {_RUN_AGAIN}")
        if time.monotonic() > end:
            failed = _chained(next(one.failed for one in ranks if one.failed))
            raise UserError(f"the processes lost each other: {str(failed).splitlines()[0]}; {_RUN_AGAIN}") from failed
        time.sleep(0.05)


def _chained(failed: Failed) -> BaseException:
    """The exception as it was raised there, caused by what caused it there; last comes its traceback as text."""
    for one, cause in pairwise([*failed.errors, RuntimeError(f"in that process\n{failed.text}")]):
        one.__cause__ = cause
    return failed.errors[0]


def _whose(process: Any, ranks: list[_Rank]) -> str:
    """A process in words: one of ``ranks``, or one that such a one started."""
    above = {process.pid}
    with suppress(psutil.Error):
        above |= {parent.pid for parent in process.parents()}
    one = next((one for one in ranks if one.process.pid in above), None)
    if one is None or one.process.pid == process.pid:
        return str(one or f"process {process.pid}")
    return f"process {process.pid}, which works for {one},"


def _hung(ranks: list[_Rank]) -> str:
    """Which processes are behind the others, and what they do."""
    left = [one for one in ranks if not one.done] or ranks
    least = min(one.at for one in left)
    behind = [one for one in left if one.at == least]
    if len(behind) == len(ranks):
        return f"each {least}"
    return f"{', '.join(map(str, behind))} {least}, and the others wait"
