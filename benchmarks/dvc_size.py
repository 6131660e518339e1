"""DVC at size: a folder of many files through both engines, under each ``cache.type``, as root and as an ordinary user.

``python benchmarks/dvc_size.py`` takes about ten minutes and 8 GB of disk, prints its tables and writes them between
the markers of ``docs/dvc_size.md``. Root measures more: an ordinary user as well, and an XFS file system in a file,
which has reflinks, where the working one has none. All of it is in a temporary folder and in mounts of this process's
own, and gone at its end.
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from engines.project import LARGE, toy  # noqa: E402
from faults import own_mounts  # noqa: E402

PAGE, MARKS = ROOT / "docs/dvc_size.md", ("<!-- measured -->", "<!-- end of what was measured -->")
NOBODY = 65534
GIB, TARGET = 1 << 30, 100e9
LIST = "reflink,hardlink,copy"  # the project's own setting
ENGINES = {
    "snakemake": {"run": "snakemake --cores 2", "ask": "snakemake -n", "restore": "snakemake --cores 2"},
    "dvc": {"run": "dvc repro", "ask": "dvc status", "restore": "dvc checkout"},
}
DATA, CACHE, DAMAGED = "data/waveforms", ".dvc/cache/files/md5", "shard-00000.bin"
FIEMAP, SYNC, LAST, SHARED, MOST = 0xC020660B, 1, 1, 0x2000, 4096  # of <linux/fiemap.h>; MOST extents in a file
UNKNOWN = "-"


# ------------------------------------------------------------------------------------------------------- on the disk


def extents(path: Path) -> list[tuple[int, int, bool]]:
    """Where a file lies on its disk: (first byte, end, whether another file shares it).

    Raises:
        OSError: the file system does not tell.
    """
    head, entry = struct.Struct("=QQLLLL"), struct.Struct("=QQQ16xL12x")
    buffer = bytearray(head.size + entry.size * MOST)
    head.pack_into(buffer, 0, 0, 1 << 62, SYNC, 0, MOST, 0)
    with path.open("rb") as file:
        fcntl.ioctl(file, FIEMAP, buffer)
    number = head.unpack_from(buffer)[3]
    found = list(entry.iter_unpack(buffer[head.size : head.size + entry.size * number]))
    assert not found or found[-1][3] & LAST, f"more than {MOST} extents"
    return [(start, start + length, bool(flags & SHARED)) for _, start, length, flags in found]


def used(*folders: Path) -> int:
    """Bytes on disk of all files in folders; what files share, by hardlink or reflink, counts once."""
    files = {path.stat().st_ino: path for folder in folders for path in folder.rglob("*") if path.is_file()}
    try:
        ranges = sorted(extent[:2] for path in files.values() for extent in extents(path))
    except OSError:
        return sum(path.stat().st_blocks * 512 for path in files.values())
    total = reached = 0
    for start, end in ranges:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def link_of(file: Path, cached: Path) -> str:
    """How a file of an output and its copy in DVC's cache belong together."""
    if file.is_symlink():
        return "symlink"
    if file.samefile(cached):
        return "hardlink"
    try:
        ranges = {extent[0] for extent in extents(file) if extent[2]}
        return "reflink" if ranges & {extent[0] for extent in extents(cached)} else "copy"
    except OSError:
        return "copy"


def file_system(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    said = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True).stdout.strip()
    return {"ext2/ext3": "ext4"}.get(said, said)


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
        os.sync()
        start = time.perf_counter()
        said = self.project.run(*self.words.get(what, what).split(), check=check).stdout
        os.sync()
        return time.perf_counter() - start, said

    def bare(self) -> float:
        """Seconds of the two stages without an engine."""
        shutil.rmtree(self.project.folder / "data", ignore_errors=True)
        return self.time("python -m stages write")[0] + self.time("python -m stages read")[0]

    def restore(self) -> float:
        """Seconds to bring the deleted folder back from the cache."""
        shutil.rmtree(self.file.parent)
        self.project.computed()
        seconds = self.time("restore")[0]
        assert self.project.computed() == [], "the stages ran"
        return seconds

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
        noticed = bool(self.project.stale() or self.project.planned())
        self.file.touch()  # DVC hashes a file again if its time is another
        self.project.snakemake()
        return {"noticed_later": noticed, "touched_right": self.file.read_bytes() == content}

    def hashing(self, jobs: int) -> float:
        """Bytes that DVC hashes in a second: its answer without what it remembers, less its answer with it."""
        self.configure(jobs)
        known = statistics.median(self.time("dvc status")[0] for _ in range(2))
        seconds = []
        for _ in range(2):
            shutil.rmtree(self.project.environment()["DVC_SITE_CACHE_DIR"])
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
            shutil.rmtree(place)

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


def mount(*arguments: str | Path) -> None:
    """The command; its mounts are those of this process alone."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def reachable() -> bool:
    """Whether an ordinary user may run this interpreter: root's home, for one, is closed to others."""
    needed = [Path(sys.prefix), Path(sys.base_prefix), ROOT]
    return all(folder.stat().st_mode & 0o001 for path in needed for folder in [path, *path.parents])


@contextmanager
def xfs(folder: Path, size: int) -> Iterator[Path]:
    """An XFS file system in a file; it has reflinks."""
    image, place = folder / "xfs.img", folder / "xfs"
    with image.open("wb") as file:
        file.truncate(max(size, 400 << 20))
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], check=True)
    place.mkdir()
    mount("-o", "loop,discard", image, place)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
        image.unlink()


def ask(place: Path, user: int, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure in a folder of a user's own, as that user."""
    folder = place / f"as-{user}"
    folder.mkdir()
    os.chown(folder, user, user if user else -1)
    task = {**task, "folder": str(folder), "answer": str(folder / "answer.json")}
    identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user != os.getuid() else {}
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    subprocess.run(command, check=True, cwd=folder, start_new_session=True, **identity)
    rows = json.loads(Path(task["answer"]).read_text())
    shutil.rmtree(folder)
    where = {"place": file_system(place), "user": "root" if user == 0 else "ordinary"}
    return [where | row for row in rows]


def measure_all(options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[str]]:
    """All rows, and what could not be measured."""
    notes, rows, users = [], [], [os.getuid()]
    task = {name: getattr(options, name) for name in ("files", "bytes", "types", "engines", "repeats")}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.getuid():
            notes.append("Measured as an ordinary user only: root measures both.")
        elif reachable():
            users.append(NOBODY)
        else:
            notes.append("Measured as root only: an ordinary user may not run this interpreter.")
        for user in users:
            rows += ask(folder, user, {**task, "hash": user == users[0]})
        with_reflinks = {row["type"]: row for row in rows if "type" in row and row.get("link") == "reflink"}
        reflinking = [link for link in options.types if "reflink" in link]
        if reflinking and not with_reflinks and not os.getuid():
            if shutil.which("mkfs.xfs") and own_mounts():
                with xfs(folder, 6 * options.bytes) as place:
                    for user in users:
                        rows += ask(place, user, {**task, "types": reflinking, "hash": False})
            else:
                notes.append("Reflinks not measured: this file system has none, and XFS cannot be mounted here.")
    return rows, notes


# ------------------------------------------------------------------------------------------------------------ tables


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])


def times(rows: list[dict[str, Any]], size: int) -> str:
    """What each case costs in time and disk."""
    head = ["file system", "user", "`cache.type`", "engine", "stages alone", "first run", "DVC and engine", "per 100 GB"]
    head += ["nothing to do", "restore", "link: first, restored", "disk: first, restored"]
    lines = []
    for row in rows:
        line = [row["place"], row["user"], f"`{row['type']}`", row["engine"], f"{row['bare']:.1f} s"]
        if "failed" in row:
            lines.append([*line, f"fails: {row['failed']}", *[UNKNOWN] * 6])
            continue
        more = row["first"] - row["bare"]
        minutes = max(0, more - row["fixed"]) * TARGET / size / 60
        line += [f"{row['first']:.1f} s", f"{more:.1f} s", f"{minutes:.0f} min", f"{row['ask']:.1f} s"]
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
            f"After `dvc repro` kept a damaged file ({len(accepted)} cases), `dvc status` or `snakemake -n` noticed it "
            f"in {noticed} of them; `touch` on the file and then `snakemake` mended it in {mended}.\n\n"
        )
    made = (
        f"Made by `benchmarks/dvc_size.py`: {options.files} incompressible files, {size / GIB:.2f} GiB in all; "
        f"{os.cpu_count()} cores, {platform.machine()}, DVC {version('dvc')}, Snakemake {version('snakemake')}; "
        f"times until the data are on disk, nothing to do and restore as medians of {options.repeats}, first runs once; "
        f"files that are read are in memory. XFS, if shown beside another, is in a file on that one. {seconds / 60:.0f} "
        f"minutes in all. {' '.join(notes)}".strip()
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
    parser.add_argument("--types", nargs="+", default=["reflink", "hardlink", "copy", LIST], help="values of cache.type")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--repeats", type=int, default=2)
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
