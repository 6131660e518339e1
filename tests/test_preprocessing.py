"""Reading an archive in parts, by several processes, and on after a run that ended early."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from kmerl.archives.schemas import REJECTED
from kmerl.artifacts import read_table
from kmerl.parts import part_of
from kmerl.preprocessing import blocks
from kmerl.waveforms import WaveformStore
from tests.archives import noise, write_record
from tests.preprocessed import FILES, entries, run

PATIENCE = 60  # s, for a busy machine
SHARD = 3  # records


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """Twelve records, of which two cannot be used."""
    folder = tmp_path_factory.mktemp("raw")
    for i in range(FILES):
        write_record(folder / f"r{i}", noise(i))
    (folder / "r5.dat").unlink()
    (folder / "r9.dat").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def expected(raw, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected")
    run(raw, out, entries(FILES), SHARD, 1)
    return made(out)


def made(out: Path) -> dict[str, bytes]:
    paths = [out / "lost.parquet", *sorted((out / "waveforms").iterdir())]
    return {path.name: path.read_bytes() for path in paths}


def started(raw: Path, out: Path, fault: str, processes: int, records: int = FILES, shard: int = SHARD):
    arguments = [raw, out, records, shard, processes, fault]
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("preprocessed.py"), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"POLARS_MAX_THREADS": "1"},
    )  # fmt: skip


def until(met, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its inode and when it changed."""
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def killed_in_the_third_block(raw: Path, out: Path) -> None:
    process = started(raw, out, "die", processes=1)
    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert [path.name for path in sorted((out / "scratch").glob("block-*"))] == ["block-00000", "block-00001"]


def test_the_number_of_processes_changes_no_byte(raw, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "_WORTH", 1)
    summary = run(raw, tmp_path, entries(FILES), SHARD, 2)
    assert made(tmp_path) == expected
    assert (summary.kept, summary.rejected.total()) == (10, 2)


def test_parts_together_hold_what_the_whole_holds(raw, expected, tmp_path):
    whole, stores = entries(FILES), []
    for part in ("1of3", "2of3", "3of3"):
        run(raw, tmp_path / part, part_of(whole, part), SHARD, 1)
        (tmp_path / "waveforms").mkdir(exist_ok=True)
        (tmp_path / part / "waveforms").rename(tmp_path / "waveforms" / part)
        stores.append(read_table(tmp_path / part / "lost.parquet", REJECTED))
    run(raw, tmp_path / "all", whole, SHARD, 1)
    parts, one = WaveformStore(tmp_path / "waveforms"), WaveformStore(tmp_path / "all/waveforms")
    assert parts.records.drop("shard", "row").equals(one.records.drop("shard", "row"))
    assert pl.concat(stores).equals(read_table(tmp_path / "all/lost.parquet", REJECTED))
    for row in range(len(one)):
        np.testing.assert_array_equal(parts.read(row), one.read(row))


@pytest.mark.parametrize("of", [1, 2, 3, 5, 12, 20])
def test_every_record_is_in_one_part(of):
    whole = entries(FILES)
    parts = [part_of(whole, f"{i}of{of}") for i in range(1, of + 1)]
    assert pl.concat(parts).equals(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_killed_run_goes_on_with_the_next_shard(raw, expected, tmp_path):
    killed_in_the_third_block(raw, tmp_path)
    before = [state(tmp_path / f"scratch/block-0000{i}") for i in range(2)]
    summary = run(raw, tmp_path, entries(FILES), SHARD, 1)
    assert summary.again == 2
    assert [state(tmp_path / f"scratch/block-0000{i}") for i in range(2)] == before
    assert made(tmp_path) == expected


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [cut, Path.unlink])
@pytest.mark.parametrize("file", ["store/shard-00000.npy", "store/records.parquet", "rejected.parquet"])
def test_a_finished_block_that_was_damaged_is_read_again(raw, expected, tmp_path, file, damage):
    run(raw, tmp_path, entries(FILES), SHARD, 1)
    damage(tmp_path / "scratch/block-00001" / file)
    summary = run(raw, tmp_path, entries(FILES), SHARD, 1)
    assert summary.again == 3
    assert made(tmp_path) == expected


def test_what_works_for_a_killed_run_ends_with_it(raw, tmp_path):
    process = started(raw, tmp_path, "sleep", processes=2)
    until(lambda: list(tmp_path.glob("asleep-*")), "a process reads")
    others = psutil.Process(process.pid).children(recursive=True)
    assert int(next(tmp_path.glob("asleep-*")).name.removeprefix("asleep-")) in {one.pid for one in others}
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(others, timeout=10)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_process_is_one_line_and_finished_shards_stay(raw, expected, tmp_path):
    process = started(raw, tmp_path, "die", processes=2)
    _, complaint = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    (line,) = complaint.splitlines()
    assert "a process that read records ended abruptly" in line
    assert "run again" in line
    before = state(tmp_path / "scratch/block-00000")
    assert run(raw, tmp_path, entries(FILES), SHARD, 1).again >= 1
    assert state(tmp_path / "scratch/block-00000") == before
    assert made(tmp_path) == expected


def test_memory_does_not_grow_with_the_number_of_records(raw, tmp_path):
    peaks = []
    for records in (60, 600):
        process = started(raw, tmp_path / str(records), "", 1, records, shard=10_000)
        peaks.append(float(process.communicate(timeout=PATIENCE)[0]))
    assert abs(peaks[1] - peaks[0]) < 30  # MB; their samples take 65 MB more
