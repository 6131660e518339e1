"""``dvc`` and ``snakemake`` as they are in the project's environment: ``python -m workflow.commands install``.

``make`` puts two small programs in the place of those that pip installs. In a folder of this project they come here,
and anywhere else they are what they were. Here they

* keep DVC's promises and repair what a kill left (``workflow/guard.py``), which Snakemake's side does by itself;
* check all parameters before DVC makes paths and commands of them, and write ``plan.yaml`` from them;
* end with one line when they are interrupted, at whatever moment, and where the home folder cannot be written.
"""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

SCRIPT = """#!/bin/sh
# Written by `make` (workflow/commands.py): the project's way into {name}; in other folders {name} as it is.
trap '' INT # until Python can tell it: an interrupt while it starts would end it with a traceback
exec '{python}' -c '
import runpy, signal, sys
from pathlib import Path

sys.argv[0] = "{name}"
here = Path.cwd()
root = next((str(one) for one in (here, *here.parents) if (one / "workflow/commands.py").is_file()), None)
if root:
    sys.path.insert(0, root)
    runpy.run_path(root + "/workflow/bytecode.py", {{"root": root}})
    from workflow.commands import run
    sys.exit(run("{name}"))
signal.signal(signal.SIGINT, signal.default_int_handler)
from {name}.cli import main
sys.exit(main())
' "$@"
"""
NAMES = ("dvc", "snakemake")
REPAIRED = ("repro", "status", "checkout", "commit", "push", "exp")
"""Commands of DVC before which it is looked whether everything can be read."""
STOPPED = 130


def install(folder: Path) -> None:
    """Write both programs into the environment's folder of programs."""
    for name in NAMES:
        target = folder / name
        target.unlink(missing_ok=True)  # perhaps a link into a shared place
        target.write_text(SCRIPT.format(python=sys.executable, name=name), "utf-8")
        target.chmod(0o755)


def run(name: str) -> int:
    """Run a program with this process' arguments; returns its exit status."""
    stops = Stops(name)
    stops.allow()
    writable_caches()
    logging.raiseExceptions = False  # a log that cannot be written is no reason for a traceback
    try:
        return _dvc(stops) if name == "dvc" else _snakemake(stops)
    except KeyboardInterrupt:
        return stops.said()


class Stops:
    """What an interrupt does: end at once while the program starts, and later let it end what it runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = False
        self.count = 0

    def allow(self) -> None:
        """From now on interrupts come here; until now they were held back, or ignored."""
        signal.signal(signal.SIGINT, self)
        if self.name != "snakemake":  # which has its own way, and lets jobs end
            signal.signal(signal.SIGTERM, self._pass_on)
        sys.unraisablehook = self._again
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def __call__(self, *_: Any) -> None:
        """Handle a signal."""
        self.count += 1
        if not self.started:
            self.said()
            os._exit(STOPPED)
        if self.count == 1:
            raise KeyboardInterrupt
        # what was begun ends by itself; a second exception in the midst of it would only be a traceback

    def _pass_on(self, *_: Any) -> None:
        """Let the stage that runs end in order, as a training run does in a scheduler's grace time; else end here.

        Without this it would be killed with this process, which it is bound to.
        """
        running = psutil.Process().children()
        for child in running:
            with suppress(psutil.Error):
                child.terminate()
        if not running:
            self()

    def _again(self, lost: Any) -> None:
        """Where Python drops an interrupt with a traceback (finalizers, forks), raise it again a moment later."""
        if lost.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(lost)
            return
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01)

    def said(self) -> int:
        """Tell of the stop; returns the exit status."""
        os.write(2, f"{self.name}: stopped; run it again when you like\n".encode())
        return STOPPED


def _dvc(stops: Stops) -> int:
    from dvc.cli import main

    if Path("dvc.yaml").is_file() and any(word in REPAIRED for word in sys.argv[1:]):
        from kmerl.errors import UserError
        from kmerl.params import load
        from workflow.guard import guard, repair
        from workflow.nogit import without_git
        from workflow.plan import refresh

        guard(lambda line: print(line, flush=True))
        without_git()
        try:
            # what only looks or copies is not kept from it by a wrong parameter
            with suppress(*[UserError] * bool({"status", "push"} & set(sys.argv[1:]))):
                refresh(load(Path("params.yaml")))
            repair()
        except UserError as error:
            print(f"dvc: {error}", file=sys.stderr)
            return 1
    stops.started = True
    status: int = main()
    return status


def _snakemake(stops: Stops) -> int:
    from snakemake.cli import main

    stops.started = True
    main()  # ends by SystemExit
    return 0


def writable_caches() -> None:
    """Where a user's or a machine's folder of caches cannot be written, use one within the project."""
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (there may be no home)
    site = os.environ.get("DVC_SITE_CACHE_DIR") or "/var/tmp/dvc"
    for variable, needed in (("XDG_CACHE_HOME", f"{user}/snakemake"), ("DVC_SITE_CACHE_DIR", f"{site}/repo")):
        try:
            Path(needed).mkdir(parents=True, exist_ok=True)
            usable = os.access(needed, os.W_OK | os.X_OK)
        except OSError:
            usable = False
        if not usable:
            os.environ[variable] = str(Path(".snakemake/caches", variable.lower()).absolute())


if __name__ == "__main__":
    install(Path(sys.executable).parent)
