"""Run one stage for Snakemake: ``python -m workflow.run STAGE LOG [THREADS [GPUS]]``.

Everything goes to the log; the terminal gets the stage's own lines: its progress, its summary, or its message if it
fails. They begin with its name. DVC runs in this process, as starting another one for it would take longer.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kmerl.naming import checked
from stages.__main__ import ERROR
from workflow.commands import Stops
from workflow.gpus import present, taken

GPUS = Path(".dvc/tmp/gpus")


def main(stage: str, log: str, threads: str | None = None, gpus: str = "0") -> int:
    """Returns DVC's exit status. A stage of several processes finds in KMERL_THREADS how many it may have.

    A stage that asked for GPUs sees so many that no other job has; one that asked for none sees what there is.

    Before a stage runs, DVC clears its outputs, whose paths its name is part of.
    """
    try:
        for part in stage.split("@", 1):
            checked(part)
    except ValueError as error:
        print(f"{ERROR}{error}", file=sys.stderr)
        return 1
    if threads is not None:
        os.environ["KMERL_THREADS"] = threads

    def say(line: str) -> None:
        print(f"{stage}: {line}", flush=True)

    stops = Stops(stage)
    stops.allow()
    print(f"{stage}: started, see {log}", flush=True)
    shown: list[str] = []
    status: int = 1
    try:
        with ExitStack() as held, passed_on(stage, Path(log), shown):
            if int(gpus) and (names := present()):
                mine = held.enter_context(taken(int(gpus), names, GPUS, say))
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
            from dvc.cli import main as dvc

            from workflow.guard import guard

            guard(say)
            stops.started = True
            status = dvc(["--wait-for-lock", "repro", "--single-item", stage])
    except OSError as error:
        from kmerl.artifacts import remedy

        print(f"{stage}: {ERROR}{error.filename or log}: {remedy(error) or error} and run again", file=sys.stderr)
        return 1
    if status == 0 and not shown:
        print(f"{stage}: nothing to compute, outputs are as recorded", flush=True)
    elif status and not (shown and shown[-1].startswith(f"{stage}: {ERROR}")):
        print(f"{stage}: failed; the end of {log} says why", file=sys.stderr, flush=True)
    return status


@contextmanager
def passed_on(stage: str, log: Path, shown: list[str]) -> Iterator[None]:
    """Send what this process and its children write to ``log``, and the stage's own lines to the terminal as well.

    Args:
        stage: whose lines are shown.
        log: a file to write.
        shown: gets these lines.

    Raises:
        OSError: the log cannot be made.
    """
    sys.stdout.flush()
    file = log.open("wb", buffering=0)
    terminal, errors = os.dup(1), os.dup(2)
    reading, writing = os.pipe()

    def copy() -> None:
        with file, os.fdopen(reading, "rb") as lines:
            for line in lines:
                with suppress(OSError):  # on a full disk the log is cut, and the stage says so
                    file.write(line)
                if line.startswith(f"{stage}: ".encode()):
                    shown.append(line.decode("utf-8", "replace"))
                    os.write(terminal, line)

    copier = threading.Thread(target=copy)
    copier.start()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(terminal, 1)  # the copier is at its end when nobody holds the pipe any more
        os.dup2(errors, 2)
        copier.join()
        os.close(terminal)
        os.close(errors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
