"""Run stages under faults: ``python tests/faults.py PROJECT``; each in a fork of one process that imported everything.

A case comes as a line of JSON on stdin, and what became of it goes to stdout. Two processes work on a case: the stage,
and one that puts it into its circumstances, waits for it and looks at what it left. Where the system permits, both
have mounts of their own, which end with them.
"""

import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNSHARE_MOUNTS, UNSHARE_USERS = 0x20000, 0x10000000
READ_ONLY, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 32, 4096, 16384, 1 << 18
OPENED, OF_FOLDER = 0x20, 0x40000000  # of inotify
PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE = 300  # s
HARMLESS = {Path("/proc/self/comm").read_text().strip(), "jemalloc_bg_thd", "polars-ooc-clea"}  # started by imports


@dataclass(frozen=True)
class Outcome:
    """What became of a stage.

    Attributes:
        status: of its exit; negative if a signal ended it.
        said, complained: its stdout and stderr.
        outs: output -> digest as DVC records it, None if it is not there.
        left: temporary files and folders beside its outputs.
        opened: the files of its inputs that it opened; None if the system does not tell.
        by: how the fault was made.
    """

    status: int
    said: str
    complained: str
    outs: dict[str, str | None]
    left: list[str]
    opened: list[str] | None
    by: str


class Server:
    """The process that has imported everything."""

    def __init__(self, project: Path) -> None:
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")} | {"POLARS_MAX_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(project)], stdin=-1, stdout=-1, text=True, env=os.environ | one
        )

    def run(self, folder: Path, command: list[str], fault: str, ins: list[str], outs: list[str]) -> Outcome:
        """Run ``python -m stages COMMAND`` in ``folder`` under a fault: "", "kill", "full" or "read-only"."""
        case = {"folder": str(folder), "command": command, "fault": fault, "ins": ins, "outs": outs}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(case), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return Outcome(**json.loads(line))

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# ------------------------------------------------------------------------------------------------ within the server


def serve(project: Path) -> None:
    os.chdir(project)
    sys.path.insert(0, str(project))
    for file in sorted((project / "stages").glob("[_a-z]*.py")):
        importlib.import_module(f"stages.{file.stem}")
    learn(["kmerl.params", "workflow.damage", "workflow.plan"])
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        case = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.close(reading)
            supervise(case, writing)
        os.close(writing)
        with os.fdopen(reading) as told:
            outcome = json.loads(told.read() or "{}")
        os.waitpid(child, 0)
        learn(outcome.pop("modules", []))
        print(json.dumps(outcome), file=reply, flush=True)


def learn(modules: list[str]) -> None:
    """Import what a stage had to import in its own process, so that the next fork has it."""
    for name in modules:
        with suppress(Exception):
            importlib.import_module(name)
    threads = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
    assert threads <= HARMLESS, f"a fork of a process with the threads {threads} may hang"


def supervise(case: dict[str, Any], writing: int) -> None:
    """Put a stage into its circumstances, run it, tell what became of it, and end."""
    try:
        with os.fdopen(writing, "w") as told:
            print(json.dumps(watch(case)), file=told, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def watch(case: dict[str, Any]) -> dict[str, Any]:
    folder, outs = Path(case["folder"]), case["outs"]
    os.chdir(folder)
    by, limit = "", resource.RLIM_INFINITY
    if case["fault"] == "full":
        by = fill_up(folder)
        limit = PAGE // 4 if by == "RLIMIT_FSIZE" else limit
    elif case["fault"] == "read-only":
        by = make_read_only({str(Path(out).parent) for out in outs})
    opened = watch_opens(case["ins"])
    streams = [os.memfd_create(name) for name in ("out", "err", "modules")]
    child = os.fork()
    if not child:
        os.dup2(streams[0], 1)
        os.dup2(streams[1], 2)
        if case["fault"] == "kill":
            kill_at_the_last_of(outs)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        signal.alarm(PATIENCE)
        known = set(sys.modules)
        status = stage(case["command"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.write(streams[2], json.dumps([name for name in sys.modules if name not in known]).encode())
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said, complained, modules = (os.pread(stream, 1 << 24, 0).decode() for stream in streams)
    digest = importlib.import_module("workflow.damage").digest
    found = {out: digest(Path(out)) if Path(out).exists() else None for out in outs}
    left = [str(path) for parent in {Path(out).parent for out in outs} for path in parent.glob(".*.partial")]
    return {
        "status": status, "said": said, "complained": complained, "outs": found, "left": sorted(left),
        "opened": opened(), "by": by, "modules": json.loads(modules or "[]"),
    }  # fmt: skip


def stage(command: list[str]) -> int:
    try:
        status: int = importlib.import_module("stages.__main__").main(command)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def kill_at_the_last_of(outs: list[str]) -> None:
    """End this process when everything is written and the last output is about to get its name."""
    missing = {os.path.abspath(out) for out in outs}  # noqa: PTH100 (a link must not be followed)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            missing.discard(os.path.abspath(os.fsdecode(arguments[1])))  # noqa: PTH100
            if not missing:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def own_mounts() -> bool:
    """Give this process mounts of its own, if the system permits.

    Not for a process with threads: from then on its main thread has a working folder of its own, which they do not see.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(UNSHARE_MOUNTS | (UNSHARE_USERS if user else 0)):
        return False
    if user:
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        except OSError:  # some containers let nobody map users
            return False
    return libc.mount(None, b"/", None, RECURSIVE | PRIVATE, None) == 0


def own_disk(place: Path, size: int) -> Path | None:
    """Mount a file system in memory at ``place``, for this process and its children only; None if that is forbidden."""
    place.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if not own_mounts() or libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, f"size={size}".encode()):
        return None
    return place


def fill_up(folder: Path) -> str:
    """Go to a file system in memory that shows what ``folder`` holds, outputs left out, and has one free page."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = folder.with_name(f"{folder.name}-full")
    place.mkdir(exist_ok=True)
    if not own_mounts() or libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, f"size={64 * PAGE}".encode()):
        return "RLIMIT_FSIZE"
    for path in folder.rglob("*"):
        target = place / path.relative_to(folder)
        if path.is_dir() and not path.is_symlink():
            target.mkdir()
        else:
            target.symlink_to(path)
    os.chdir(place)
    with (place / "full").open("wb") as file:
        while os.statvfs(place).f_bfree > 1:
            file.write(bytes(PAGE))
            file.flush()
    return "tmpfs"


def make_read_only(folders: set[str]) -> str:
    """Forbid to write into ``folders``."""
    libc = ctypes.CDLL(None, use_errno=True)
    paths = [os.fsencode(folder) for folder in folders]
    if own_mounts() and not any(
        libc.mount(path, path, None, BIND, None) or libc.mount(None, path, None, REMOUNT | BIND | READ_ONLY, None)
        for path in paths
    ):
        return "mount"
    if os.getuid() == 0:
        return ""
    for folder in folders:
        Path(folder).chmod(0o555)
    return "permissions"


def watch_opens(ins: list[str]) -> Callable[[], list[str] | None]:
    """Notice which files below ``ins`` are opened from now on; the function returned tells them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not sys.platform.startswith("linux"):
        return lambda: None
    number = libc.inotify_init1(os.O_NONBLOCK)
    names: dict[int, str] = {}
    for path in ins:
        for folder in [path, *(str(below) for below in Path(path).rglob("*") if below.is_dir())]:
            names[libc.inotify_add_watch(number, os.fsencode(folder), OPENED)] = folder

    def opened() -> list[str] | None:
        found = set()
        while True:
            try:
                data = os.read(number, 1 << 16)
            except BlockingIOError:
                return sorted(found)
            while data:
                watched, mask, length = (int.from_bytes(data[at : at + 4], sys.byteorder) for at in (0, 4, 12))
                name = os.fsdecode(data[16 : 16 + length].rstrip(b"\0"))
                data = data[16 + length :]
                if watched in names and not mask & OF_FOLDER:
                    found.add(f"{names[watched]}/{name}" if name else names[watched])

    return opened


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
