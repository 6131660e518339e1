"""Archives in their official layouts: what is read of them, and what each mistake is answered with."""

import re
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import yaml

from kmerl.archives.archive import ArchiveParams, RecordEntry, Rejected
from kmerl.archives.classes import archive_of, class_names, tasks
from kmerl.archives.manifest import MANIFEST, list_files
from kmerl.archives.ptb_xl import PtbXl
from kmerl.archives.registry import ARCHIVES, open_archive
from kmerl.archives.schemas import REJECTED, STATEMENTS, TARGETS
from kmerl.artifacts import read_metadata, read_table
from kmerl.catalogue import draw_split
from kmerl.errors import UserError
from kmerl.waveforms import WaveformStore
from stages import catalogue as catalogue_stage
from stages import preprocess as preprocess_stage
from stages import register as register_stage
from tests.archives import SPLIT, noise, params, ptb_xl_tables, read, write_mimic, write_record
from workflow import profile

STUDIES = {
    "11": ("7", ["Sinus rhythm", "", "  Normal ECG "]),
    "12": ("8", []),
    "13": ("7", ["Atrial fibrillation", "PVC"]),
    "14": ("9", ["Sinus rhythm"]),
}


def test_mimic_statements_are_joined_by_study_and_not_by_row(tmp_path):
    write_mimic(tmp_path / "raw", STUDIES)  # its two tables are in opposite orders
    entries = list(open_archive("mimic_iv_ecg", tmp_path / "raw").records())
    assert {e.record_id: (e.patient_id, list(e.statements)) for e in entries} == {
        "11": ("7", ["Sinus rhythm", "Normal ECG"]),
        "12": ("8", []),
        "13": ("7", ["Atrial fibrillation", "PVC"]),
        "14": ("9", ["Sinus rhythm"]),
    }


def test_mimic_leads_are_stored_by_name(tmp_path):
    write_mimic(tmp_path / "raw", {"11": STUDIES["11"]})  # stored with aVF before aVL
    _, made = read("mimic_iv_ecg", tmp_path / "raw", tmp_path)
    store = made.store()
    stored = noise(11).T / 200
    assert store.read(0, ["aVF"])[0] == pytest.approx(stored[4], abs=1e-6)
    assert store.read(0, ["aVL"])[0] == pytest.approx(stored[5], abs=1e-6)


def test_statements_without_a_listed_record_are_rejected(tmp_path):
    write_mimic(tmp_path, STUDIES)
    lines = (tmp_path / "record_list.csv").read_text().splitlines()
    (tmp_path / "record_list.csv").write_text("\n".join(line for line in lines if "/14" not in line))
    entries = list(open_archive("mimic_iv_ecg", tmp_path).records())
    assert [(e.record_id, e.reason) for e in entries if isinstance(e, Rejected)] == [("14", "not_listed")]


def test_every_record_is_kept_or_rejected_with_its_reason(tmp_path):
    raw = tmp_path / "raw"
    write_mimic(raw, {str(i): ("7", ["Sinus rhythm"]) for i in range(11, 20)})
    data = {i: raw / f"files/s{i}/{i}.dat" for i in range(11, 20)}
    data[12].write_bytes(data[12].read_bytes()[:-7])
    data[13].unlink()
    data[14].write_bytes(b"")
    data[15].with_suffix(".hea").unlink()
    data[16].with_suffix(".hea").write_text("no header at all\n")
    data[17].with_suffix(".hea").write_text(re.sub(r"\S+$", "X", data[17].with_suffix(".hea").read_text(), flags=re.M))
    write_record(raw / "files/s18/18", noise(18, samples=2400))
    data[19].with_suffix(".hea").write_text(data[19].with_suffix(".hea").read_text().replace("/mV", "/mmHg"))
    summary, made = read("mimic_iv_ecg", raw, tmp_path)
    rejected = read_table(made.rejected, REJECTED)
    assert dict(rejected.select("record_id", "reason").iter_rows()) == {
        "12": "truncated_signal_file", "13": "no_signal_file", "14": "empty_signal_file", "15": "no_header",
        "16": "bad_header", "17": "bad_header", "18": "too_short", "19": "unknown_unit",
    }  # fmt: skip
    assert not any("\n" in detail for detail in rejected["detail"])
    assert made.store().records["record_id"].to_list() == ["11"]
    assert "9 records read, 1 kept" in summary
    assert "truncated_signal_file 1" in summary


def test_an_archive_without_one_usable_record_is_one_clear_line(tmp_path):
    write_mimic(tmp_path / "raw", STUDIES)
    for path in (tmp_path / "raw").rglob("*.hea"):
        path.unlink()
    with pytest.raises(UserError, match=r"no usable record of mimic_iv_ecg \(no_header"):
        read("mimic_iv_ecg", tmp_path / "raw", tmp_path)
    assert not list(tmp_path.glob("lost*")) + list(tmp_path.glob("waveforms*"))


def test_patients_are_never_divided_between_splits(tmp_path):
    write_mimic(tmp_path / "raw", {str(i): (str(i % 4), []) for i in range(20)})
    _, made = read("mimic_iv_ecg", tmp_path / "raw", tmp_path)
    records = made.store().records
    assert records.group_by("patient_id").agg(pl.col("split").n_unique())["split"].to_list() == [1] * 4


def test_a_split_has_about_its_share_and_depends_on_the_seed():
    drawn = [draw_split(1, "a", f"patient {i}", SPLIT) for i in range(4000)]
    assert drawn.count("valid") / 4000 == pytest.approx(0.3, abs=0.03)
    assert drawn.count("test") / 4000 == pytest.approx(0.2, abs=0.03)
    assert drawn != [draw_split(2, "a", f"patient {i}", SPLIT) for i in range(4000)]


def test_ptb_xl_labels_follow_the_official_rule(tmp_path):
    raw = tmp_path / "raw"
    ptb_xl_tables(
        raw,
        [
            ("1", "70.0", 3, "{'NST_': 0.0, 'SR': 0.0}"),
            ("2", "71.0", 9, "{'1AVB': 100.0, 'LVOLT': 0.0}"),
            ("3", "72.0", 10, "{'NORM': 80.0}"),
            ("4", "73.0", 10, "{'NOSUCH': 80.0, 'SR': 0.0}"),
            ("5", "73.0", 1, "NORM"),
        ],
    )
    for i in (1, 2, 4):
        write_record(raw / f"records500/{i}_hr", noise(i))
    summary, made = read("ptb_xl", raw, tmp_path, split="official")
    assert set(read_table(made.targets, TARGETS).iter_rows()) == {
        ("1", "ptbxl_super", "STTC"), ("1", "ptbxl_sub", "NST"), ("1", "ptbxl_form", "NST"),
        ("1", "ptbxl_rhythm", "SR"),
        ("2", "ptbxl_super", "CD"), ("2", "ptbxl_sub", "AVB"), ("2", "ptbxl_form", "LVOLT"),
        ("3", "ptbxl_super", "NORM"), ("3", "ptbxl_sub", "NORM"),  # whether its waveform can be read or not
        ("4", "ptbxl_rhythm", "SR"),
    }  # fmt: skip
    records = made.store().records
    assert list(records.select("record_id", "patient_id", "split").iter_rows()) == [
        ("1", "70", "train"),
        ("2", "71", "valid"),
        ("4", "73", "test"),
    ]
    # a code that is in no table counts nowhere, which is said
    assert records["flags"].to_list() == [[], [], ["unknown_code"]]
    assert "found or mended: unknown_code 1;" in summary
    reasons = dict(read_table(made.rejected, REJECTED).select("record_id", "reason").iter_rows())
    assert reasons == {"3": "no_header", "5": "bad_labels"}


def test_a_class_that_no_query_asks_for_is_one_clear_line(tmp_path):
    ptb_xl_tables(tmp_path, [("1", "70.0", 3, "{'SR': 0.0}")])
    table = tmp_path / "scp_statements.csv"
    table.write_text(table.read_text().replace("STTC", "OTHER"))
    with pytest.raises(UserError, match=r"scp_statements.csv: code NST_ belongs to class OTHER of ptbxl_super"):
        list(open_archive("ptb_xl", tmp_path).records())


def test_a_missing_column_is_named_with_its_file(tmp_path):
    write_mimic(tmp_path, STUDIES)
    table = tmp_path / "machine_measurements.csv"
    table.write_text(table.read_text().replace("report_4", "statement_4"))
    with pytest.raises(UserError, match=r"machine_measurements.csv: no column report_4 .*official release"):
        list(open_archive("mimic_iv_ecg", tmp_path).records())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"study_id,subject_id,path\n1,\xff\xfe\xe4,x\n", "not UTF-8"),
        (b"", "not a readable CSV"),
        (None, "no such file"),
    ],
)
def test_an_unusable_table_is_one_clear_line(tmp_path, content, message):
    write_mimic(tmp_path, STUDIES)
    (tmp_path / "record_list.csv").unlink()
    if content is not None:
        (tmp_path / "record_list.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        list(open_archive("mimic_iv_ecg", tmp_path).records())
    assert "record_list.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_archive_is_one_line_that_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"archive ptb_xl: there is no folder .*none; link .*archives.ptb_xl.folder"):
        open_archive("ptb_xl", tmp_path / "none")
    with pytest.raises(UserError, match="no reader; the archives are mimic_iv_ecg, ptb_xl"):
        open_archive("ptbxl", tmp_path)


def test_the_same_archive_gives_the_same_bytes(tmp_path):
    write_mimic(tmp_path / "raw", STUDIES)
    made = [read("mimic_iv_ecg", tmp_path / "raw", tmp_path / name)[1] for name in ("a", "b")]
    contents = [{p.relative_to(m.waveforms.parent): p.read_bytes() for p in files(m.waveforms.parent)} for m in made]
    assert contents[0] == contents[1]
    names = {str(path) for path in contents[0]}
    assert {"waveforms/records.parquet", "waveforms/shard-00000.npy", "waveforms/shard-00001.npy"} <= names
    assert {"entries.parquet", "statements.parquet", "targets.parquet", "splits.parquet"} <= names


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_manifest_lists_every_file_in_the_order_of_paths(tmp_path):
    for name in ("b/2", "a-b", "a/c", "a/b/z", "a.x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    rows = list(list_files(tmp_path, "sha256"))
    paths = [row["path"] for row in rows]
    assert paths == sorted(str(p.relative_to(tmp_path)) for p in files(tmp_path))
    assert [row["size"] for row in rows] == [len(p) for p in paths]
    before = {row["path"]: row["sha256"] for row in rows}
    (tmp_path / "a-b").write_text("b-a")
    after = {row["path"]: row["sha256"] for row in list_files(tmp_path, "sha256")}
    assert {path for path in paths if before[path] != after[path]} == {"a-b"}


def test_register_and_preprocess_carry_the_origin_along(tmp_path, monkeypatch):
    write_mimic(tmp_path / "raw", STUDIES)
    monkeypatch.chdir(tmp_path)
    archive = ArchiveParams(
        folder="raw", watch="raw", checksum="mtime", split=SPLIT, labels="corrected", crop_seconds=None
    )
    given = SimpleNamespace(seed=1, archives=SimpleNamespace(mimic_iv_ecg=archive), preprocess=params())
    assert "recorded" in register_stage.main(given, "mimic_iv_ecg")
    (tmp_path / "raw/SIMULATED").touch()
    (tmp_path / "raw/.snakemake_timestamp").touch()  # under Snakemake only, and the engines' manifests are the same
    assert register_stage.main(given, "mimic_iv_ecg").startswith("11 files")
    manifest = Path("data/manifests/mimic_iv_ecg.parquet")
    assert read_table(manifest, MANIFEST)["mtime_ns"].null_count() == 0
    assert read_metadata(manifest) == {"archive": "mimic_iv_ecg", "origin": "simulated"}
    assert catalogue_stage.main(given, "mimic_iv_ecg").startswith("4 records")
    Path("data/code.json").write_text('{"preprocess": "0"}')
    assert "4 kept" in preprocess_stage.main(given, "mimic_iv_ecg-1of1")
    assert not list(Path(".scratch").rglob("*.npy"))
    assert WaveformStore("data/waveforms/mimic_iv_ecg").origin == "simulated"
    assert read_metadata("data/statements/mimic_iv_ecg.parquet")["origin"] == "simulated"
    assert read_table("data/statements/mimic_iv_ecg.parquet", STATEMENTS)["record_id"].to_list() == list(STUDIES)[::-1]
    missing = archive.model_copy(update={"folder": "gone"})
    with pytest.raises(UserError, match="archive mimic_iv_ecg: there is no folder gone"):
        register_stage.main(SimpleNamespace(archives=SimpleNamespace(mimic_iv_ecg=missing)), "mimic_iv_ecg")


def test_every_class_has_a_name_of_its_own_within_its_task():
    assert {task: len(class_names(task)) for task in tasks()} == {
        "ptbxl_super": 5, "ptbxl_sub": 23, "ptbxl_form": 19, "ptbxl_rhythm": 12, "cpsc2018": 9, "csn": 38,
    }  # fmt: skip
    for task in tasks():
        names, others = class_names(task), class_names(task, "other_name")
        # no name of one class is a name of another
        assert len({*names.values(), *others.values()}) == 2 * len(names)
        assert list(names) == list(others)
        assert all(n == n.strip() and not set("_/") & set(n) for n in [*names.values(), *others.values()])
        # another name, not the same words in another order
        assert all(set(names[code].lower().split()) != set(others[code].lower().split()) for code in names)
    with pytest.raises(UserError, match="ptbxl_super, ptbxl_sub"):
        class_names("ptbxl")


def test_every_task_belongs_to_an_archive_that_has_a_reader():
    assert [archive_of(task) for task in tasks()] == ["ptb_xl"] * 4 + ["cpsc2018", "csn"]
    assert tasks("ptb_xl") == [task for task in tasks() if task.startswith("ptbxl_")]
    assert tasks("csn") == ["csn"]
    assert tasks("mimic_iv_ecg") == []
    with pytest.raises(UserError, match="'icbeb' has no classes; the tasks are ptbxl_super"):
        archive_of("icbeb")


def test_an_official_split_can_be_drawn_anew_and_one_that_is_not_there_is_refused(tmp_path):
    ptb_xl_tables(tmp_path / "raw", [(str(i), f"{i}.0", 3, "{'SR': 0.0}") for i in range(12)])
    for i in range(12):
        write_record(tmp_path / f"raw/records500/{i}_hr", noise(i))
    _, made = read("ptb_xl", tmp_path / "raw", tmp_path)
    assert set(made.store().records["split"]) == {"train", "valid", "test"}
    write_mimic(tmp_path / "mimic", STUDIES)
    with pytest.raises(UserError, match=r"archives.mimic_iv_ecg.split: .* no official split; write \{unit: record"):
        read("mimic_iv_ecg", tmp_path / "mimic", tmp_path, split="official")


PUBLISHED = {"ptbxl_super": "super_class", "ptbxl_sub": "sub_class", "ptbxl_form": "form", "ptbxl_rhythm": "rhythm"}


@pytest.mark.parametrize("task", PUBLISHED)
def test_real_ptb_xl_labels_and_splits_are_the_published_ones(samples, task):
    entries = {e.record_id: e for e in PtbXl(samples / "ptb-xl").records() if isinstance(e, RecordEntry)}
    compared = 0
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        path = samples / "merl_splits" / f"ptbxl_{PUBLISHED[task]}_{name}.csv"
        table = pl.read_csv(path, infer_schema=False)
        codes = table.columns[6:]
        assert set(codes) == set(class_names(task))
        for row in table.filter(pl.col("ecg_id").is_in(list(entries))).iter_rows(named=True):
            entry = entries[row["ecg_id"]]
            assert {code for t, code in entry.targets if t == task} == {code for code in codes if row[code] == "1"}
            assert entry.split == split
            compared += 1
    assert compared > 100


def test_real_mimic_rows_are_read(samples):
    (entry,) = open_archive("mimic_iv_ecg", samples / "mimic-iv-ecg").records()
    assert isinstance(entry, RecordEntry)
    assert (entry.record_id, entry.patient_id) == ("40689238", "10000032")
    assert list(entry.statements) == ["Sinus rhythm", "Possible right atrial abnormality", "Borderline ECG"]
    expected = samples / "mimic-iv-ecg/files/p1000/p10000032/s40689238/40689238.hea"
    assert entry.file == expected


def test_every_profile_gives_every_archive_a_place_and_a_split():
    root = Path(__file__).parent.parent
    demo = yaml.safe_load((root / "params.yaml").read_text())["archives"]
    for file in sorted((root / "params").glob("*.yaml")):
        archives = yaml.safe_load(profile.merged(file.stem, root / "params.yaml"))["archives"]
        for name, given in archives.items():
            found = ArchiveParams.model_validate(given)
            assert found.split != "official" or ARCHIVES[name].official_split
        # written out there, since it leaves archives away; another value would pretrain again
        if file.stem == "recorded_ptbxl":
            assert archives["mimic_iv_ecg"] == demo["mimic_iv_ecg"]
