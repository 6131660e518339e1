"""Simulated archives: their files as the wfdb package reads them, their tables, and what they promise."""

import ast
import csv
import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import wfdb
import yaml

from kmerl.archives.simulate import conditions, hearts, mimic_iv_ecg, population, ptb_xl, reporting
from kmerl.archives.simulate.params import SimulateParams
from kmerl.errors import UserError
from kmerl.leads import canonical
from kmerl.randomness import generator
from stages import simulate

ROOT = Path(__file__).parent.parent


def params(faulty=0.0, **sizes):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["simulate"]
    values["mimic_iv_ecg"] |= {"records": sizes.get("records", 60)}
    values["mimic_iv_ecg"]["faults"] = {"nan": faulty, "dead_lead": faulty, "truncated": faulty}
    values["ptb_xl"]["records"] = {"train": 48, "valid": 12, "test": 24}
    for name in ("cpsc2018", "csn"):
        values[name] |= {"records": sizes.get("records", 60)}
        values[name]["faults"] = {"nan": faulty, "dead_lead": faulty, "truncated": faulty}
    values["ptb_xl"]["faults"] = {"nan": 0.0, "dead_lead": 0.0, "truncated": 0.0}
    return SimulateParams.model_validate(values)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    made = params()
    return SimpleNamespace(
        mimic=folder / "mimic_iv_ecg",
        ptbxl=folder / "ptb_xl",
        mimic_truth=mimic_iv_ecg.write(folder / "mimic_iv_ecg", 7, made.mimic_iv_ecg)[0],
        ptbxl_truth=ptb_xl.write(folder / "ptb_xl", 7, made.ptb_xl)[0],
    )


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def records(folder):
    return [wfdb.rdrecord(str(path.with_suffix("")), physical=False) for path in sorted(folder.rglob("*.hea"))]


@pytest.mark.parametrize("name", ["mimic", "ptbxl"])
def test_einthoven_and_goldberger_hold_to_two_units_on_the_written_files(archives, name):
    for record in records(getattr(archives, name)):
        leads = {canonical(lead): record.d_signal[:, i].astype(int) for i, lead in enumerate(record.sig_name)}
        i, ii = leads["I"], leads["II"]
        assert np.abs(leads["III"] - (ii - i)).max() <= 2
        assert np.abs(leads["aVR"] + (i + ii) / 2).max() <= 2
        assert np.abs(leads["aVL"] - (i - ii / 2)).max() <= 2
        assert np.abs(leads["aVF"] - (ii - i / 2)).max() <= 2


def test_lead_names_orders_and_gains_are_each_archives_own(archives):
    mimic, ptbxl = records(archives.mimic), records(archives.ptbxl)
    chest = ["V1", "V2", "V3", "V4", "V5", "V6"]
    for record in mimic:
        assert record.sig_name == ["I", "II", "III", "aVR", "aVF", "aVL", *chest]
        assert record.adc_gain == [200.0] * 12
        assert record.comments[0].startswith("<subject_id>: 1")
    for record in ptbxl:
        assert record.sig_name == ["I", "II", "III", "AVR", "AVL", "AVF", *chest]
        assert record.adc_gain == [1000.0] * 12
    for record in mimic + ptbxl:
        assert (record.fs, record.sig_len, set(record.fmt), set(record.units)) == (500, 5000, {"16"}, {"mV"})


@pytest.mark.parametrize("name", ["mimic", "ptbxl"])
def test_headers_carry_the_right_checksums_and_first_samples(archives, name):
    for record in records(getattr(archives, name)):
        assert record.calc_checksum() == record.checksum
        assert list(record.d_signal[0]) == record.init_value


def test_mimic_tables_name_every_file_and_have_the_real_columns(archives):
    listed, measured = rows(archives.mimic / "record_list.csv"), rows(archives.mimic / "machine_measurements.csv")
    assert list(listed[0]) == ["subject_id", "study_id", "file_name", "ecg_time", "path"]
    assert len(measured[0]) == 33
    assert [row["study_id"] for row in listed] == [row["study_id"] for row in measured]
    for row in listed:
        s, t = row["subject_id"], row["study_id"]
        assert row["path"] == f"files/p{s[:4]}/p{s}/s{t}/{t}"
        assert (archives.mimic / f"{row['path']}.dat").stat().st_size == 120_000
    assert len({row["subject_id"] for row in listed}) < len(listed)


def test_machine_measurements_agree_with_the_truth(archives):
    truth = {row["record_id"]: set(row["conditions"]) for row in archives.mimic_truth}
    for row in rows(archives.mimic / "machine_measurements.csv"):
        found = truth[row["study_id"]]
        if found & {"atrial_fibrillation", "atrial_flutter", "supraventricular_tachycardia"}:
            assert row["p_onset"] == row["p_end"] == row["p_axis"] == "29999"
        if "normal" in found:
            assert 65 <= int(row["qrs_end"]) - int(row["qrs_onset"]) <= 120
        if found & {"left_bundle_branch_block", "right_bundle_branch_block"}:
            assert int(row["qrs_end"]) - int(row["qrs_onset"]) >= 108
        if "sinus_bradycardia" in found and "pvc" not in found:
            assert int(row["rr_interval"]) > 1000


def test_ptb_xl_tables_have_the_real_columns_and_codes(archives):
    database, statements = rows(archives.ptbxl / "ptbxl_database.csv"), rows(archives.ptbxl / "scp_statements.csv")
    assert len(database[0]) == 28
    known = {row[""] for row in statements}
    assert len(known) == 71
    for row in database:
        codes = ast.literal_eval(row["scp_codes"])
        assert codes
        assert set(codes) <= known
        assert all(likelihood in (0, 15, 35, 50, 80, 100) for likelihood in codes.values())
        assert (archives.ptbxl / f"{row['filename_hr']}.dat").exists()


def test_patients_never_cross_folds(archives):
    folds = {}
    for row in rows(archives.ptbxl / "ptbxl_database.csv"):
        folds.setdefault(row["patient_id"], set()).add(row["strat_fold"])
    assert all(len(found) == 1 for found in folds.values())
    counts = [int(row["strat_fold"]) for row in rows(archives.ptbxl / "ptbxl_database.csv")]
    assert (sum(f < 9 for f in counts), counts.count(9), counts.count(10)) == (48, 12, 24)


def test_every_fold_group_goes_through_the_rota_of_conditions(archives):
    found = {key for row in archives.mimic_truth for key in row["conditions"]}
    assert len(found) > 30


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path):
    made = params(faulty=0.2, records=12)
    mimic_iv_ecg.write(tmp_path / "a", 3, made.mimic_iv_ecg)
    mimic_iv_ecg.write(tmp_path / "b", 3, made.mimic_iv_ecg)
    mimic_iv_ecg.write(tmp_path / "c", 4, made.mimic_iv_ecg)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    first, other = files(tmp_path / "a"), files(tmp_path / "c")
    # contents, wherever they lie: names differ already by the drawn numbers
    assert set(first.values()) & set(other.values()) == {first["SIMULATED"]}


def test_broken_records_are_broken_as_announced(tmp_path):
    _, broken = mimic_iv_ecg.write(tmp_path / "m", 5, params(faulty=0.3, records=40).mimic_iv_ecg)
    found = {"nan": 0, "dead_lead": 0, "truncated": 0}
    for header in (tmp_path / "m").rglob("*.hea"):
        samples = np.fromfile(header.with_suffix(".dat"), "<i2")
        if len(samples) != 60_000:
            found["truncated"] += 1
        elif (samples == -32768).any():
            found["nan"] += 1
        elif (samples.reshape(5000, 12) == 0).all(axis=0).any():
            found["dead_lead"] += 1
    assert found == broken
    assert min(found.values()) > 0


def test_there_are_at_least_forty_conditions_each_with_signs_statements_and_a_way_to_be_drawn():
    table = conditions.table()
    phrased = {key for keys, _ in reporting.phrases() for key in keys.split("+")}
    reported = {key for key, c in table.items() if c.weights["mimic_iv_ecg"] or c.weights["ptb_xl"]}
    assert len(reported) >= 40
    assert reported | {"normal"} == phrased
    scheduled = {c.key for c in table.values() if c.group in ("rhythm", "ectopy", "av", "normal")}
    assert set(table) == scheduled | set(hearts.CHANGES)
    for condition in table.values():
        assert condition.signs
        assert condition.key == "normal" or any(weight > 0 for weight in condition.weights.values())
        for kind in ("german", "english"):
            assert condition.key not in reported or (condition.key, kind) in reporting.phrases()
        assert condition.excludes <= set(table) | {c.group for c in table.values()}


def test_every_condition_can_be_the_one_that_a_recording_is_drawn_for():
    person = hearts.patient(1, "mimic_iv_ecg", 1, 0.08)
    for key in conditions.table():
        if key != "normal":
            found = hearts.findings("mimic_iv_ecg", person, generator(1, key), key)
            assert key in found
            assert 1 <= len(found) <= 4


def test_drawn_conditions_agree_with_one_another(archives):
    for row in archives.mimic_truth + archives.ptbxl_truth:
        keys = [key for key in row["conditions"] if key != "normal"]
        assert sum(conditions.table()[key].group == "rhythm" for key in keys) == 1
        assert all(conditions.compatible(a, b) for a in keys for b in keys if a != b)


def test_chronic_conditions_stay_with_a_patient():
    made = params(records=200).mimic_iv_ecg
    seen = {}
    for visit in population.visits(2, "mimic_iv_ecg", "all", 200, made.population, 0):
        seen.setdefault(visit.patient.number, []).append(set(visit.conditions))
    kept = [
        "left_bundle_branch_block" in found
        for visits in seen.values()
        if any("left_bundle_branch_block" in found for found in visits)
        for found in visits
    ]
    assert np.mean(kept) > 0.7


def test_reports_speak_as_machines_do():
    made = params(records=500).mimic_iv_ecg
    texts, mentioned, there = [], 0, 0
    for visit in population.visits(1, "mimic_iv_ecg", "all", 500, made.population, 0):
        recording = hearts.record(visit.patient, visit.conditions, visit.draw, 500, 1500, made.noise)
        found = reporting.machine_report(recording, visit.prior, recording.noisy, made.reports, visit.draw).statements
        cells = reporting.columns(found, visit.draw)
        assert len(cells) == 18
        assert found == [cell for cell in cells if cell]
        text = ". ".join(found).lower()
        texts.append(text)
        if "left_bundle_branch_block" in visit.conditions:
            there += 1
            mentioned += "lbbb" in text or "left bundle" in text
    everything = "\n".join(texts)
    for piece in ("possible", "cannot rule out", "consider", "no evidence of", "compared to prior ecg", "normal ecg",
                  "abnormal ecg", "borderline ecg", "--- warning:", "a-v block", "rbbb", "lvh", "pac(s)"):  # fmt: skip
        assert piece in everything
    assert mentioned >= 0.7 * there > 3
    assert len(set(texts)) > 200


def test_the_stage_writes_archive_marker_and_truth(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = SimpleNamespace(seed=1, simulate=params(records=8))
    summary = simulate.main(made, "mimic_iv_ecg")
    assert summary.startswith("8 records of")
    assert "simulated" in Path("data/simulated/mimic_iv_ecg/SIMULATED").read_text()
    truth = pq.read_table("data/truth/mimic_iv_ecg.parquet")
    assert truth.column_names == ["record_id", "patient_id", "conditions", "asserted", "not_excluded", "denied"]
    with pytest.raises(UserError, match=r"no simulator for 'georgia'; .* ptb_xl, cpsc2018, csn"):
        simulate.main(made, "georgia")
