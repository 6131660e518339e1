"""DVC's cache, its record and its locks survive rot and kills, under either engine."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import yaml
from engines.project import ENGINES, READ, ROOT, Project
from faults import own_disk

from workflow import guard
from workflow.damage import digest

slower = pytest.mark.thorough  # of two engines, or of several kinds of rot; one of them is in every run
both = pytest.mark.parametrize("engine", ["dvc", pytest.param("snakemake", marks=slower)])


def run(project: Project, engine: str) -> str:
    return project.run(*ENGINES[engine]).stdout


def copies(project: Project) -> None:
    """Outputs and cache have nothing in common, as where the file system has no links."""
    (project.folder / ".dvc/config.local").write_text("[cache]\n    type = copy\n")
    for path in ("data/waveforms", "data/entries", "data/scores"):
        shutil.rmtree(project.folder / path)
    project.dvc("checkout")


def cached(project: Project, path: str) -> Path:
    """Where DVC's cache keeps a file of an output."""
    folder = project.folder / ".dvc/cache/files/md5"
    sum_ = digest(project.folder / path)
    assert sum_
    return folder / sum_[:2] / sum_[2:]


def flip(path: Path) -> None:
    """Damage a file in place."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    overwrite(path, content)


def overwrite(path: Path, content: bytes | bytearray) -> None:
    """Change a file in place, its protection kept."""
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


SHARD = "data/waveforms/a/1of2/shard.txt"


@both
def test_what_rotted_in_the_cache_is_never_restored_where_its_stage_only_follows_a_stale_one(project, engine):
    copies(project)
    right, kept = (project.folder / SHARD).read_bytes(), cached(project, SHARD)
    flip(kept)
    shutil.rmtree(project.folder / "data/waveforms/a")
    (project.folder / "data/entries/a.json").unlink()
    said = run(project, engine)
    assert "data/waveforms/a/1of2: damaged in DVC's cache and deleted there; its stage makes it again" in said
    assert project.computed() == [READ[0]]
    assert (project.folder / SHARD).read_bytes() == kept.read_bytes() == right
    assert project.agreed()


@pytest.mark.parametrize("engine", ENGINES)
def test_what_rotted_in_the_cache_only_is_put_back_from_the_projects_folder(project, engine):
    copies(project)
    right, kept = (project.folder / SHARD).read_bytes(), cached(project, SHARD)
    flip(kept)
    said = run(project, engine)
    assert "data/waveforms/a/1of2: damaged in DVC's cache; put back from the project's folder" in said
    assert project.computed() == []
    assert kept.read_bytes() == right
    assert project.agreed()


@pytest.mark.parametrize(
    ("engine", "rotten"),
    [
        ("dvc", "a file"),
        pytest.param("snakemake", "a file", marks=slower),
        pytest.param("dvc", "a folder's list", marks=slower),
        pytest.param("snakemake", "a word of a folder's list", marks=slower),
        pytest.param("dvc", "a word of a folder's list", marks=slower),
        pytest.param("snakemake", "a result in git", marks=slower),
    ],
)
def test_a_value_that_changes_and_changes_back_brings_no_rotten_output_back(project, engine, rotten):
    shown = {"a file": SHARD, "a result in git": "results/tables/sums.csv"}.get(rotten, "data/waveforms/a/1of2")
    path = project.folder / shown
    right, kept = digest(path), cached(project, shown)
    project.replace("params.yaml", "factor: 2", "factor: 3")
    run(project, engine)
    project.computed()
    if rotten == "a word of a folder's list":
        overwrite(kept, kept.read_bytes().replace(b"relpath", b"relpadh", 1))  # still JSON
    else:
        flip(kept)
    project.replace("params.yaml", "factor: 3", "factor: 2")
    run(project, engine)
    assert project.computed() == (["tables"] if rotten == "a result in git" else [READ[0]])
    assert digest(path) == right
    assert project.agreed()


@pytest.mark.parametrize(
    ("engine", "left"),
    [
        ("snakemake", ""),
        ("dvc", '{"write": {"/a/b": {"pid": 1'),
        pytest.param("dvc", "", marks=slower),
        pytest.param("snakemake", '{"write": 3}', marks=slower),
        pytest.param("dvc", "\0", marks=slower),
    ],
)
def test_a_list_of_locks_that_a_kill_left_half_written_stops_no_run(project, engine, left):
    (project.folder / ".dvc/tmp/rwlock").write_text(left)
    said = run(project, engine)
    assert ".dvc/tmp/rwlock: left half written by a killed DVC; removed" in said
    assert project.agreed()


def test_an_unreadable_list_of_locks_is_left_alone_while_a_process_works_here(project):
    (project.folder / ".dvc/tmp/rwlock").write_text("")
    other = subprocess.Popen(["python", "-c", "input()", "dvc"], cwd=project.folder, stdin=subprocess.PIPE)
    try:
        said = project.run("dvc", "repro", check=False)
        assert said.returncode == 1
        assert re.fullmatch(
            rf"dvc: .*rwlock: unreadable while process {other.pid} works with DVC here; .*\n", said.stdout
        )
    finally:
        other.communicate(b"\n")


@pytest.mark.parametrize(
    ("engine", "share"),
    [
        ("dvc", 0),
        ("snakemake", 0.3),
        *(
            pytest.param(*one, marks=slower)
            for one in (("snakemake", 0), ("dvc", 0.001), ("dvc", 0.62), ("dvc", 0.999))
        ),
    ],
)
def test_a_record_that_a_kill_cut_short_stops_no_run_and_nothing_is_computed_again(project, engine, share):
    file = project.folder / "dvc.lock"
    whole = file.read_bytes()
    with file.open("r+b") as opened:
        opened.truncate(int(len(whole) * share))
    run(project, engine)
    assert project.computed() == []
    assert yaml.safe_load(file.read_bytes()) == yaml.safe_load(whole)
    assert project.agreed()


@pytest.mark.parametrize(
    ("left", "copies_left"),
    [
        (b"\x93stages: [", ["git", "kept"]),
        (b"", ["git"]),
        pytest.param(b"\x93stages: [", ["git"], marks=slower),
        pytest.param(b"\x93stages: [", [], marks=slower),
        pytest.param(b"", [], marks=slower),
    ],
)
def test_an_unreadable_record_comes_from_its_copy_from_git_or_from_the_cache(project, left, copies_left):
    file = project.folder / "dvc.lock"
    whole = file.read_bytes()
    file.write_bytes(left)
    if "kept" not in copies_left:
        (project.folder / ".dvc/tmp/dvc.lock").unlink()
    if "git" not in copies_left:
        project.run("git", "rm", "-q", "--cached", "dvc.lock")
        project.run("git", "commit", "-q", "-m", "no record")
    said = project.snakemake()
    source = {2: "its last copy", 1: "git", 0: "DVC's cache, stage by stage"}[len(copies_left)]
    assert f"dvc.lock: unreadable, as a killed DVC leaves it; restored from {source}" in said
    assert project.computed() == []
    assert yaml.safe_load(file.read_bytes()) == yaml.safe_load(whole)
    assert project.agreed()


@pytest.mark.parametrize(
    "left", [b'{"rule": "tables', *(pytest.param(one, marks=slower) for one in (b"", b'{"rule": "\xff"}'))]
)
def test_what_rotted_among_snakemakes_notes_stops_no_run(project, left):
    notes = [path for path in (project.folder / ".snakemake/metadata").rglob("*") if path.is_file()]
    assert notes
    for note in notes:
        note.write_bytes(left)
    assert "Traceback" not in project.snakemake()
    assert project.computed() == []


@both
def test_a_record_with_conflicts_of_a_merge_is_told_in_one_line(project, engine):
    file = project.folder / "dvc.lock"
    merged = f"<<<<<<< HEAD\n{file.read_text()}=======\n>>>>>>> other\n"
    file.write_text(merged)
    said = project.run(*ENGINES[engine], check=False)
    assert said.returncode == 1
    assert len([line for line in said.stdout.splitlines() if "conflicts of a merge" in line]) == 1
    assert "Traceback" not in said.stdout
    assert file.read_text() == merged


def test_a_size_that_was_changed_in_the_record_is_restored_as_its_hash_still_stands(project):
    file = project.folder / "dvc.lock"
    whole = file.read_text()
    size = re.search(r"size: (\d+)", whole)
    assert size
    file.write_text(whole.replace(size[0], f"size: {int(size[1]) + 1}", 1))
    assert "dvc.lock: sizes were changed in it; restored" in project.snakemake("-n")
    assert file.read_text() == whole


def test_dvcs_own_files_are_replaced_as_a_whole_so_that_a_kill_leaves_the_old_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "dvc.lock"
    path.write_text("old")

    def half(data, file):
        file.write(data[:2])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard._dump(path, "new", half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    guard._dump(path, "new", lambda data, file: file.write(data))
    assert path.read_text() == "new"


@both
def test_the_list_of_locks_and_the_record_are_whole_at_every_instant_of_a_run(project, engine):
    project.replace("params.yaml", "factor: 2", "factor: 5")
    process = project.start(*ENGINES[engine])
    seen = 0
    while process.poll() is None:
        for name, read in (("dvc.lock", yaml.safe_load), (".dvc/tmp/rwlock", json.loads)):
            try:
                content = (project.folder / name).read_text()
            except FileNotFoundError:
                continue
            assert read(content) is not None
            seen += 1
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert seen > 10


@both
@pytest.mark.parametrize("free", [0, *(pytest.param(one, marks=pytest.mark.thorough) for one in (1 << 16, 1 << 18))])
def test_a_disk_that_is_full_before_anything_runs_is_told_without_a_traceback_and_harms_nothing(
    project, tmp_path, engine, free
):
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # with mounts of its own it has a folder of its own too
        held = apart.submit(full_before_anything_runs, project.folder, tmp_path / "disk", engine, free).result()
    if not held:
        pytest.skip("the system lets this user mount no file system of its own")


def full_before_anything_runs(folder, place, engine, free):
    disk = own_disk(place, 64 << 20)
    if disk is None:
        return False
    shutil.copytree(folder, disk / "toy", symlinks=True)
    full = Project(disk / "toy")
    status, ballast = os.statvfs(disk), disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - free)
    said = full.run(*ENGINES[engine], check=False)
    assert said.returncode
    assert "disk is full" in said.stdout
    assert "Traceback" not in said.stdout
    ballast.unlink()
    run(full, engine)
    assert full.computed() == []
    assert full.agreed()
    return True


@pytest.mark.parametrize("place", ["__del__", "at_fork"])
def test_an_interrupt_where_python_would_drop_it_still_ends_the_program_without_a_traceback(place):
    program = """
        import os, signal, subprocess, sys, time
        from workflow.commands import Stops

        def interrupt(*_):
            os.kill(os.getpid(), signal.SIGINT)

        stops = Stops("dvc")
        stops.allow()
        stops.started = True
        try:
            if sys.argv[1] == "__del__":
                type("Finalized", (), {"__del__": interrupt})()
            else:
                os.register_at_fork(after_in_parent=interrupt)
                subprocess.run(["true"], preexec_fn=int)
            time.sleep(60)
        except KeyboardInterrupt:
            sys.exit(stops.said())
    """
    command = [sys.executable, "-c", textwrap.dedent(program), place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (130, "dvc: stopped; run it again when you like\n")


@both
def test_a_compiled_module_that_a_full_disk_cut_short_stops_no_run(project, engine):
    project.snakemake("-n")
    compiled = sorted(project.folder.rglob("workflow/__pycache__/*.pyc"))
    assert any("commands" in path.name for path in compiled)
    for path in compiled:
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size - 9)
    run(project, engine)
    assert project.agreed()


@both
def test_an_empty_folder_of_the_run_cache_stops_no_run(project, engine):
    """It is left where all that was kept of a stage was damaged, and dropped."""
    for entry in (project.folder / ".dvc/cache/runs").glob("*/*/*"):
        entry.unlink()
    (project.folder / "dvc.lock").unlink()
    (project.folder / ".dvc/tmp/dvc.lock").unlink()
    run(project, engine)
    assert project.agreed()
