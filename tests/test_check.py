"""``python -m kmerl.archives check``: archives are recognised, and the answer is complete, in words and as CSV."""

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

import pytest
import yaml
from archives import (
    mimic_tables,
    noise,
    read,
    write_cpsc2018,
    write_csn,
    write_mimic,
    write_record,
)
from checked import STUDIES, Checked, write_all, write_mirror, write_ptb_xl

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
from kmerl.preprocessing.repair import WaveformParams, prepare

ROOT = Path(__file__).parents[1]
LOOSE = Group("loose files", ".")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Not in the project's folder, whose params.yaml a user may have changed."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def check(capsys):
    return lambda folder, *options: Checked(capsys, folder, *options)


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


# --- words and numbers


def test_every_flag_and_reason_is_explained():
    texts = json.loads(files("kmerl.page").joinpath("texts.json").read_text("utf-8"))
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


@pytest.mark.parametrize(
    ("name", "status", "counts", "flags"),
    [
        ("ptb-xl", 0, {("ptb_xl", "read"): 500, ("ptb_xl, other files", "read"): 999}, {"resampled": 999}),
        ("mimic-iv-ecg", 1, {("mimic_iv_ecg", "rejected"): 1}, {}),
        ("cinc2021", 0, {("loose files", "read"): 48, ("loose files", "repaired"): 2}, {"flat_lead": 2}),
        ("cpsc2018-original", 0, {("loose files", "read"): 10}, {"cropped": 8}),
    ],
)
def test_real_samples_are_counted(samples, check, name, status, counts, flags):
    done = check(samples / name)
    assert (done.status, done.counts()) == (status, counts)
    assert set(done.reasons().values()) <= {"no_header"}
    assert "crash" not in done.out
    assert Counter(flag for row in done.rows for flag in row["flags"].split()) == flags
    assert {row["fs"] for row in done.rows} <= {"500", "100", ""}


def test_real_archives_are_shown(samples, capsys):
    for name, words in {
        "ptb-xl": ["layout of ptb_xl", "ptbxl_database.csv: 500 rows", "00001_lr"], "mimic-iv-ecg": ["layout of mimic"],
        "cpsc2018-original/A1980.mat": ["record A1980: 12 leads"], "cinc2021/JS20000.mat": ["12 leads", "# Dx"],
    }.items():  # fmt: skip
        assert inspect.main([str(samples / name)]) == 0
        out = capsys.readouterr().out
        for word in words:
            assert word in out
