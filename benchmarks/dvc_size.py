"""DVC at size: a folder of many files through both engines, under each ``cache.type``, as root and as an ordinary user.

``python benchmarks/dvc_size.py`` takes about ten minutes and 8 GB of disk, prints its tables and writes them between
the markers of ``docs/dvc_size.md``. Root measures more: an ordinary user as well, and an XFS file system in a file,
which has reflinks, where the working one has none. All of it is in a temporary folder and gone at its end.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from disk import file_system, link_of, remove, temporary, used  # noqa: E402
from engines.project import LARGE, toy  # noqa: E402
from faults import own_mounts  # noqa: E402

PAGE, MARKS = ROOT / "docs/dvc_size.md", ("<!-- measured -->", "<!-- end of what was measured -->")
NOBODY = 65534
GIB, TARGET = 1 << 30, 100e9
TYPES = ["reflink", "hardlink", "copy", "hardlink,copy", "reflink,hardlink,copy"]  # the last is the project's own
ENGINES = {
    "snakemake": {"run": "snakemake --cores 2", "ask": "snakemake -n", "restore": "snakemake --cores 2"},
    "dvc": {"run": "dvc repro", "ask": "dvc status", "restore": "dvc checkout"},
}
DATA, CACHE, DAMAGED, LOST = "data/waveforms", ".dvc/cache/files/md5", "shard-00000.bin", "shard-00001.bin"
REFUSED = "ProtectedOutputException"
UNKNOWN = "-"


# ---------------------------------------------------------------------------------------------- one case: a project


class Case:
    """The large toy in a folder of its own, one ``cache.type`` and one engine.

    Args:
        place: a folder for the project and its state.
        files, size: how many files the first stage writes, and the bytes of each.
        link: the value of ``cache.type``.
        engine: "snakemake" or "dvc".
    """

    def __init__(self, place: Path, files: int, size: int, link: str, engine: str) -> None:
        self.place = place
        self.project = toy(place / "project", LARGE)
        self.project.replace("params.yaml", "files: 4", f"files: {files}")
        self.project.replace("params.yaml", "size: 1048576", f"size: {size}")
        self.link, self.words = link, ENGINES[engine]
        self.file = self.project.folder / DATA / DAMAGED
        self.configure()

    def configure(self, jobs: int | None = None) -> None:
        """Write DVC's settings of this copy alone, as ``dvc config --local`` does."""
        core = f"[core]\n    checksum_jobs = {jobs}\n" if jobs else ""
        (self.project.folder / ".dvc/config.local").write_text(f"{core}[cache]\n    type = {self.link}\n")

    def time(self, what: str, check: bool = True) -> tuple[float, str]:
        """Seconds that a command takes until what it wrote is on disk, and what it said."""
        self.flush()
        start = time.perf_counter()
        said = self.project.run(*self.words.get(what, what).split(), check=check).stdout
        self.flush()
        return time.perf_counter() - start, said

    def flush(self) -> None:
        """Write to disk what is waiting for it; of this file system alone, as others may be busy."""
        subprocess.run(["sync", "-f", str(self.place)], check=True)

    def bare(self) -> float:
        """Seconds of the two stages without an engine."""
        if (data := self.project.folder / "data").exists():
            remove(data)
        return self.time("python -m stages write")[0] + self.time("python -m stages read")[0]

    def restore(self) -> float:
        """Seconds to bring the deleted folder back from the cache."""
        remove(self.file.parent)
        self.project.computed()
        seconds, said = self.time("restore", check=False)
        if REFUSED in said:
            (self.project.folder / "data/sums.json").unlink()
            seconds = self.time("restore")[0]
        assert self.project.computed() == [], "the stages ran"
        return seconds

    def refuses(self) -> bool:
        """Whether Snakemake refuses to restore a file that is missing, as another output is write-protected."""
        (self.file.parent / LOST).unlink()
        return REFUSED in self.time("snakemake -n", check=False)[1]

    def cached(self, content: bytes) -> Path:
        """Where DVC's cache has a file."""
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self.project.folder / CACHE / md5[:2] / md5[2:]

    def used(self) -> float:
        """Disk that output and cache use, in multiples of the data."""
        size = sum(file.stat().st_size for file in self.file.parent.iterdir())
        return used(self.file.parent, self.project.folder / CACHE) / size

    def measure(self, repeats: int) -> dict[str, Any]:
        """All figures of a case; only ``failed`` if its first run fails."""
        first, said = self.time("run", check=False)
        if not self.file.exists():
            reason = re.search(r"No possible cache link types", said)
            return {"failed": reason[0] if reason else said.strip().splitlines()[-1]}
        content = self.file.read_bytes()
        cached = self.cached(content)
        row = {"first": first, "link": link_of(self.file, cached), "used": self.used()}
        row["ask"] = statistics.median(self.time("ask")[0] for _ in range(repeats))
        row["restore"] = statistics.median(self.restore() for _ in range(repeats))
        row |= {"restored_link": link_of(self.file, cached), "restored_used": self.used()}
        row["mode"] = f"{self.file.stat().st_mode & 0o777:o}"
        if self.words is ENGINES["snakemake"]:
            row["refused"] = self.refuses()
        return row | self.damage(content)

    def damage(self, content: bytes) -> dict[str, Any]:
        """Overwrite the beginning of a file in place, run the engine, and look at what became of it."""
        self.project.computed()
        try:
            with self.file.open("r+b") as file:
                file.write(b"damaged")
        except PermissionError:
            return {"overwritten": False}
        cache_damaged = self.cached(content).read_bytes() != content
        _, said = self.time("run")
        right = self.file.read_bytes() == content
        row = {"overwritten": True, "cache_damaged": cache_damaged, "made": self.project.computed(), "right": right}
        return row | {"said": "damaged in DVC's cache" in said} | ({} if right else self.aftermath(content))

    def aftermath(self, content: bytes) -> dict[str, Any]:
        """After ``dvc repro`` took a damaged file for a right one: what notices, and what helps."""
        noticed = bool(self.project.planned())  # the bridge asks `dvc status`
        self.file.touch()  # DVC hashes a file again if its time is another
        self.project.snakemake()
        return {"noticed_later": noticed, "touched_right": self.file.read_bytes() == content}

    def hashing(self, jobs: int) -> float:
        """Bytes that DVC hashes in a second: its answer without what it remembers, less its answer with it."""
        self.configure(jobs)
        known = statistics.median(self.time("dvc status")[0] for _ in range(2))
        seconds = []
        for _ in range(2):
            remove(Path(self.project.environment()["DVC_SITE_CACHE_DIR"]))
            seconds.append(self.time("dvc status")[0])
        size = sum(file.stat().st_size for file in self.file.parent.iterdir())
        return size / (statistics.median(seconds) - known)


# ------------------------------------------------------------------------------- one place as one user: many cases


def measure(task: dict[str, Any]) -> None:
    """Measure all cases of a task and write its rows as JSON."""
    here, rows = Path(task["folder"]), []
    os.environ["HOME"] = str(here)
    task["size"] = max(1, task["bytes"] // task["files"])

    @contextmanager
    def case(link: str, engine: str, size: int) -> Iterator[Case]:
        place = here / "case"
        place.mkdir()
        try:
            yield Case(place, task["files"], size, link, engine)
        finally:
            remove(place)

    with case("copy", "dvc", task["size"]) as one:
        bare = statistics.median(one.bare() for _ in range(task["repeats"]))
    for engine in task["engines"]:
        with case("copy", engine, 1) as one:
            fixed = one.time("run")[0] - one.bare()
        for link in task["types"]:
            with case(link, engine, task["size"]) as one:
                row = {"type": link, "engine": engine, "bare": bare, "fixed": fixed, **one.measure(task["repeats"])}
                rows.append(row)
                print(row, file=sys.stderr, flush=True)
    if task["hash"]:
        with case("hardlink", "dvc", task["size"]) as one:
            one.time("run")
            jobs = sorted({1, 2, os.cpu_count() or 1})
            rows.append({"hashing": {number: one.hashing(number) for number in jobs}})
    Path(task["answer"]).write_text(json.dumps(rows))


# ------------------------------------------------------------------------------------------------- places and users


def may_run(user: int) -> bool:
    """Whether a user may run this interpreter and read this project: root's home, for one, is closed to others."""
    code = "import pathlib, sys, dvc, snakemake; pathlib.Path(sys.argv[1]).read_text()"
    command = [sys.executable, "-B", "-c", code, str(ROOT / "tests/large/dvc.yaml")]
    try:
        return not subprocess.run(command, capture_output=True, cwd="/", **identity(user)).returncode
    except PermissionError:
        return False


def identity(user: int) -> dict[str, Any]:
    """What makes a process another user's."""
    return {"user": user, "group": user, "extra_groups": []} if user != os.getuid() else {}


@contextmanager
def xfs(folder: Path, size: int) -> Iterator[Path | None]:
    """An XFS file system in a file; it has reflinks. None if it cannot be mounted.

    It is the only thing that this program mounts. What mounts it has mounts of its own (:func:`own_mounts`), so nobody
    else sees it, and it ends with this process at the latest.
    """
    image, place = folder / "xfs.img", folder / "xfs"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(max(size, 400 << 20))
    try:
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
        subprocess.run(["mount", "-n", "-t", "xfs", "-o", "loop,discard", str(image), str(place)], check=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "-n", str(place)], check=True)  # if this fails, `remove` refuses to remove the folder


def ask(place: Path, user: int, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure in a folder of a user's own, as that user."""
    folder = place / f"as-{user}"
    folder.mkdir()
    os.chown(folder, user, user if user else -1)
    task = {**task, "folder": str(folder), "answer": str(folder / "answer.json")}
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    subprocess.run(command, check=True, cwd=folder, start_new_session=True, **identity(user))
    rows = json.loads(Path(task["answer"]).read_text())
    remove(folder)
    where = {"place": file_system(place), "user": "root" if user == 0 else "ordinary"}
    return [where | row for row in rows]


def measure_all(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows, and what could not be measured."""
    notes, rows, users = [], [], [os.getuid()]
    task = {name: getattr(options, name) for name in ("files", "bytes", "types", "engines", "repeats")}
    with temporary(options.folder) as folder:
        folder.chmod(0o755)
        if os.getuid():
            notes.append("Measured as an ordinary user only: root measures both.")
        elif may_run(NOBODY):
            users.append(NOBODY)
        else:
            notes.append("Measured as root only: an ordinary user may not run this interpreter or read this project.")
        for user in users:
            rows += ask(folder, user, {**task, "hash": user == users[0]})
        reflinking = [link for link in options.types if "reflink" in link]
        if reflinking and not any(row.get("link") == "reflink" for row in rows):
            missing = "Reflinks not measured: this file system has none, and XFS cannot be mounted here."
            if os.getuid() or not shutil.which("mkfs.xfs") or not own_mounts():
                notes.append(missing)
                return rows, notes
            with xfs(folder, 6 * options.bytes) as place:
                if not place:
                    notes.append(missing)
                for user in users if place else []:
                    rows += ask(place, user, {**task, "types": reflinking, "hash": False})
    return rows, notes


# ------------------------------------------------------------------------------------------------------------ tables


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def times(rows: list[dict[str, Any]], size: int) -> str:
    """What each case costs in time and disk."""
    head = ["file system", "user", "`cache.type`", "engine", "stages alone", "first run", "overhead", "per 100 GB"]
    head += ["nothing to do", "restore", "link: first, restored", "disk: first, restored"]
    lines = []
    for row in rows:
        line = [row["place"], row["user"], f"`{row['type']}`", row["engine"], f"{row['bare']:.1f} s"]
        if "failed" in row:
            lines.append([*line, f"fails: {row['failed']}", *[UNKNOWN] * 6])
            continue
        more = row["first"] - row["bare"]
        minutes = (more - row["fixed"]) * TARGET / size / 60
        grows = f"{minutes:.0f} min" if minutes > 0 else "lost in noise"
        line += [f"{row['first']:.1f} s", f"{more:.1f} s", grows, f"{row['ask']:.1f} s"]
        line += [f"{row['restore']:.1f} s", f"{row['link']}, {row['restored_link']}"]
        lines.append([*line, f"{row['used']:.2f} x, {row['restored_used']:.2f} x"])
    return table(head, lines)


def damages(rows: list[dict[str, Any]]) -> str:
    """What an overwriting in place does in each case."""
    head = ["file system", "user", "`cache.type`", "engine", "link, mode", "overwriting", "cache", "next run"]
    lines = []
    for row in rows:
        if "failed" in row:
            continue
        line = [row["place"], row["user"], f"`{row['type']}`", row["engine"]]
        line += [f"{row['restored_link']}, {row['mode']}"]
        if not row["overwritten"]:
            lines.append([*line, "permission denied", "intact", UNKNOWN])
            continue
        how = f"ran `{'`, `'.join(row['made'])}`" if row["made"] else "restored from the cache"
        result = f"{how}: right" if row["right"] else "**keeps the damaged file and says nothing**"
        lines.append([*line, "succeeds", "**damaged**" if row["cache_damaged"] else "intact", result])
    return table(head, lines)


def report(rows: list[dict[str, Any]], notes: list[str], options: argparse.Namespace, seconds: float) -> str:
    """The tables, and what they were made on."""
    cases = [row for row in rows if "type" in row]
    (rates,) = [row["hashing"] for row in rows if "hashing" in row]
    size = options.bytes // options.files * options.files
    hashing = table(
        ["`core.checksum_jobs`", "DVC hashes", "100 GB would take"],
        [[jobs, f"{rate / 1e6:.0f} MB/s", f"{TARGET / rate / 60:.1f} min"] for jobs, rate in rates.items()],
    )
    accepted = [row for row in cases if row.get("right") is False]
    after = ""
    if accepted:
        noticed = sum(row["noticed_later"] for row in accepted)
        mended = sum(row["touched_right"] for row in accepted)
        after = (
            f"After `dvc repro` kept a damaged file ({len(accepted)} cases), `snakemake -n`, which asks `dvc status`, "
            f"noticed it in {noticed} of them; `touch` on the file and then `snakemake` mended it in {mended}.\n\n"
        )
    refused = [f"`{row['type']}` on {row['place']} ({row['user']})" for row in cases if row.get("refused")]
    if refused:
        after += (
            "Once restored, Snakemake runs no stage again that makes a single file, as that has the write protection "
            f"of the cache: it ends with `{REFUSED}` under {', '.join(refused)}.\n\n"
        )
    made = (
        f"Made by `benchmarks/dvc_size.py`: {options.files} incompressible files, {size / GIB:.2f} GiB in all; "
        f"{os.cpu_count()} cores, {platform.machine()}, DVC {version('dvc')}, Snakemake {version('snakemake')}; "
        f"times until the data are on disk, measured {options.repeats}x (first runs 1x); files that are read are in "
        f"memory. XFS, if shown beside another, is in a file on that one. {seconds / 60:.0f} minutes in all. "
        f"{' '.join(notes)}".strip()
    )
    return f"{times(cases, size)}\n\n{damages(cases)}\n\n{after}{hashing}\n\n{made}"


def write(text: str) -> None:
    """Put the tables between the markers of the page."""
    before, rest = PAGE.read_text("utf-8").split(MARKS[0])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}", "utf-8")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="DVC at size: both engines under each cache.type.")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--bytes", type=int, default=GIB, help="of all files together")
    parser.add_argument("--types", nargs="+", default=TYPES, help="values of cache.type")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folder", help="where the temporary folder is made: its file system is measured")
    parser.add_argument("--print-only", action="store_true", help=f"leave {PAGE.relative_to(ROOT)} as it is")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        measure(json.loads(options.task))
        return
    start = time.perf_counter()
    rows, notes = measure_all(options)
    text = report(rows, notes, options, time.perf_counter() - start)
    if not options.print_only:
        write(text)
    print(text)


if __name__ == "__main__":
    main()
