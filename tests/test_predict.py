import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from scipy.io import savemat

from kmerl import predict
from kmerl.checkpoint import save_run
from kmerl.history import HISTORY
from kmerl.leads import LEADS
from kmerl.use import model as use
from tests.archives import write_record
from tests.used import config, ecg, embed, network

FS = 250
MV = ecg(6, FS)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder; texts are embedded without the real encoder."""
    monkeypatch.setattr(use, "_encoder", lambda *_: embed)
    settings = config()
    save_run(tmp_path / "run", network(settings), settings, pl.from_arrow(HISTORY.empty_table()))
    (tmp_path / "names.txt").write_text("# asked\natrial fibrillation\n\nlong QT\n")
    write_record(tmp_path / "a", np.round(MV * 1000).astype(np.int16).T, fs=FS, gain=1000.0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(capsys, *arguments):
    status = predict.main(["--run", "run", *arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def probabilities(text):
    return {name: float(value) for name, value in re.findall(r"^(\S.*?) {2,}(\d\.\d{3})", text, re.MULTILINE)}


def csv(names, rows):
    return "\n".join(",".join(map(str, row)) for row in [names, *rows]) + "\n"


FILES = {
    "a.hea": (None, ()),
    "b.mat": (lambda path: savemat(path, {"val": MV}), ("--fs", "250", "--leads", ",".join(LEADS))),
    "c.npy": (lambda path: np.save(path, MV * 1000), ("--fs", "250", "--leads", " ".join(LEADS), "--unit", "uV")),
    "d.npy": (
        lambda path: np.save(path, np.round(MV * 2000) + 3),
        ("--fs", "250", "--leads", ",".join(LEADS), "--gain", "2000", "--baseline", "3"),
    ),
    "e.csv": (lambda path: path.write_text(csv(LEADS, MV.T)), ("--fs", "250")),
    "f.csv": (
        lambda path: path.write_text(csv(["time", *LEADS], np.column_stack([np.arange(MV.shape[1]) / FS, MV.T]))),
        (),
    ),
    "g.txt": (lambda path: np.savetxt(path, MV.T), ("--fs", "250", "--leads", ",".join(LEADS))),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gets_the_same_answer(run, capsys, name):
    make, more = FILES[name]
    if make:
        make(run / name)
    expected = probabilities(ask(capsys, "a.hea", "--classes", "names.txt")[1])
    status, out, err = ask(capsys, name, "--classes", "names.txt", *more)
    assert status == 0 and err == ""
    found = probabilities(out)
    assert found.keys() == expected.keys() == {"atrial fibrillation", "long QT"}
    assert found == pytest.approx(expected, abs=0.0011)
    assert f"{name}: 6 s at 250 Hz, resampled to 100 Hz; all 12 leads" in out
    assert "SIMULATED data" in out


def test_a_cpsc2018_file_is_answered(run, capsys):
    savemat(run / "A1.mat", {"ECG": {"sex": "Male", "age": 50, "data": MV}})
    status, out, _ = ask(capsys, "A1.mat", "--leads", "v1,Lead II", "--class", "long QT")
    assert status == 0
    assert "3 s at 500 Hz" in out and "leads II, V1" in out


def test_what_was_answered_is_written_and_drawn(run, capsys):
    status, out, _ = ask(capsys, "a.hea", "--leads", "I", "--csv", "out/all.csv", "--plot", "out/a.png", "--top", "3")
    assert status == 0
    table = pl.read_csv("out/all.csv")
    assert table.columns == ["class", "probability"] and table.height > 60
    assert "(3 of " in out
    shown = probabilities(out)
    assert list(shown) == table["class"].to_list()[:3]
    assert (run / "out" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (run / "out").iterdir()) == ["a.png", "all.csv"]


def test_lists_of_classes_have_names(run, capsys):
    assert len(probabilities(ask(capsys, "a.hea", "--classes", "training", "--top", "0")[1])) == 4
    assert len(probabilities(ask(capsys, "a.hea", "--classes", "ptbxl_super")[1])) == 5
    both = ask(capsys, "a.hea", "--classes", "names.txt", "--class", "a blue cat")[1]
    assert len(probabilities(both)) == 3


def test_doubts_go_to_stderr_line_by_line(run, capsys):
    signal = MV * 1000
    signal[2] = 0
    np.save("a.npy", signal)
    status, out, err = ask(capsys, "a.npy", "--fs", "250", "--leads", ",".join(LEADS), "--class", "x")
    assert status == 0 and "warning" not in out
    lines = err.splitlines()
    assert len(lines) == 2 and all(line.startswith("predict: warning: ") for line in lines)
    assert "unit uV" in lines[0] and "lead III is flat" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: RECORD"),
        (["a.hea", "--lead", "I"], "unrecognized arguments: --lead I"),
        (["a.hea", "--leads"], "expected one argument"),
        (["a.hea", "--fs", "fast"], "invalid float value: 'fast'"),
        (["a.hea", "--top", "-1"], "--top -1"),
        (["a.hea", "--leads", "X"], "lead 'X' is not one of"),
        (["a.hea", "--leads", "I,I"], "twice"),
        (["a.hea", "--leads", ""], "none asked"),
        (["a.hea", "--fs", "500"], "leave it out"),
        (["b.hea"], "b.hea"),
        (["a.hea", "--classes", "absent.txt"], "absent.txt: no such file"),
        (["a.hea", "--classes", "nonsense"], "one of downstream, training"),
        (["a.hea", "--classes", "empty.txt"], "empty.txt: no names"),
        (["a.hea", "--class", " "], "without a name"),
        (["a.hea", "--way", "guess"], "give one of query"),
        (["a.hea", "--context", "crowd"], "give training"),
        (["a.hea", "--combine", "min"], "give mean or max"),
        (["a.hea", "--hop", "60"], "hop 60"),
        (["a.hea", "--plot", "a.doc"], "no kind of picture"),
        (["a.hea", "--class", "x", "--csv", "a.hea/b.csv"], "a.hea/b.csv: cannot be written"),
        (["a.hea", "--run", "elsewhere"], "elsewhere/config.json: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_status_1(run, capsys, arguments, message):
    (run / "empty.txt").write_text("# nothing\n")
    status, out, err = ask(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("predict: ") and err.count("\n") == 1
    assert message in err


def test_help_comes_without_loading_a_model():
    code = (
        "import sys; from kmerl import predict\n"
        "try: predict.main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0 and 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--leads" in done.stdout
