import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.use.delimited import read_delimited
from kmerl.use.files import read_signal
from kmerl.use.signal import Stated
from tests.archives import write_record
from tests.used import ecg

FS = 250
SIGNAL = ecg(4, FS)
STEPS = np.round(SIGNAL * 1000).astype(np.int16)
MV = STEPS / 1000


def table(path, names, rows, delimiter=",", comma=False):
    lines = [delimiter.join(names)] if names else []
    lines += [delimiter.join(f"{value:.3f}" for value in row) for row in rows]
    path.write_text("\n".join(lines).replace(".", "," if comma else ".") + "\n", "utf-8")


def write_wfdb(path, **changes):
    write_record(path, STEPS.T, fs=FS, gain=1000.0, **changes)


def write_mat_with_header(folder):
    write_wfdb(folder / "a")
    lines = (folder / "a.hea").read_text().replace("a.dat 16 ", "a.mat 16+24 ")
    (folder / "a.hea").write_text(lines)
    (folder / "a.mat").write_bytes(bytes(24) + (folder / "a.dat").read_bytes())
    (folder / "a.dat").unlink()


def timed(path, stamps, name):
    table(path, [name, *LEADS], np.column_stack([stamps, MV.T]))


TIME = np.arange(MV.shape[1]) / FS


@pytest.mark.parametrize(
    ("write", "name", "leads", "stated"),
    [
        (lambda folder: write_wfdb(folder / "a"), "a.hea", None, Stated()),
        (lambda folder: write_wfdb(folder / "a"), "a.dat", None, Stated()),
        (lambda folder: write_wfdb(folder / "a"), "a", None, Stated()),
        (write_mat_with_header, "a.mat", None, Stated()),
        (lambda folder: savemat(folder / "a.mat", {"val": STEPS}), "a.mat", LEADS, Stated(FS, gain=1000)),
        (lambda folder: savemat(folder / "a.mat", {"ecg": MV.T, "fs": 250.0}), "a.mat", LEADS, Stated()),
        (lambda folder: savemat(folder / "a.mat", {"val": MV}, format="4"), "a.mat", LEADS, Stated(FS)),
        (lambda folder: savemat(folder / "a.mat", {"val": MV}, do_compression=True), "a.mat", LEADS, Stated(FS)),
        (lambda folder: np.save(folder / "a.npy", MV), "a.npy", LEADS, Stated(FS)),
        (lambda folder: np.save(folder / "a.npy", STEPS.T), "a.npy", LEADS, Stated(FS, "uV")),
        (lambda folder: table(folder / "a.csv", LEADS, MV.T), "a.csv", None, Stated(FS)),
        (lambda folder: table(folder / "a.csv", None, MV.T), "a.csv", LEADS, Stated(FS)),
        (lambda folder: table(folder / "a.tsv", LEADS, MV.T, "\t"), "a.tsv", None, Stated(FS)),
        (lambda folder: table(folder / "a.txt", LEADS, MV.T, " "), "a.txt", None, Stated(FS)),
        (lambda folder: table(folder / "a.csv", LEADS, MV.T, ";", comma=True), "a.csv", None, Stated(FS)),
        (lambda folder: table(folder / "a.csv", [f"{x} [uV]" for x in LEADS], MV.T * 1e3), "a.csv", None, Stated(FS)),
        (lambda folder: timed(folder / "a.csv", TIME, "time"), "a.csv", None, Stated()),
        (lambda folder: timed(folder / "a.csv", TIME * 1000, "Time (ms)"), "a.csv", None, Stated()),
        (lambda folder: timed(folder / "a.csv", TIME * 1000, "time_ms"), "a.csv", None, Stated()),
        (lambda folder: timed(folder / "a.csv", np.arange(len(TIME)), "sample"), "a.csv", None, Stated(FS)),
        (lambda folder: timed(folder / "a.csv", TIME * 0, "time"), "a.csv", None, Stated(FS)),
    ],
)
def test_every_kind_of_file_gives_the_same_signal(tmp_path, write, name, leads, stated):
    write(tmp_path)
    found = read_signal(tmp_path / name, leads, stated)
    assert found.recording.leads == LEADS
    assert found.recording.fs == FS
    np.testing.assert_allclose(found.recording.millivolts(), MV, atol=1e-4)
    assert [line for line in found.warnings if "turned" not in line] == []


def test_a_cpsc2018_struct_is_read_by_its_own_reader(tmp_path):
    savemat(tmp_path / "A1.mat", {"ECG": {"sex": "Male", "age": 50, "data": MV}})
    found = read_signal(tmp_path / "A1.mat", ["V2", "I"])
    assert found.recording.leads == ("I", "V2")
    assert found.recording.fs == 500
    np.testing.assert_allclose(found.recording.millivolts(), MV[[0, 7]], atol=1e-4)


def test_leads_name_the_columns_that_have_no_lead_names(tmp_path):
    table(tmp_path / "a.csv", ["time", "ecg"], np.column_stack([TIME, MV[1]]))
    assert read_signal(tmp_path / "a.csv", ["II"]).recording.leads == ("II",)
    table(tmp_path / "b.csv", ["time", "II", "spo2"], np.column_stack([TIME, MV[1], MV[2]]))
    found = read_signal(tmp_path / "b.csv")
    assert found.recording.leads == ("II",)
    assert found.warnings == ("channel 'spo2' is none of the twelve leads; it was left out",)
    assert not read_signal(tmp_path / "b.csv", ["II"]).warnings


def test_empty_cells_are_missing_samples(tmp_path):
    (tmp_path / "a.csv").write_text("# device 7\nI,II\n" + "0.1,0.2\n,NaN\n" + "0.3,0.1\n" * 600)
    found = read_signal(tmp_path / "a.csv", None, Stated(FS)).recording.millivolts()
    assert np.isnan(found[:, 1]).all() and np.isnan(found).sum() == 2


def test_a_header_without_a_gain_is_said(tmp_path):
    write_wfdb(tmp_path / "a")
    text = (tmp_path / "a.hea").read_text().replace("1000.0(0)/mV", "0(0)/mV", 1)
    (tmp_path / "a.hea").write_text(text)
    found = read_signal(tmp_path / "a.hea")
    assert found.warnings == ("the header gives no gain for lead I; it means 200 steps per mV",)
    assert not read_signal(tmp_path / "a.hea", ["II"]).warnings


def write(name, content):
    def make(folder):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return make


ROWS = "0.1,0.2\n" * 600


@pytest.mark.parametrize(
    ("make", "name", "leads", "stated", "message"),
    [
        (None, "absent.hea", None, Stated(), "no file absent.hea"),
        (None, "absent.npy", None, Stated(), "no such file"),
        (None, ".", None, Stated(), "no such file"),
        (write("a.edf", "x"), "a.edf", None, Stated(), "no kind of file that is read here"),
        (write("a.hea", "nonsense"), "a.hea", None, Stated(), "number of signals"),
        (lambda folder: write_wfdb(folder / "a"), "a.hea", None, Stated(500), "format gives fs; leave it out"),
        (lambda folder: write_wfdb(folder / "a"), "a.hea", ["V7"], Stated(), "'V7' is not one of"),
        (write("a.npy", b"\x93NUMPY nonsense"), "a.npy", ["I"], Stated(FS), "not readable as an array"),
        (lambda d: np.save(d / "a.npy", np.array([{}])), "a.npy", ["I"], Stated(FS), "not readable as an array"),
        (lambda d: np.save(d / "a.npy", MV), "a.npy", None, Stated(FS), "no names"),
        (lambda d: np.save(d / "a.npy", MV), "a.npy", LEADS, Stated(), "sampling rate is not known"),
        (write("a.mat", "nonsense"), "a.mat", ["I"], Stated(FS), "no whole MATLAB 5 file"),
        (lambda d: savemat(d / "a.mat", {"a": MV, "b": MV}), "a.mat", LEADS, Stated(FS), "found: a, b"),
        (lambda d: savemat(d / "a.mat", {"a": "text"}), "a.mat", LEADS, Stated(FS), "found: none"),
        (lambda d: savemat(d / "a.mat", {"ECG": {"age": 5}}), "a.mat", None, Stated(), "found: none"),
        (write("a.mat", b"\x1e\0\0\0nonsense"), "a.mat", ["I"], Stated(FS), "no whole MATLAB 4 file"),
        (write("a.mat", "MATLAB 7.3 MAT-file"), "a.mat", ["I"], Stated(FS), "option -v7"),
        (write("a.csv", ""), "a.csv", None, Stated(FS), "empty"),
        (write("a.csv", b"\xff\xfe\x00I"), "a.csv", None, Stated(FS), "not readable as text"),
        (write("a.csv", "I,II\n"), "a.csv", None, Stated(FS), "header without rows"),
        (write("a.csv", "I,II\n" + ROWS + "0.1\n"), "a.csv", None, Stated(FS), "line 602: 1 columns"),
        (write("a.csv", "I,II\n" + ROWS + "0.1,x\n"), "a.csv", None, Stated(FS), "line 602: 'x' is no number"),
        (write("a.csv", ROWS), "a.csv", None, Stated(FS), "no names"),
        (write("a.csv", "I,II\n" + ROWS), "a.csv", None, Stated(), "sampling rate is not known"),
        (write("a.csv", "I,II\n" + ROWS), "a.csv", ["V1"], Stated(FS), "lead V1 asked, but the record has I, II"),
        (write("a.csv", "a,b\n" + ROWS), "a.csv", None, Stated(FS), "none of the twelve leads is there"),
        (write("a.csv", "I (mV),II (uV)\n" + ROWS), "a.csv", None, Stated(FS), "bring them to one unit"),
        (write("a.csv", "I (mV),II (mV)\n" + ROWS), "a.csv", None, Stated(FS, "uV"), "header says mV"),
        (write("a.csv", "time,t,I\n1,2,3\n"), "a.csv", None, Stated(FS), "one of times at most"),
        (write("a.csv", "time,I\n" + "1,2\n" * 600), "a.csv", None, Stated(), "does not count up"),
        (write("a.csv", "time,I\n0,1\n1,2\n9,3\n"), "a.csv", None, Stated(), "not evenly spaced"),
        (lambda d: timed(d / "a.csv", TIME * 1000, "time"), "a.csv", None, Stated(), r"mean 0.25 Hz; .* 'time \(ms\)'"),
    ],
)  # fmt: skip
def test_an_unusable_file_is_refused_in_one_line_with_its_name(tmp_path, make, name, leads, stated, message):
    if make:
        make(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        read_signal(tmp_path / name, leads, stated)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(tmp_path))


cells = st.one_of(st.text(max_size=8), st.floats(allow_nan=True).map(str), st.sampled_from(["I", "time (ms)", "", "1"]))


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.lists(cells, max_size=4).map(",".join), max_size=6).map("\n".join)))
def test_any_text_is_a_table_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read_delimited(path, timed=True)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.values.ndim == 2
        assert found.names is None or len(found.names) == len(found.values)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=2, max_size=20), st.sampled_from(",;\t "))
@settings(deadline=None)
def test_a_table_keeps_its_numbers_whatever_the_delimiter(tmp_path_factory, rows, delimiter):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text("\n".join(delimiter.join(map(repr, row)) for row in [*rows]) + "\n")
    np.testing.assert_array_equal(read_delimited(path, timed=True).values, np.array(rows).T)
