"""Clear away what removed stages and killed runs left, which a fresh clone would not have.

Some stages read a whole folder of others' outputs, ``data/runs`` for one. The outputs of a run that is no longer in
``params.yaml`` would still count for them there. They are moved, not deleted, as DVC's cache may not have them, and are
kept for a month.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from kmerl.artifacts import remove
from kmerl.escapes import printable

ASIDE = Path(".scratch/removed")  # a folder for each day
KEPT = timedelta(days=30)
LOCKS = Path(".dvc/tmp/rwlock")
NOTES = Path(".snakemake/metadata")


def clear_away(made: Iterable[str], read: Iterable[str]) -> None:
    """Move aside or delete leftovers, and say so.

    Args:
        made: outputs of the stages.
        read: what stages read.
    """
    outputs, today = {Path(path) for path in made}, datetime.now().date()
    for path in unmade(outputs, {Path(path) for path in read}):
        target = ASIDE / today.isoformat() / path
        target.parent.mkdir(parents=True, exist_ok=True)
        remove(target)
        path.rename(target)
        print(printable(f"{path}: no stage makes it any more; moved to {target}"), flush=True)
    for path in unfinished(outputs):
        remove(path)
        print(printable(f"{path}: left by a killed run; deleted"), flush=True)
    for folder in ASIDE.glob("*"):
        if folder.name < (today - KEPT).isoformat():
            remove(folder)
    drop_unreadable(NOTES)


def unmade(outputs: set[Path], read: set[Path]) -> Iterator[Path]:
    """What lies beside outputs in the folders that stages read as a whole."""
    for folder in sorted(read - outputs):
        if any(folder in path.parents for path in outputs) and folder.is_dir():
            yield from _unmade(folder, outputs)


def _unmade(folder: Path, outputs: set[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path in outputs or path.name[0] == ".":
            continue
        if path.is_dir() and any(path in one.parents for one in outputs):
            yield from _unmade(path, outputs)
        else:
            yield path


def unfinished(outputs: set[Path]) -> Iterator[Path]:
    """Temporary files and folders beside outputs (``kmerl.artifacts.whole``) whose process is no more."""
    for folder in sorted({path.parent for path in outputs}):
        for path in sorted(folder.glob(".*.partial")):
            process = re.fullmatch(r"\..+\.(\d+)\.partial", path.name)
            if process and not running(int(process[1])):
                yield path


def drop_unreadable(notes: Path) -> None:
    """Delete what Snakemake noted of an output where it is damaged: Snakemake would not start, and can do without."""
    for path in notes.rglob("*"):
        try:
            if path.is_file():
                json.loads(path.read_bytes())
        except (OSError, ValueError):
            path.unlink(missing_ok=True)


def release_locks(path: Path) -> None:
    """Take killed processes out of DVC's list of who reads and writes what.

    DVC does so only if no process has the number. In a container a killed process often stays as a zombie, because
    nobody waits for it, and after a restart another program soon has the number.
    """
    try:
        locks: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):  # no locks, or DVC is writing them at this moment
        return
    write, read = locks.get("write", {}), locks.get("read", {})
    live = {file: [holder for holder in holders if _holds(holder)] for file, holders in read.items()}
    kept = {
        "write": {file: holder for file, holder in write.items() if _holds(holder)},
        "read": {file: holders for file, holders in live.items() if holders},
    }
    if kept != {"write": write, "read": read}:
        temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
        temporary.write_text(json.dumps(kept), "utf-8")
        temporary.replace(path)


def _holds(holder: dict[str, Any]) -> bool:
    """Whether the process that DVC noted as the holder of a lock is there and is still one of an engine."""
    number = int(holder["pid"])
    try:
        command = " ".join(psutil.Process(number).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # someone else's
        return True
    return running(number) and ("dvc" in command or "snakemake" in command)


def running(process: int) -> bool:
    """Whether there is a process of this number that has not ended."""
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # someone else's
        return True
