"""Simulated CPSC2018 and CSN: their bytes, their labels, and the readers of the real archives on them."""

import csv
import struct
import time
import zlib
from itertools import islice

import numpy as np
import pytest
import wfdb
import yaml
from scipy.io import loadmat, whosmat

from kmerl.archives.archive import RecordEntry
from kmerl.archives.classes import class_names
from kmerl.archives.layouts import CPSC2018_SNOMED
from kmerl.archives.recordings import read_file
from kmerl.archives.registry import open_archive
from kmerl.archives.simulate import conditions, cpsc2018, csn, population
from kmerl.archives.simulate.params import SimulateParams
from kmerl.errors import UserError
from kmerl.leads import LEADS
from tests.test_simulate import ROOT, files, params

WRITERS = {"cpsc2018": cpsc2018.write, "csn": csn.write}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("labelled"), params(records=40)
    truth = {name: write(folder / name, 7, getattr(made, name))[0] for name, write in WRITERS.items()}
    return folder, truth


@pytest.mark.parametrize("name", WRITERS)
def test_the_reader_of_the_real_archive_reads_every_record(written, name):
    folder, truth = written
    entries = list(open_archive(name, folder / name).records())
    assert [e.record_id for e in entries] == [row["record_id"] for row in truth[name]]
    for entry in entries:
        assert isinstance(entry, RecordEntry)
        assert not entry.flags
        found = read_file(entry.file).millivolts()
        assert 0.2 < np.ptp(found, axis=1).max() < 20
        i, ii = found[0], found[1]
        np.testing.assert_allclose(found[2], ii - i, atol=3e-3)
        np.testing.assert_allclose(found[3], -(i + ii) / 2, atol=3e-3)
        np.testing.assert_allclose(found[4], i - ii / 2, atol=3e-3)


def test_labels_follow_what_was_simulated(written):
    folder, truth = written
    for name, pairs in {
        "cpsc2018": {
            "atrial_fibrillation": "AFIB",
            "right_bundle_branch_block": "CRBBB",
            "pac": "PAC",
            "normal": "NORM",
        },
        "csn": {"atrial_fibrillation": "AFIB", "right_bundle_branch_block": "RBBB", "pac": "APB", "sinus_rhythm": "SR"},
    }.items():
        found = {e.record_id: {c for _, c in e.targets} for e in open_archive(name, folder / name).records()}
        for row in truth[name]:
            for key, code in pairs.items():
                assert (code in found[row["record_id"]]) == (key in row["conditions"])


def test_a_cpsc2018_file_is_a_compressed_matlab_5_struct_as_the_real_ones(written):
    path = sorted((written[0] / "cpsc2018").glob("*.mat"))[0]
    content = path.read_bytes()
    assert content[:19] == b"MATLAB 5.0 MAT-file"
    assert content[124:128] == b"\x00\x01IM"
    kind, size = struct.unpack("<II", content[128:136])
    assert (kind, size) == (15, len(content) - 136)
    assert struct.unpack("<I", zlib.decompress(content[136:])[:4]) == (14,)
    assert whosmat(path) == [("ECG", (1, 1), "struct")]
    ecg = loadmat(path)["ECG"]
    assert ecg.dtype.names == ("sex", "age", "data")
    assert ecg["sex"].item()[0] in ("Male", "Female")
    assert 18 <= ecg["age"].item().item() <= 92
    assert ecg["data"].item().dtype == np.float64


def test_cpsc2018_has_one_to_three_labels_and_lengths_within_its_bounds(written):
    folder, _ = written
    made = params().cpsc2018
    with (folder / "cpsc2018/REFERENCE.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Recording", "First_label", "Second_label", "Third_label"]
    lengths = []
    for record, *cells in rows:
        given = [int(cell) for cell in cells if cell]
        assert 1 <= len(given) <= 3
        assert given == sorted(set(given))
        assert set(given) <= set(range(1, 10))
        lengths.append(read_file(folder / f"cpsc2018/{record}.mat").samples.shape[1] / 500)
    assert made.shortest <= min(lengths) < max(lengths) <= made.longest
    assert len(set(lengths)) > 30


def test_a_csn_record_has_the_bytes_and_the_lines_of_the_real_ones(written):
    headers = sorted((written[0] / "csn/WFDBRecords").rglob("*.hea"))
    assert headers[0].relative_to(written[0]).as_posix() == "csn/WFDBRecords/01/010/JS00001.hea"
    for header in headers[:5]:
        record = wfdb.rdrecord(str(header.with_suffix("")), physical=False)
        assert record.sig_name == list(LEADS)
        assert (set(record.fmt), set(record.byte_offset), set(record.adc_gain)) == ({"16"}, {24}, {1000.0})
        assert [c % 65536 for c in record.calc_checksum()] == [c % 65536 for c in record.checksum]
        assert record.init_value == list(record.d_signal[0])
        first, *lines = header.read_text().splitlines()
        assert first == f"{header.stem} 12 500 5000"
        assert lines[0].startswith(f"{header.stem}.mat 16x1+24 1000.0(0)/mV 16 0 ")
        assert [line.split(":")[0] for line in lines[12:]] == ["# Age", "# Sex", "# Dx", "# Rx", "# Hx", "# Sx"]
        np.testing.assert_array_equal(loadmat(header.with_suffix(".mat"))["val"], record.d_signal.T)


def test_a_csn_file_begins_and_a_header_reads_as_a_real_one_does(written, samples):
    real, ours = samples / "cinc2021/JS20000.mat", written[0] / "csn/WFDBRecords/01/010/JS00001.mat"
    assert ours.read_bytes()[:24] == real.read_bytes()[:24]
    assert ours.stat().st_size == real.stat().st_size
    checksums = [int(line.split()[6]) for line in real.with_suffix(".hea").read_text().splitlines()[1:13]]
    assert min(checksums) < 0  # signed, as ours
    assert min(int(line.split()[6]) for line in ours.with_suffix(".hea").read_text().splitlines()[1:13]) < 0


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_seed_gives_the_same_bytes_at_another_time(tmp_path, name):
    made = getattr(params(faulty=0.2, records=6), name)
    WRITERS[name](tmp_path / "a", 3, made)
    time.sleep(1.1)  # a date in a file would show
    WRITERS[name](tmp_path / "b", 3, made)
    WRITERS[name](tmp_path / "c", 4, made)
    assert files(tmp_path / "a") == files(tmp_path / "b") != files(tmp_path / "c")


@pytest.mark.parametrize("name", WRITERS)
def test_broken_records_are_broken_as_announced(tmp_path, name):
    made = getattr(params(faulty=0.3, records=30), name)
    _, broken = WRITERS[name](tmp_path / "r", 5, made)
    found = {"nan": 0, "dead_lead": 0, "truncated": 0}
    for entry in open_archive(name, tmp_path / "r").records():
        try:
            signals = read_file(entry.file).millivolts()
        except UserError:
            found["truncated"] += 1
            continue
        found["nan"] += bool(np.isnan(signals).any())
        found["dead_lead"] += bool((np.ptp(signals, axis=1) == 0).any())
    assert found == broken
    assert min(found.values()) > 0


@pytest.mark.parametrize("name", WRITERS)
def test_every_class_occurs_among_the_codes_of_the_conditions(tmp_path, name):
    """In the codes that a condition may get, for those that the archive has; so the rota brings every class."""
    had = [c for c in conditions.table().values() if c.weights[name] > 0 or c.key == "normal"]
    possible = {choice[0] for c in had for code in c.snomed[name] for choice in code.alternatives}
    if name == "cpsc2018":
        assert {CPSC2018_SNOMED[code] for code in possible} == set(class_names("cpsc2018"))
        return
    WRITERS[name](tmp_path / "r", 1, getattr(params(records=1), name))
    classes = open_archive(name, tmp_path / "r").code_classes()
    assert possible <= set(classes)
    assert {acronym for code in possible for acronym in classes[code]} == set(class_names("csn"))


def test_an_archives_rota_holds_only_what_it_can_have():
    made = params().csn.population
    for name in WRITERS:
        seen = {
            key for visit in islice(population.visits(1, name, "all", 300, made, 0), 300) for key in visit.conditions
        }
        assert all(conditions.table()[key].weights[name] > 0 or key == "normal" for key in seen)
        # all of them, thanks to the rota
        if name == "csn":
            assert {c.key for c in conditions.table().values() if c.weights[name] > 0} <= seen


def test_conditions_that_only_csn_names_leave_the_other_archives_as_they_were():
    only = {c.key for c in conditions.table().values() if not c.weights["mimic_iv_ecg"]} - {"normal"}
    assert only == {
        "atrial_tachycardia", "junctional_escape", "ventricular_escape", "clockwise_rotation",
        "counterclockwise_rotation", "prominent_u_wave", "long_st",
    }  # fmt: skip
    assert all(not conditions.table()[key].weights["ptb_xl"] for key in only)


def test_impossible_sizes_are_refused_where_they_are_validated():
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["simulate"]
    values["cpsc2018"] |= {"shortest": 30, "longest": 20}
    with pytest.raises(ValueError, match=r"shortest \(30 s\) is more than longest"):
        SimulateParams.model_validate(values)
    values["cpsc2018"] |= {"shortest": 6, "fs": 250}
    with pytest.raises(ValueError, match="fs"):
        SimulateParams.model_validate(values)
