"""What a campaign does to a project: kills, damage, a full disk, two engines at once, edits while a run goes on.

Each fault is a function of a :class:`Case`; it may run engines, and leaves parameters as it likes: the campaign
restores them, lets an engine run to its end, and compares every byte with a clean run's.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.engines.project import ENGINES, Project

PATIENCE = 600  # s that a run may take to end by itself
EDITS = {
    "quality": (r"^(  examples: )1\b", range(2, 40), 4),
    "random_convolutions": (r"^(  kernels: )50$", range(11, 999), 3),
    "linear_probe": (r"^(  epochs: )5$", range(6, 60), 3),
    "partial_leads": (r"^(  records: )10\b", range(3, 60), 3),
    "evaluation": (r"^(  bootstrap: )100\b", range(101, 9999), 2),
    "pretrain": (r"^(    steps: )8\b", range(4, 40), 1),
    "preprocess": (r"^(  shard_records: )32\b", range(11, 999), 0.5),
}
"""What becomes stale -> where its value stands in ``params.yaml`` of the profile `tiny`, other values, how often."""


@dataclass
class Case:
    """One trial.

    Attributes:
        project: the finished pipeline, to be harmed.
        draw: the generator of all choices.
        done: what was done, in words.
        said: what the engines printed meanwhile.
    """

    project: Project
    draw: random.Random
    done: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        record = self.project.record()  # now, as it may be harmed later
        self._outs = [out["path"] for entry in record.values() for out in entry["outs"]]

    @property
    def folder(self) -> Path:
        return self.project.folder

    def note(self, text: str) -> None:
        self.done.append(text)

    def edit(self) -> None:
        """Give a parameter a value that it never had, so that something has to be computed."""
        params = self.folder / "params.yaml"
        (place,) = self.draw.choices(list(EDITS), [often for _, _, often in EDITS.values()])
        pattern, values, _ = EDITS[place]
        value = self.draw.choice(values)
        text, changed = re.subn(pattern, rf"\g<1>{value}", params.read_text(), flags=re.MULTILINE)
        assert changed, f"params.yaml has no {pattern}"
        params.write_text(text)
        self.note(f"edit {place}={value}")

    def lose(self) -> None:
        """Remove an output, or all that is known of some stages, so that they are restored or computed again."""
        outs = self.outs()
        chosen = self.draw.sample(outs, self.draw.randrange(1, 4))
        for path in chosen:
            _remove(self.folder / path)
        self.note(f"rm {' '.join(chosen)}")
        if self.draw.random() < 0.4:
            _remove(self.folder / ".dvc/cache/runs")
            self.note("rm run cache")

    def outs(self) -> list[str]:
        """The outputs that lie in ``data/`` and ``results/``."""
        return [path for path in self._outs if (self.folder / path).exists()]

    def something_to_do(self) -> None:
        """Make something stale, missing, or nothing at all."""
        for act in self.draw.choice([[self.edit], [self.edit], [self.lose], [self.edit, self.lose], []]):
            act()

    def engine(self) -> str:
        return self.draw.choice(sorted(ENGINES))

    def start(self, engine: str) -> "subprocess.Popen[str]":
        self.note(engine)
        return self.project.start(*ENGINES[engine])

    def finish(self, process: "subprocess.Popen[str]") -> int:
        """Wait for a run's end; a run that does not end is a failure.

        Raises:
            AssertionError: it did not.
        """
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            self.said.append(said)
            raise AssertionError(f"did not end within {PATIENCE} s") from None
        self.said.append(said)
        return process.returncode

    def run(self, engine: str) -> int:
        return self.finish(self.start(engine))


# --------------------------------------------------------------------------------------------------------------- kills


def kill(case: Case) -> None:
    """A process, a group, a stage or a job gets a signal at some moment; some cases do so in several runs in turn."""
    case.something_to_do()
    for _ in range(case.draw.choice([1, 1, 1, 2])):
        engine = case.engine()
        process = case.start(engine)
        who = case.draw.choice(["process", "group", "stage", *(["job"] if engine == "snakemake" else [])])
        _until(process, who, case.draw.choice([case.draw.uniform(0, 4), case.draw.uniform(0, 15)]))
        name = case.draw.choice(["SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGINT twice"])
        number = signal.Signals[name.split()[0]]
        hit = _send(process, who, number)
        case.note(f"{name} to {who}: {hit} hit")
        if name == "SIGINT twice":
            wait(process, case.draw.uniform(0, 2))
            _send(process, who, number)
        case.finish(process)


def _send(process: "subprocess.Popen[str]", who: str, number: int) -> int:
    """Send a signal; returns how many processes it went to."""
    try:
        if who == "group":
            os.killpg(process.pid, number)
        chosen = [] if who == "group" else _named(process, who)
        for one in chosen:
            one.send_signal(number)
        return len(chosen) or int(who == "group")
    except (psutil.Error, ProcessLookupError):
        return 0


MARKS = {"stage": "-m stages", "job": "workflow.run"}


def _named(process: "subprocess.Popen[str]", who: str) -> list[psutil.Process]:
    """The processes of a run that are its stages, its jobs, or the one that was started."""
    try:
        main = psutil.Process(process.pid)
        below = main.children(recursive=True)
        return [main] if who == "process" else [one for one in below if MARKS[who] in " ".join(one.cmdline())]
    except psutil.Error:
        return []


def _until(process: "subprocess.Popen[str]", who: str, seconds: float) -> None:
    """Some time after a run's start, and not before it has a stage or a job if one is to be hit."""
    end = time.monotonic() + 60
    while who in MARKS and process.poll() is None and time.monotonic() < end and not _named(process, who):
        time.sleep(0.05)
    wait(process, seconds / 4 if who in MARKS else seconds)


def wait(process: "subprocess.Popen[str]", seconds: float) -> None:
    """Until the time has passed or the process has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)


# -------------------------------------------------------------------------------------------------------------- damage


def damage(case: Case) -> None:
    """Files are cut, emptied, overwritten in places or lost while nothing runs."""
    if case.draw.random() < 0.5:
        case.something_to_do()
    for _ in range(case.draw.choice([1, 1, 2, 5])):
        path = _victim(case)
        how = case.draw.choice(["cut", "flip", "flip", "empty", "lose"])
        _harm(path, how, case.draw)
        case.note(f"{how} {path.relative_to(case.folder)}")


def _victim(case: Case) -> Path:
    kinds: dict[str, Callable[[], Iterator[Path]]] = {
        "outputs": lambda: _files(*(case.folder / path for path in case.outs())),
        "cache": lambda: _files(case.folder / ".dvc/cache/files"),
        "folders in the cache": lambda: (case.folder / ".dvc/cache/files").rglob("*.dir"),
        "run cache": lambda: _files(case.folder / ".dvc/cache/runs"),
        "record": lambda: _files(case.folder / "dvc.lock"),
        "locks": lambda: _files(case.folder / ".dvc/tmp/rwlock", case.folder / ".dvc/tmp/dvc.lock"),
        "manifests": lambda: _files(case.folder / "data/manifests"),
        "checkpoints": lambda: _files(case.folder / "data/runs", case.folder / ".scratch"),
        "Snakemake's": lambda: _files(case.folder / ".snakemake"),
    }
    while True:
        found = sorted(kinds[case.draw.choice(sorted(kinds))]())
        if found:
            return case.draw.choice(found)


def _files(*roots: Path) -> Iterator[Path]:
    for root in roots:
        yield from (path for path in [root, *root.rglob("*")] if path.is_file() and not path.is_symlink())


def _harm(path: Path, how: str, draw: random.Random) -> None:
    """In place, as a disk or a careless program would: a write-protected file keeps its mode and its other names."""
    if how == "lose":
        path.unlink(missing_ok=True)
        return
    if not path.exists():
        return
    mode = path.stat().st_mode
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    with path.open("r+b") as file:
        if how == "cut" or how == "empty" or not content:
            file.truncate(draw.randrange(len(content)) if how == "cut" and content else 0)
        else:
            place = draw.randrange(len(content))
            file.seek(place)
            file.write(bytes([content[place] ^ 1 << draw.randrange(8)]))
    path.chmod(mode)


# -------------------------------------------------------------------------------------------- disk, engines, parameters


def full_disk(case: Case) -> None:
    """A run meets a file system that is nearly full; then there is space again."""
    with _small_disk(case):
        case.something_to_do()
        case.run(case.engine())


@contextmanager
def _small_disk(case: Case) -> Iterator[None]:
    """Fill the file system of the project, a small one of its own, but for some bytes."""
    ballast = case.folder / ".ballast"
    status = os.statvfs(case.folder)
    leave = case.draw.choice([0, 4096, 1 << 16, 1 << 20, 4 << 20])
    size = max(0, status.f_bavail * status.f_frsize - leave)
    case.note(f"{leave} bytes free")
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size) if size else None
    try:
        yield
    finally:
        ballast.unlink()


def two_engines(case: Case) -> None:
    """Two engines begin at nearly the same time."""
    case.something_to_do()
    first = case.start(case.engine())
    wait(first, case.draw.uniform(0, 6))
    second = case.start(case.engine())
    # both are read, or one could wait for the other to be read
    case.finish(second)
    case.finish(first)


def edits(case: Case) -> None:
    """Parameters are changed while a run goes on, and back."""
    params = case.folder / "params.yaml"
    before = params.read_text()
    case.something_to_do()
    process = case.start(case.engine())
    for _ in range(case.draw.randrange(1, 4)):
        wait(process, case.draw.uniform(0, 8))
        if case.draw.random() < 0.5:
            params.write_text(before)
            case.note("edit back")
        else:
            params.write_text(before)
            case.edit()
    case.finish(process)


FAULTS: dict[str, Callable[[Case], None]] = {
    "kill": kill,
    "damage": damage,
    "full disk": full_disk,
    "two engines": two_engines,
    "edits": edits,
}
WEIGHTS = {"kill": 5, "damage": 4, "full disk": 1, "two engines": 1, "edits": 1}


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
