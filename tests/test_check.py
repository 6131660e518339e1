"""``python -m kmerl.archives check``: whatever lies below a folder, each record gets a row; nothing is an exception."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from archives import (
    mimic_tables,
    noise,
    ptb_xl_tables,
    read,
    write_cpsc2018,
    write_csn,
    write_mimic,
    write_record,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from kmerl import inspect
from kmerl.archives import __main__ as program
from kmerl.archives.check import command, find
from kmerl.archives.check import read as reading
from kmerl.archives.check.flags import FLAGS, OF_TABLES
from kmerl.archives.check.params import DEFAULTS, params_of
from kmerl.archives.check.rows import Candidate, Group, Row
from kmerl.archives.check.show import text
from kmerl.archives.check.summary import Summary, Tally
from kmerl.archives.registry import recognise
from kmerl.errors import UserError
from kmerl.params import load
from kmerl.repair import WaveformParams, prepare

ROOT = Path(__file__).parents[1]
LOOSE = Group("loose files", ".")
STUDIES = {str(i): (str(i % 3), ["Sinus rhythm"]) for i in range(11, 15)}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Not in the project's folder, whose params.yaml a user may have changed."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


class Checked:
    """What a run of the command gave."""

    def __init__(self, capsys, folder, *options):
        table = Path("found.csv")
        self.status = command.main([str(folder), "--csv", str(table), "--processes", "1", *options])
        self.out, self.err = capsys.readouterr()
        self.rows = list(csv.DictReader(table.open(encoding="utf-8", newline=""))) if table.exists() else []

    def counts(self):
        return dict(Counter((row["archive"], row["status"]) for row in self.rows))

    def reasons(self):
        return {row["path"] or row["record_id"]: row["reason"] for row in self.rows if row["reason"]}


@pytest.fixture
def check(capsys):
    return lambda folder, *options: Checked(capsys, folder, *options)


def write_ptb_xl(folder):
    ptb_xl_tables(folder, [(str(i), "7.0", i, "{'NORM': 100.0}") for i in range(1, 4)])
    for i in range(1, 4):
        write_record(folder / f"records500/{i}_hr", noise(i))
        write_record(folder / f"records100/{i}_lr", noise(i, samples=1000), fs=100)


def write_all(folder):
    """The four archives side by side, some of them deeper."""
    write_mimic(folder / "mimic", STUDIES)
    write_ptb_xl(folder / "deep/er/ptb")
    write_cpsc2018(folder / "cpsc", {"A0001": "1", "A0002": "5,7"})
    write_csn(folder / "deep/csn", {"JS1": "1000", "JS2": "1001"})


def write_mirror(folder, n=3):
    """CPSC2018 as PhysioNet has it."""
    for i in range(1, n + 1):
        path = folder / f"A{i:04d}"
        write_record(path, noise(i))
        with path.with_suffix(".hea").open("a") as file:
            file.write("#Dx: 426783006\n")


# --- archives


@pytest.mark.parametrize(
    ("write", "name", "expected"),
    [
        (lambda folder: write_mimic(folder, STUDIES), "mimic_iv_ecg", {"read": 4}),
        (write_ptb_xl, "ptb_xl", {"read": 3}),
        (lambda folder: write_cpsc2018(folder, {"A0001": "1", "A0002": "5,7"}), "cpsc2018", {"read": 2}),
        (lambda folder: write_csn(folder, {"JS1": "1000", "JS2": None}), "csn", {"read": 1, "rejected": 1}),
        (write_mirror, "cpsc2018", {"read": 3}),
        (lambda folder: write_mirror(folder / "g1"), "cpsc2018", {"read": 3}),
    ],
)
def test_each_layout_is_recognised_and_its_records_are_read(tmp_path, check, write, name, expected):
    write(tmp_path / "raw")
    assert recognise(tmp_path / "raw") == name
    done = check(tmp_path / "raw")
    assert done.status == 0
    assert {status: n for (archive, status), n in done.counts().items() if archive == name} == expected
    others = {row["path"].split("/")[0] for row in done.rows if row["archive"] != name}
    assert others == ({"records100"} if name == "ptb_xl" else set())


def test_archives_side_by_side_and_nested_are_told_apart(tmp_path, check):
    write_all(tmp_path / "raw")
    write_record(tmp_path / "raw/mine/one", noise(1))
    done = check(tmp_path / "raw")
    assert done.counts() == {
        ("mimic_iv_ecg", "read"): 4, ("ptb_xl", "read"): 3, ("ptb_xl, other files", "read"): 3,
        ("cpsc2018", "read"): 2, ("csn", "read"): 2, ("loose files", "read"): 1,
    }  # fmt: skip
    for words in (
        "  ptb_xl               deep/er/ptb        3           3         0         0",
        "csn in deep/csn: 500 Hz; 10 s",
    ):
        assert words in done.out
    assert done.out.splitlines()[-1] == (
        "15 records: 15 read whole, 0 repaired, 0 rejected; exit status 0, as at least one can be used"
    )


def test_two_archives_of_a_kind_are_counted_apart_and_a_simulated_one_says_so(tmp_path, check):
    for name in ("raw", "simulated"):
        write_csn(tmp_path / "data" / name, {"JS1": "1000"})
    (tmp_path / "data/simulated/SIMULATED").touch()
    done = check(tmp_path / "data")
    assert "\n  csn              raw              1" in done.out
    assert "\n  csn (simulated)  simulated        1" in done.out


def test_what_an_archives_tables_reject_is_told_apart_and_not_read_as_a_loose_file(tmp_path, check):
    raw = tmp_path / "raw"
    write_csn(raw / "csn", {"JS1": "1000", "JS2": None})
    write_mimic(raw / "mimic", STUDIES)
    table = raw / "mimic/record_list.csv"
    table.write_text(table.read_text().replace("files/s12/12", "../csn/12").replace("files/s13/13", ""))
    done = check(raw)
    assert done.reasons() == {"JS2": "bad_labels", "12": "bad_path", "13": "no_path"}
    assert "  tables  bad_labels  1  " in done.out
    assert set(done.reasons().values()) <= OF_TABLES


@pytest.mark.parametrize("content", [b"study_id\n1\n", b"\xff\xfe\x00", b""])
def test_an_archive_with_unusable_tables_is_one_row_and_its_files_are_read(tmp_path, check, content):
    write_mimic(tmp_path / "raw", STUDIES)
    (tmp_path / "raw/record_list.csv").write_bytes(content)
    done = check(tmp_path / "raw")
    assert done.counts() == {("mimic_iv_ecg", "rejected"): 1, ("mimic_iv_ecg, other files", "read"): 4}
    assert done.reasons() == {".": "bad_table"}


def test_a_table_that_others_call_so_as_well_makes_no_archive(tmp_path, check):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/REFERENCE.csv").write_text("A00001,N\n")  # as the challenge of 2017 has it
    write_record(tmp_path / "raw/A00001", noise(1), gain=1000)
    assert check(tmp_path / "raw").counts() == {("loose files", "read"): 1}


def test_a_users_own_record_with_a_name_of_the_mirror_needs_no_labels(tmp_path, check):
    write_record(tmp_path / "raw/A0001", noise(1))
    assert check(tmp_path / "raw").counts() == {("loose files", "read"): 1}


def test_cpsc2018s_table_beside_the_mirrors_files_is_read(tmp_path, check):
    write_cpsc2018(tmp_path / "raw", {"A0001": "1", "A0002": "5,7"})
    for path in (tmp_path / "raw").glob("*.mat"):
        write_record(path.with_suffix(""), noise(3))
        path.write_bytes(b"\0" * 24 + path.with_suffix(".dat").read_bytes())
        path.with_suffix(".dat").unlink()
        header = path.with_suffix(".hea")
        header.write_text(header.read_text().replace(f"{path.stem}.dat 16 ", f"{path.name} 16+24 "))
    assert check(tmp_path / "raw").counts() == {("cpsc2018", "read"): 2}


# --- loose files


def test_loose_records_are_read_and_signal_files_are_none(tmp_path, check):
    raw = tmp_path / "raw"
    write_record(raw / "a/plain", noise(1))
    write_record(raw / "a/b/short", noise(2, samples=1000))
    write_cpsc2018(raw / "structs", {"A0001": "1"})
    (raw / "structs/REFERENCE.csv").unlink()
    (raw / "structs/A0001.mat").rename(raw / "structs/upper.MAT")
    write_record(raw / "lonely", noise(3))
    (raw / "lonely.hea").unlink()
    write_record(raw / "gone", noise(4))
    (raw / "gone.dat").unlink()
    (raw / "signals.mat").write_bytes((30).to_bytes(4, "little") + bytes(200))
    savemat(raw / "foreign.mat", {"x": np.zeros((3, 4))})
    done = check(raw)
    assert done.reasons() == {
        "a/b/short.hea": "too_short", "lonely.dat": "no_header", "gone.hea": "no_signal_file",
        "signals.mat": "no_header", "foreign.mat": "bad_struct",
    }  # fmt: skip
    assert sorted(row["path"] for row in done.rows if row["status"] == "read") == ["a/plain.hea", "structs/upper.MAT"]
    short = next(row for row in done.rows if row["record_id"] == "short")
    assert (short["fs"], short["seconds"], short["leads"]) == ("500", "2", "")


def test_signal_files_with_other_names_than_their_header_are_no_records(tmp_path, check):
    raw = tmp_path / "raw"
    write_record(raw / "one", noise(1))
    (raw / "one.dat").rename(raw / "signals_of_one.dat")
    (raw / "one.hea").write_text((raw / "one.hea").read_text().replace("one.dat", "signals_of_one.dat"))
    assert check(raw).counts() == {("loose files", "read"): 1}


def test_flags_tell_what_is_repaired_doubtful_or_noted(tmp_path, check):
    raw, gap, flat = tmp_path / "raw", noise(2), noise(3)
    gap[100:110, 3] = -32768
    flat[:, 7] = 5
    write_record(raw / "gap", gap)
    write_record(raw / "flat", flat)
    write_record(raw / "long", noise(4, samples=6000))
    write_record(raw / "few", noise(5, leads=3), leads=["I", "II", "V1"])
    write_record(raw / "large", noise(6), gain=10)
    done = check(raw)
    assert {row["record_id"]: (row["status"], row["flags"]) for row in done.rows} == {
        "gap": ("repaired", "nan_repaired"), "flat": ("repaired", "flat_lead"), "long": ("read", "cropped"),
        "few": ("read", "missing_lead"), "large": ("read", "large_amplitude"),
    }  # fmt: skip
    found = re.findall(r"^  (repaired|doubtful|noted) +(\w+) +1  ", done.out, re.M)
    assert found == [
        ("repaired", "flat_lead"), ("repaired", "nan_repaired"), ("doubtful", "large_amplitude"), ("noted", "cropped"),
        ("noted", "missing_lead"),
    ]  # fmt: skip
    for words in ("10 to 12 s (median 10 s)", "all 12 leads (3), I II V1 (1), all but V2 (1)", "e.g. flat.hea"):
        assert words in done.out


# --- folders of any content


def test_a_folder_of_rubbish_is_said_and_status_1(tmp_path, check):
    raw = tmp_path / "raw"
    (raw / "a").mkdir(parents=True)
    for name in ("a/report.pdf", "b.pdf", "c.edf", "README", "x.ending_that_is_long", ".DS_Store"):
        (raw / name).write_text("?")
    done = check(raw)
    assert done.status == 1
    assert "5 other files were not looked into: .pdf 2, .edf 1, no ending 1, other endings 1" in done.out
    assert done.out.splitlines()[-1].startswith("0 records: 0 read whole, 0 repaired, 0 rejected; exit status 1")
    for name in ("bad.hea", "bad.dat", "worse.dat", "bad.mat", "other.mat"):
        (raw / name).write_bytes(os.urandom(300))
    done = check(raw)
    assert (done.status, set(done.reasons())) == (1, {"bad.hea", "worse.dat", "other.mat"})
    assert "no file of these can be read" in done.out


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_no_folder_or_an_empty_one_is_one_line_and_status_1(tmp_path, check, kind):
    path = tmp_path / "raw"
    if kind == "empty":
        path.mkdir()
    elif kind == "file":
        path.write_text("?")
    done = check(path)
    assert (done.status, done.out) == (1, "")
    assert re.fullmatch(rf"check: {path}: [^\n]*; name the folder that holds the archives or records\n", done.err)
    assert kind == "empty" or not Path("found.csv").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["x", "--nonsense"], ["x", "--processes", "0"], ["x", "--fs", "7"], ["x", "--min-leads", "13"]]
)
def test_a_wrong_call_is_one_line_and_status_1(capsys, arguments):
    Path("x").mkdir()
    assert command.main(arguments) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_pipes_folders_and_links_with_a_records_name_are_rows(tmp_path, check):
    raw = tmp_path / "raw"
    (raw / "folder.hea").mkdir(parents=True)
    (raw / "folder.mat").mkdir()
    os.mkfifo(raw / "pipe.hea")
    os.mkfifo(raw / "pipe2.mat")
    (raw / "tolink.mat").symlink_to("pipe2.mat")
    (raw / "itself.hea").symlink_to("itself.hea")
    (raw / "nothing.mat").symlink_to("nowhere")
    assert check(raw).reasons() == {
        "pipe.hea": "unreadable_file", "pipe2.mat": "unreadable_file", "tolink.mat": "unreadable_file",
        "itself.hea": "unreadable_file", "nothing.mat": "no_signal_file",
    }  # fmt: skip


def test_a_pipe_that_a_table_names_is_a_row(tmp_path, check):
    write_cpsc2018(tmp_path / "raw", {"A0001": "1", "A0002": "1"})
    (tmp_path / "raw/A0001.mat").unlink()
    os.mkfifo(tmp_path / "raw/A0001.mat")
    assert check(tmp_path / "raw").reasons() == {"A0001.mat": "unreadable_file"}


def test_a_folder_that_cannot_be_opened_is_a_row(tmp_path, check, monkeypatch):
    for name in ("open", "shut"):
        write_record(tmp_path / "raw" / name / "a", noise(1))
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(find.os, "scandir", refuse)
    done = check(tmp_path / "raw")
    assert done.reasons() == {"shut": "unreadable_folder"}
    assert done.counts() == {("loose files", "read"): 1, ("loose files", "rejected"): 1}


def test_links_are_followed_once_and_never_round(tmp_path, check):
    raw, elsewhere = tmp_path / "raw", tmp_path / "elsewhere"
    write_record(raw / "a/one", noise(1))
    write_record(elsewhere / "sub/two", noise(2))
    write_csn(tmp_path / "archive", {"JS1": "1000"})
    for name, target in {
        "a/here": ".", "a/up": "..", "a/above": tmp_path, "sibling": "a", "csn": tmp_path / "archive",
        "sub": elsewhere / "sub", "sub_of_a_later_one": elsewhere, "twice": elsewhere / "sub", "dead": "nowhere",
    }.items():  # fmt: skip
        (raw / name).symlink_to(target)
    (elsewhere / "back").symlink_to(raw)
    done = check(raw)
    assert done.counts() == {("loose files", "read"): 2, ("csn", "read"): 1}
    assert "links that lead back up were not followed: 1" in done.out


def test_names_of_any_kind_are_kept_in_the_table_and_harmless_on_a_terminal(tmp_path, check):
    raw = tmp_path / "raw"
    write_record(raw / "one", noise(1, samples=100))
    header = (raw / "one.hea").read_bytes()
    names = ["with blank", "line\nend", "Ärzte", "esc\x1b[31m", "-" * 200, 'comma,quote"', "a.b.c"]
    for name in names:
        (raw / "sub dir" / name).mkdir(parents=True)
        (raw / "sub dir" / name / f"{name}.hea").write_bytes(header.replace(b"one.dat", b"../../one.dat"))
    Path(os.fsdecode(bytes(raw) + b"/\xff\xfe.hea")).write_bytes(header)
    done = check(raw, "--min-seconds", "0.1")
    assert {row["record_id"] for row in done.rows} == {*names, "one", "\\udcff\\udcfe"}
    assert {row["status"] for row in done.rows} == {"read"}
    assert next(row for row in done.rows if "\n" in row["path"])["path"] == "sub dir/line\nend/line\nend.hea"
    assert "\x1b" not in done.out
    assert max(map(len, done.out.splitlines())) <= 160


def test_deep_folders_are_walked(tmp_path, check):
    deep = tmp_path / "raw"
    deep.mkdir()
    here = os.open(deep, os.O_RDONLY)
    for _ in range(1200):  # deeper than Python recurses; a path may have 4,096 characters
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("lost.dat", os.O_CREAT, dir_fd=here))
    os.close(here)
    try:
        assert [row["reason"] for row in check(deep).rows] == ["no_header"]
    finally:
        subprocess.run(["rm", "-r", deep], check=True)  # pytest recurses when it cleans up


def test_a_folder_of_ten_thousand_files(tmp_path, check):
    raw = tmp_path / "raw"
    write_record(raw / "one", noise(1, samples=100))
    for i in range(3333):
        for ending in (".hea", ".dat"):
            os.link(raw / f"one{ending}", raw / f"r{i}{ending}")
        os.link(raw / "one.dat", raw / f"orphan{i}.dat")
    done = check(raw, "--min-seconds", "0.1")
    assert done.counts() == {("loose files", "read"): 3334, ("loose files", "rejected"): 3333}


# --- the CSV file, processes, interrupts


def test_the_csv_file_has_a_line_per_record(tmp_path, check):
    write_mimic(tmp_path / "raw", {"11": ("7", [])})
    done = check(tmp_path / "raw")
    assert done.rows == [
        {
            "archive": "mimic_iv_ecg", "record_id": "11", "path": "files/s11/11.hea", "status": "read", "flags": "",
            "reason": "", "detail": "", "fs": "500", "seconds": "10",
            "leads": "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6", "patient": "7",
        }
    ]  # fmt: skip
    assert [path.name for path in Path().iterdir()] == ["found.csv"]


@pytest.mark.parametrize("name", ["folder", "folder/file.txt/x.csv"])
def test_a_csv_file_that_cannot_be_written_is_one_line_before_anything_is_read(tmp_path, capsys, name, monkeypatch):
    write_record(tmp_path / "raw/one", noise(1))
    Path("folder").mkdir()
    Path("folder/file.txt").touch()
    monkeypatch.setattr(reading, "read_one", None)
    assert command.main([str(tmp_path / "raw"), "--csv", name]) == 1
    assert re.fullmatch(r"check: folder[^\n]*\n", capsys.readouterr().err)


def test_several_processes_give_the_same_rows(tmp_path, monkeypatch):
    raw = tmp_path / "raw"
    write_record(raw / "one", noise(1, samples=100))
    for i in range(60):
        os.link(raw / "one.hea", raw / f"r{i}.hea")
    monkeypatch.setattr(reading, "_BATCH", 7)
    monkeypatch.setattr(reading, "_ALONE", 2)
    rows = [list(reading.read_all(find.Finder(raw, find.Others()), DEFAULTS, n)) for n in (1, 2)]
    assert len(rows[0]) == 61
    assert rows[0] == rows[1]


def test_an_interrupt_is_one_line_and_leaves_no_half_table(tmp_path):
    raw = tmp_path / "raw"
    write_record(raw / "one", noise(1, samples=60_000, leads=12), fs=700)
    for i in range(20_000):
        os.link(raw / "one.hea", raw / f"r{i}.hea")
    arguments = [sys.executable, "-m", "kmerl.archives", "check", str(raw), "--csv", "found.csv", "--processes", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until = time.monotonic() + 60
    while not list(Path().glob(".found.csv.*")) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(3)  # processes start meanwhile, or read
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 1
    assert process.stderr is not None
    assert process.stderr.read() == "check: interrupted\n"
    process.stderr.close()
    assert list(Path().iterdir()) == []


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    write_record(tmp_path / "raw/one", noise(1))
    line = f"PYTHONPATH={ROOT} {sys.executable} -m kmerl.archives check {tmp_path}/raw | true"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_the_program_names_its_commands(capsys):
    assert program.main([]) == program.main(["nonsense"]) == 2
    assert "check" in capsys.readouterr().err


# --- nothing is an exception


def test_an_exception_that_nobody_foresaw_is_a_row(tmp_path, check, monkeypatch):
    for name in ("a", "b"):
        write_record(tmp_path / "raw" / name, noise(1))
    write_csn(tmp_path / "raw/csn", {"JS1": "1000"})

    def fail(recording, params, out):
        raise ZeroDivisionError("of all\nthings")

    monkeypatch.setattr(reading, "prepare", fail)
    done = check(tmp_path / "raw")
    assert (done.status, done.counts()) == (1, {("loose files", "rejected"): 2, ("csn", "rejected"): 1})
    assert {(row["reason"], row["detail"]) for row in done.rows} == {("crash", "ZeroDivisionError: of all things")}
    assert "  rejected  crash  2  a mistake in this program; please report it" in done.out


def test_an_exception_in_an_archives_reader_is_a_row_and_its_files_are_read(tmp_path, check, monkeypatch):
    write_csn(tmp_path / "raw", {"JS1": "1000"})
    monkeypatch.setattr(find, "checked", lambda *_: 1 / 0)
    done = check(tmp_path / "raw")
    assert done.reasons() == {".": "crash"}
    assert done.counts() == {("csn", "rejected"): 1, ("csn, other files", "read"): 1}


@pytest.fixture(scope="module")
def kinds_of_files(tmp_path_factory):
    """Records of several kinds, whose files are damaged one by one."""
    folder = tmp_path_factory.mktemp("kinds")
    for format in ("16", "212", "24", "80"):
        samples = np.clip(noise(1, samples=300), -100, 100) if format == "80" else noise(1, samples=300)
        write_record(folder / f"f{format}", samples, format=format)
    write_csn(folder / "csn", {"JS1": "1000"})
    write_cpsc2018(folder / "cpsc", {"A0001": "1"}, A0001=noise(1, samples=300).T / 1000)
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@settings(max_examples=200)
@given(data=st.data())
def test_no_damage_is_a_crash(kinds_of_files, data):
    path = data.draw(st.sampled_from(list(kinds_of_files)))
    content = bytearray(kinds_of_files[path])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        new = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b"0", b"-1", b"9" * 12, b"1e9", b"/", b"x", b" "]))
        )
        content[at : at + data.draw(st.integers(0, 8))] = new
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    root = (
        path.parents[1]
        if path.parent.name in ("csn", "cpsc")
        else next(p for p in path.parents if p.name[:5] == "kinds")
    )
    params = DEFAULTS.model_copy(update={"min_seconds": 0.1})
    try:
        rows = list(reading.read_all(find.Finder(root, find.Others()), params, 1))
    finally:
        path.write_bytes(kinds_of_files[path])
    assert [row for row in rows if row.reason == "crash"] == []
    assert len(rows) >= 6
    assert not any("\n" in row.detail for row in rows)


# --- words and numbers


def test_every_flag_and_reason_is_explained():
    texts = json.loads(files("kmerl.report").joinpath("texts.json").read_text("utf-8"))
    documented = set(re.findall(r"``(\w+)``", (prepare.__doc__ or "").partition("Args:")[0]))
    assert documented | {"unknown_code"} == set(FLAGS)
    assert set(FLAGS) <= set(texts["flags"])
    sources = [path.read_text("utf-8") for path in (ROOT / "kmerl").rglob("*.py") if "simulate" not in path.parts]
    given_reasons = {
        reason
        for source in sources
        for pattern in (
            r'RecordError\(\s*"(\w+)"',
            r'Rejected\([^"]*(?:"[^"]*", )?"(\w+)"',
            r'"(\w+)", (?:f"|detail|crash|str\()',
        )
        for reason in re.findall(pattern, source)
        if "_" in reason or reason == "crash"
        if reason != "unknown_code"  # a flag
    }
    assert {"bad_header", "too_short", "repeated_id", "unreadable_folder", "crash", "bad_table"} <= given_reasons
    assert given_reasons <= set(texts["reasons"]), given_reasons - set(texts["reasons"])
    assert set(texts["reasons"]) >= OF_TABLES
    document = (ROOT / "docs/check.md").read_text("utf-8")
    for word in {*FLAGS, *OF_TABLES, "crash"}:
        assert f"`{word}`" in document


def test_the_values_used_without_a_project_are_the_projects():
    preprocess = load(ROOT / "params.yaml").preprocess
    assert {name: getattr(preprocess, name) for name in WaveformParams.model_fields} == DEFAULTS.model_dump()


def test_parameters_are_the_projects_and_options_come_before_them(tmp_path, check):
    path = tmp_path / "work/params.yaml"
    values = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    values["preprocess"]["min_seconds"] = 2
    path.write_text(yaml.safe_dump(values))
    assert params_of(path, {})[0].min_seconds == 2
    assert params_of(path, {"min_seconds": 3, "fs": None})[0].min_seconds == 3
    write_record(tmp_path / "raw/one", noise(1, samples=1000))
    done = check(tmp_path / "raw")
    assert (done.status, done.out.count("at least 2 s"), done.out.count("(params.yaml)")) == (0, 1, 1)
    assert check(tmp_path / "raw", "--min-seconds", "3").status == 1
    values["preprocess"]["fs"] = "many"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"preprocess\.fs"):
        params_of(path, {})
    path.write_text("train: {lr: 0.1}\n")  # another program's
    assert params_of(path, {})[0] == DEFAULTS


def test_a_summary_does_not_grow_with_its_records():
    tally = Tally()
    for i in range(5000):
        tally.add(Row(LOOSE, str(i), str(i), "read", fs=100 + i / 7, seconds=5 + i / 3, leads=1))
    assert len(tally.rates) < 100
    assert len(tally.lengths) < 2500
    assert tally.median() == pytest.approx(5 + 2500 / 3, rel=0.01)
    others = find.Others()
    for i in range(1000):
        others.add(f".{i}")
    assert (len(others.files), others.files.total()) == (101, 1000)
    summary = Summary({LOOSE: tally})
    assert text("x", "y", summary, others).splitlines()[-1].startswith("5,000 records: 5,000 read whole")


def test_a_candidate_is_read_as_preprocessing_reads_it(tmp_path):
    write_record(tmp_path / "a", noise(1, samples=4000))
    row = reading.read_one(Candidate(LOOSE, "a", "a.hea", str(tmp_path / "a.hea"), None, ("unknown_code",)), DEFAULTS)
    assert (row.status, row.flags, row.seconds) == ("read", ("padded", "unknown_code"), 8)


# --- looking at archives and what is made of them


@pytest.mark.parametrize("name", ["mimic_iv_ecg", "ptb_xl", "cpsc2018", "csn"])
def test_every_archive_and_what_is_made_of_it_is_shown(tmp_path, capsys, name):
    raw, split = tmp_path / "raw", {}
    if name == "mimic_iv_ecg":
        write_mimic(raw, STUDIES)
    elif name == "ptb_xl":
        write_ptb_xl(raw)
        split = {"split": "official"}
    elif name == "cpsc2018":
        write_cpsc2018(raw, {"A0001": "1", "A0002": "5,7"})
    else:
        write_csn(raw, {"JS1": "1000", "JS2": "1001"})
    assert inspect.main([str(raw)]) == 0
    out = capsys.readouterr().out
    for words in (f"raw archive, recorded; layout of {name}", ".csv: ", ": 12 leads, ", "kmerl.archives check"):
        assert words in out
    _, made = read(name, raw, tmp_path / "made", **split)
    tables = sorted((tmp_path / "made").glob("*.parquet"))
    assert len(tables) >= 6
    for path in [made.waveforms, *tables]:
        assert inspect.main([str(path)]) == 0
        out = capsys.readouterr().out
        assert re.search(r"records, |table, [\d,]+ rows", out)
        assert max(map(len, out.splitlines())) <= 400


def test_a_table_that_is_none_does_not_hide_an_archive(tmp_path, capsys):
    mimic_tables(tmp_path / "raw", STUDIES)
    (tmp_path / "raw/notes.csv").write_bytes(b"a,b\n\xff,1,2\n")
    assert inspect.main([str(tmp_path / "raw")]) == 0
    assert "notes.csv: not readable as a table" in capsys.readouterr().out


# --- real records


def test_real_samples_are_counted(samples, check):
    done = check(samples)
    assert done.status == 0
    assert done.counts() == {
        ("ptb_xl", "read"): 500, ("ptb_xl, other files", "read"): 999, ("mimic_iv_ecg", "rejected"): 1,
        ("loose files", "read"): 58, ("loose files", "repaired"): 2,
    }  # fmt: skip
    assert set(done.reasons().values()) == {"no_header"}
    assert "crash" not in done.out
    flags = Counter(flag for row in done.rows for flag in row["flags"].split())
    assert flags == {"resampled": 999, "cropped": 8, "flat_lead": 2}
    assert {row["fs"] for row in done.rows} == {"500", "100", ""}


def test_real_archives_are_shown(samples, capsys):
    for name, words in {
        "ptb-xl": ["layout of ptb_xl", "ptbxl_database.csv: 500 rows", "00001_lr"], "mimic-iv-ecg": ["layout of mimic"],
        "cpsc2018-original/A1980.mat": ["record A1980: 12 leads"], "cinc2021/JS20000.mat": ["12 leads", "# Dx"],
    }.items():  # fmt: skip
        assert inspect.main([str(samples / name)]) == 0
        out = capsys.readouterr().out
        for word in words:
            assert word in out
