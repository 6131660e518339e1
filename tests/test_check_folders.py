"""``python -m kmerl.archives check``: whatever lies below a folder, each record gets a row; nothing is an exception."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from archives import (
    noise,
    write_cpsc2018,
    write_csn,
    write_record,
)
from checked import Checked
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from kmerl.archives.check import command, find
from kmerl.archives.check import read as reading
from kmerl.archives.check.params import DEFAULTS


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Not in the project's folder, whose params.yaml a user may have changed."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def check(capsys):
    return lambda folder, *options: Checked(capsys, folder, *options)


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
        (raw / "sub dir" / name / f"{name}.hea").write_bytes(header)
        shutil.copy(raw / "one.dat", raw / "sub dir" / name)
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
