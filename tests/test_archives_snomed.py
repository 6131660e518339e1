"""CPSC2018 and CSN: their files, labels and mistakes; and both on real records."""

import shutil

import numpy as np
import polars as pl
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from kmerl.archives.archive import RecordEntry, Rejected
from kmerl.archives.classes import class_names
from kmerl.archives.layouts import CPSC2018_LABELS, CPSC2018_SNOMED
from kmerl.archives.recordings import read_file
from kmerl.archives.registry import open_archive
from kmerl.archives.schemas import REJECTED, TARGETS
from kmerl.archives.wfdb_format import RecordError
from kmerl.artifacts import read_table
from kmerl.errors import UserError
from kmerl.leads import LEADS
from tests.archives import csn_codes, read, write_cpsc2018, write_csn


def labels(entry):
    return {code for _, code in entry.targets}


def test_cpsc2018_labels_are_read_by_number_and_waveforms_in_millivolts(tmp_path):
    long = np.random.default_rng(1).normal(0, 0.4, (12, 9000))
    short = long[:, :3100]
    write_cpsc2018(tmp_path / "raw", {"A0001": "1", "A0002": "5,7", "A0003": "2,3,9"}, A0001=long, A0003=short)
    summary, made = read("cpsc2018", tmp_path / "raw", tmp_path)
    assert set(read_table(made.targets, TARGETS).iter_rows()) == {
        ("A0001", "cpsc2018", "NORM"), ("A0002", "cpsc2018", "CRBBB"), ("A0002", "cpsc2018", "VPC"),
        ("A0003", "cpsc2018", "AFIB"), ("A0003", "cpsc2018", "1AVB"), ("A0003", "cpsc2018", "STE"),
    }  # fmt: skip
    store = made.store()
    # the first and third hold noise, in which no limb lead follows from others
    assert store.records["flags"].to_list() == [["cropped", "limb_leads"], [], ["limb_leads", "padded"]]
    assert store.records["patient_id"].null_count() == 3
    np.testing.assert_allclose(store.read(0, LEADS), long[:, :5000], atol=5e-5)
    np.testing.assert_allclose(store.read(2, LEADS)[:, :3100], short, atol=5e-5)
    np.testing.assert_allclose(store.read(2, LEADS)[:, 3100:], 0, atol=5e-5)
    assert "cropped 1, limb_leads 2, padded 1" in str(summary)


def test_cpsc2018_files_may_lie_in_the_folders_they_were_packed_in(tmp_path):
    write_cpsc2018(tmp_path, {"A0001": "1", "A0002": "4"})
    (tmp_path / "TrainingSet2").mkdir()
    (tmp_path / "A0002.mat").rename(tmp_path / "TrainingSet2/A0002.mat")
    entries = list(open_archive("cpsc2018", tmp_path).records())
    assert [read_file(entry.file).samples.shape for entry in entries] == [(12, 5000)] * 2


def test_cpsc2018_labels_outside_the_nine_are_flagged_or_rejected(tmp_path):
    write_cpsc2018(tmp_path, {"A0001": "8,12", "A0002": "", "A0003": "0"})
    first, *others = open_archive("cpsc2018", tmp_path).records()
    assert (labels(first), list(first.flags)) == ({"STD"}, ["unknown_code"])
    assert [(e.record_id, e.reason) for e in others] == [("A0002", "bad_labels"), ("A0003", "bad_labels")]


def test_both_label_systems_of_cpsc2018_name_all_its_classes():
    assert set(CPSC2018_LABELS.values()) == set(CPSC2018_SNOMED.values()) == set(class_names("cpsc2018"))


def test_cpsc2018_without_its_table_is_read_as_the_mirror_has_it(tmp_path):
    write_csn(tmp_path / "g1", {"A0001": "59118001,164884008", "A0002": "426783006,999", "A0003": "999", "A0004": None})
    (tmp_path / "g1/WFDBRecords").rename(tmp_path / "records")
    entries = list(open_archive("cpsc2018", tmp_path).records())
    assert [labels(entry) for entry in entries[:2]] == [{"CRBBB", "VPC"}, {"NORM"}]
    assert [list(entry.flags) for entry in entries[:2]] == [[], ["unknown_code"]]
    assert [entry.reason for entry in entries[2:]] == ["bad_labels"] * 2
    assert read_file(entries[0].file).samples.shape == (12, 5000)


def test_cpsc2018_with_neither_table_nor_headers_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match=r"REFERENCE.csv: no such file; copy it there"):
        list(open_archive("cpsc2018", tmp_path).records())


HOSTILE = {
    "no ECG": ({"EEG": 1}, "bad_struct"),
    "no struct": ({"ECG": np.ones((12, 9))}, "bad_struct"),
    "no data": ({"ECG": {"sex": "Male"}}, "bad_struct"),
    "two structs": ({"ECG": np.zeros((1, 2), dtype=[("data", object)])}, "bad_struct"),
    "text": ({"ECG": {"data": "twelve leads"}}, "bad_struct"),
    "objects": ({"ECG": {"data": np.array([[1, "a"], [2.0, np.ones(3)]], dtype=object)}}, "bad_struct"),
    "complex": ({"ECG": {"data": np.ones((12, 9)) * 1j}}, "bad_struct"),
    "a struct": ({"ECG": {"data": {"x": 1}}}, "bad_struct"),
    "across": ({"ECG": {"data": np.ones((5000, 12))}}, "bad_struct"),
    "three axes": ({"ECG": {"data": np.ones((12, 3, 3))}}, "bad_struct"),
    "empty": ({"ECG": {"data": np.ones((12, 0))}}, "bad_struct"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_struct_of_another_make_is_refused_with_its_reason(tmp_path, case):
    content, reason = HOSTILE[case]
    savemat(tmp_path / "r.mat", content)
    refused(tmp_path / "r.mat", reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no_signal_file"),
        (b"", "empty_signal_file"),
        (b"no MATLAB file at all" * 20, "unreadable_signal"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n" * 20, "unreadable_signal"),
    ],
)
def test_a_file_that_is_no_matlab_file_is_refused_with_its_reason(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "r.mat").write_bytes(content)
    refused(tmp_path / "r.mat", reason)


def refused(path, reason):
    with pytest.raises(RecordError) as caught:
        read_file(path)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["float64", "float32", "int16", "uint8", "int64"])
def test_a_struct_is_read_as_scipy_reads_it_whatever_its_numbers(tmp_path, compressed, kind):
    data = np.random.default_rng(1).integers(0, 99, (12, 33)).astype(kind)
    savemat(tmp_path / "r.mat", {"other": 1, "ECG": {"age": 4, "data": data, "sex": "F"}}, do_compression=compressed)
    np.testing.assert_allclose(read_file(tmp_path / "r.mat").millivolts(), data, atol=1e-3)
    assert loadmat(tmp_path / "r.mat")["ECG"]["data"].item().dtype == data.dtype


def test_a_packed_struct_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    savemat(tmp_path / "r.mat", {"ECG": {"data": np.zeros((12, 90_000))}}, do_compression=True)
    monkeypatch.setattr("kmerl.archives.cpsc_format._LIMIT", 1_000_000)
    refused(tmp_path / "r.mat", "unreadable_signal")


def test_missing_and_infinite_samples_of_a_struct_are_missing(tmp_path):
    data = np.random.default_rng(1).normal(0, 1, (12, 50))
    data[3, 7], data[4, 8] = np.nan, np.inf
    savemat(tmp_path / "r.mat", {"ECG": {"data": data}})
    found = read_file(tmp_path / "r.mat").millivolts()
    assert np.argwhere(np.isnan(found)).tolist() == [[3, 7], [4, 8]]
    np.testing.assert_allclose(found[0], data[0], atol=1e-4)


@pytest.fixture(scope="module", params=[False, True])
def struct_file(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("struct")
    content = {"ECG": {"sex": "Male", "age": 5, "data": np.arange(120.0).reshape(12, 10)}}
    savemat(folder / "whole.mat", content, do_compression=request.param)
    return folder


@settings(deadline=None, max_examples=300)  # files are written
@given(data=st.data())
def test_a_damaged_struct_is_read_or_refused_in_one_line(struct_file, data):
    content = bytearray((struct_file / "whole.mat").read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[position] = data.draw(st.integers(0, 255))
    (struct_file / "r.mat").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert read_file(struct_file / "r.mat").samples.shape[0] == 12
    except RecordError as error:
        assert error.reason in ("empty_signal_file", "unreadable_signal", "bad_struct")
        assert "\n" not in str(error)


@pytest.mark.parametrize("header", ["Acronym Name,Full Name,Snomed_CT", "\ufeffAcronymName,FullName,Snomed_CT"])
def test_csn_labels_are_whole_codes_and_not_letters(tmp_path, header):
    code = csn_codes()
    dx = {
        "JS00001": f"{code['AFIB']},{code['1AVB']}",
        "JS00002": f" {code['SB']} , {code['TWC']}",
        "JS00003": f"{code['SR']},55930002",
        "JS00004": None,
        "JS00005": " ",
    }
    write_csn(tmp_path / "raw", dx, header)
    summary, made = read("csn", tmp_path / "raw", tmp_path)
    assert set(read_table(made.targets, TARGETS).iter_rows()) == {
        ("JS00001", "csn", "AFIB"), ("JS00001", "csn", "1AVB"), ("JS00002", "csn", "TWC"), ("JS00003", "csn", "SR"),
    }  # fmt: skip
    # MERL drops the third
    assert made.store().records["flags"].to_list() == [[], [], ["unknown_code"]]
    reasons = dict(read_table(made.rejected, REJECTED).select("record_id", "reason").iter_rows())
    assert reasons == {"JS00004": "bad_labels", "JS00005": "bad_labels"}
    assert "unknown_code 1" in str(summary)


def test_a_code_with_several_acronyms_is_the_published_class(tmp_path):
    write_csn(tmp_path, {"JS00001": "7"})
    table = tmp_path / "ConditionNames_SNOMED-CT.csv"
    table.write_text(table.read_text().replace(f",{csn_codes()['LBBB']}\n", ",7\n") + "LFBBB,x,7\nLBBBB,x,7\n")
    (entry,) = open_archive("csn", tmp_path).records()
    assert (labels(entry), list(entry.flags)) == ({"LBBB"}, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.unlink(), "no such file; copy it"),
        (lambda table: table.write_text(table.read_text().replace("Snomed_CT", "Code")), "no column Snomed_CT"),
        (lambda table: table.write_text(table.read_text().replace("JEB,", "JEX,")), "no row for JEB; take the file"),
        (lambda table: shutil.rmtree(table.parent / "WFDBRecords"), "WFDBRecords: no header files below it"),
    ],
)
def test_what_csn_lacks_is_one_clear_line(tmp_path, change, message):
    write_csn(tmp_path, {"JS00001": "1"})
    change(tmp_path / "ConditionNames_SNOMED-CT.csv")
    with pytest.raises(UserError, match=message) as caught:
        list(open_archive("csn", tmp_path).records())
    assert "\n" not in str(caught.value)


def test_a_damaged_csn_record_is_rejected_and_the_others_are_kept(tmp_path):
    write_csn(tmp_path / "raw", {f"JS0000{i}": csn_codes()["SR"] for i in range(1, 5)})
    record = tmp_path / "raw/WFDBRecords/01/010"
    (record / "JS00001.hea").write_text("no header at all\n")
    (record / "JS00002.mat").write_bytes((record / "JS00002.mat").read_bytes()[:-1])
    (record / "JS00003.mat").unlink()
    _, made = read("csn", tmp_path / "raw", tmp_path)
    reasons = dict(read_table(made.rejected, REJECTED).select("record_id", "reason").iter_rows())
    assert reasons == {
        "JS00001": "bad_header", "JS00002": "truncated_signal_file", "JS00003": "no_signal_file",
    }  # fmt: skip


# --- real records


def test_real_cpsc2018_structs_are_stored_as_they_are(samples, tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(samples / "cpsc2018-original", raw)
    lines = [f"{path.stem},{i % 9 + 1},," for i, path in enumerate(sorted(raw.glob("*.mat")))]
    (raw / "REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\n" + "\n".join(lines) + "\n")
    _, made = read("cpsc2018", raw, tmp_path)
    store = made.store()
    assert len(store.records) == len(lines) == 10
    for row, name in enumerate(store.records["record_id"]):
        data = loadmat(raw / f"{name}.mat")["ECG"]["data"].item()[:, :5000]
        stored = store.read(row, LEADS)
        np.testing.assert_allclose(stored[:, : data.shape[1]], data, atol=2e-4)
        # Einthoven and Goldberger tell the order of the unnamed leads
        np.testing.assert_allclose(stored[2], stored[1] - stored[0], atol=3e-3)
        np.testing.assert_allclose(stored[4], stored[0] - stored[1] / 2, atol=3e-3)
        np.testing.assert_allclose(stored[5], stored[1] - stored[0] / 2, atol=3e-3)


def test_real_csn_records_are_read_as_the_wfdb_package_reads_them(samples, tmp_path):
    folder = tmp_path / "WFDBRecords/20/200"
    folder.mkdir(parents=True)
    source = samples / "cinc2021"
    shutil.copy(source / "ConditionNames_SNOMED-CT.csv", tmp_path)
    for path in sorted(source.glob("JS*")):
        shutil.copy(path, folder)
    entries = list(open_archive("csn", tmp_path).records())
    assert len(entries) == 20
    assert not [entry for entry in entries if isinstance(entry, Rejected)]
    names = pl.read_csv(source / "ConditionNames_SNOMED-CT.csv", infer_schema=False)
    acronyms = dict(zip(names["Snomed_CT"].reverse(), names["AcronymName"].reverse(), strict=True))
    for entry in entries:
        record = wfdb.rdrecord(str(entry.file.with_suffix("")))
        found = read_file(entry.file)
        assert list(found.leads) == record.sig_name
        np.testing.assert_array_equal(found.millivolts(), record.p_signal.T)
        (dx,) = [c.split(":")[1].strip().split(",") for c in record.comments if c.startswith("Dx")]
        assert labels(entry) == {acronyms[c] for c in dx if c in acronyms} & set(class_names("csn"))
        assert ("unknown_code" in entry.flags) == bool(set(dx) - set(acronyms))
    assert all(isinstance(e, RecordEntry) and "APB" in labels(e) for e in entries)


@pytest.mark.parametrize(("task", "file", "first"), [("cpsc2018", "icbeb", 7), ("csn", "chapman", 3)])
def test_the_classes_are_those_of_the_published_files(samples, task, file, first):
    columns = pl.read_csv(samples / f"merl_splits/{file}_test.csv", n_rows=0).columns
    assert list(class_names(task)) == columns[first:]
