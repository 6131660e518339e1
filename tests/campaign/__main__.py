"""A campaign of random faults: ``python -m tests.campaign --minutes N --seed S``.

The profile `tiny` is run once from nothing: what it leaves is right. Then, until the time is over, a copy of it meets
a fault (tests/campaign/faults.py), its parameters are put back, and one run of either engine has to

* end by itself, with success and no traceback, and leave no process behind;
* leave both engines with nothing to do;
* leave every file of every output with the bytes of the clean run, no file more or less, and the same record of them.

A case is told by the campaign's seed and its own number: `--case N` tries one alone, though the moment of a kill is a
matter of the machine's speed, too.
"""

import argparse
import collections
import itertools
import random
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.campaign.faults import FAULTS, WEIGHTS, Case
from tests.engines.project import Project, real
from tests.faults import own_disk


def main() -> int:
    """Returns 0 if every case held, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign", description="Random faults on the `tiny` profile."
    )
    parser.add_argument(
        "--minutes", type=float, default=10, help="begin no case after this time; the clean run comes before"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all choices")
    parser.add_argument("--case", type=int, help="try this case only")
    parser.add_argument("--fault", choices=FAULTS, help="try this fault only")
    parser.add_argument("--folder", type=Path, help="where to work, kept afterwards; a clean run there is used again")
    options = parser.parse_args()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="campaign-"))).absolute()
    try:
        return campaign(options, folder)
    finally:
        if options.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


def campaign(options: argparse.Namespace, folder: Path) -> int:
    """Try cases until the time is over and tell how many held."""
    clean = Clean(folder / "clean/project")
    end = time.monotonic() + 60 * options.minutes
    held, tried, failures = collections.Counter[str](), collections.Counter[str](), list[str]()
    disk = own_disk(folder / "disk", 1 << 30)  # for full disks; None where the system lets nobody mount one
    faults = [one for one in FAULTS if one != "full disk" or disk]
    for number in [options.case] if options.case is not None else itertools.count():
        if time.monotonic() > end:
            break
        draw, began = random.Random(f"{options.seed}-{number}"), time.monotonic()
        fault = draw.choices(faults, [WEIGHTS[one] for one in faults])[0]
        fault = options.fault or fault
        place = folder / "work" if fault != "full disk" or disk is None else disk
        case = Case(clean.copy(place / "project"), draw)
        problem = attempt(case, fault, clean)
        tried[fault] += 1
        held[fault] += problem is None
        told = f"seed {options.seed} case {number}, {fault} ({'; '.join(case.done)})"
        print(f"{told}, {time.monotonic() - began:.0f} s: {problem or 'held'}", flush=True)
        if problem is not None:
            failures.append(f"seed {options.seed} case {number}: {problem}")
            keep(case, folder / f"failed-{options.seed}-{number}", whole=options.folder is not None)
            clean.forget(place / "project")
    print(f"{sum(tried.values())} cases tried, {sum(held.values())} held")
    for fault in tried:
        print(f"  {fault}: {tried[fault]} tried, {held[fault]} held")
    for failure in failures:
        print(f"  failed: {failure}")
    print(f"{sum(held.values())} passed, {len(failures)} failed")
    return int(bool(failures))


def keep(case: Case, target: Path, *, whole: bool) -> None:
    """Keep what a failed case printed and, if wanted, its project."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "said.txt").write_text("\n\n---\n\n".join(case.said))
    if whole:
        shutil.copytree(case.folder, target / "project", symlinks=True)


class Clean:
    """A finished pipeline, and copies of it."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        if not (folder / "dvc.lock").exists():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder.with_name(f"{folder.name}-state"), ignore_errors=True)
            self.project = real(folder, "tiny")
            self.project.snakemake("all")
            self.project.commit()
        self.params = (folder / "params.yaml").read_bytes()
        self.bytes, self.record = self.project.contents(), self.project.record()

    def copy(self, folder: Path) -> Project:
        """A copy at ``folder``; what is there is used again, as only cases that held leave one."""
        if not folder.exists():
            shutil.copytree(self.project.folder, folder, symlinks=True)
        return Project(folder)

    def forget(self, folder: Path) -> None:
        """Delete a copy."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_name(f"{folder.name}-state"), ignore_errors=True)


def attempt(case: Case, fault: str, clean: Clean) -> str | None:
    """Do harm, recover and look; returns what is wrong, if anything is."""
    try:
        FAULTS[fault](case)
        (case.folder / "params.yaml").write_bytes(clean.params)
        engine = case.engine()
        if status := case.run(engine):
            return f"{engine} ended with {status}"
        if planned := case.project.planned():
            return f"Snakemake would still run {', '.join(sorted(planned))}"
        if stale := case.project.stale():
            return f"DVC would still run {', '.join(sorted(stale))}"
    except AssertionError as error:
        return " ".join(str(error).split())[:300]
    finally:
        left = survivors(case.folder)
    if left:
        return f"processes left behind: {'; '.join(left)}"
    if any("Traceback (most recent call last)" in said for said in case.said):
        return "a traceback"
    return difference(case.project, clean)


def difference(project: Project, clean: Clean) -> str | None:
    """What is other than in the clean run."""
    found, entries = project.contents(), project.record()
    wrong = [path for path in {**clean.bytes, **found} if found.get(path) != clean.bytes.get(path)]
    if wrong:
        return f"other bytes in {len(wrong)} files, {sorted(wrong)[0]} among them"
    other = [stage for stage, entry in clean.record.items() if entries.get(stage) != entry]
    return f"other record of {', '.join(other)}" if other else None


def survivors(folder: Path) -> list[str]:
    """Commands of processes that are still at work in the folder some seconds after a run's end; they are killed."""
    found: list[psutil.Process] = []
    for _ in range(20):
        found = [one for one in psutil.process_iter(["cwd", "status"], ad_value=None) if _works_in(one, folder)]
        if not found:
            break
        time.sleep(0.5)
    left = []
    for one in found:
        with suppress(psutil.Error):  # it has ended meanwhile
            left.append(" ".join(one.cmdline())[-80:])
            one.kill()
    return left


def _works_in(process: psutil.Process, folder: Path) -> bool:
    return process.info["cwd"] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE


if __name__ == "__main__":
    sys.exit(main())
