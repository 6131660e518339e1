"""The published split files: read as the paper counts them, told apart from mistakes, compared with our own labels."""

import csv
import random
import shutil
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from benchmarks import label_rules
from kmerl.archives.archive import RecordEntry, read_csv
from kmerl.archives.classes import class_names, tasks
from kmerl.archives.csn import Csn
from kmerl.archives.merl_labels import (
    TOTAL,
    acronyms_of,
    check_against,
    csn_corrected,
    csn_member,
    csn_published,
    differences,
    first_acronym,
    read_diagnoses,
    read_published,
    relabelled,
)
from kmerl.archives.ptb_xl import PtbXl
from kmerl.archives.snomed import codes_of
from kmerl.errors import UserError

STEMS = {
    "ptbxl_super": "ptbxl_super_class", "ptbxl_sub": "ptbxl_sub_class", "ptbxl_form": "ptbxl_form",
    "ptbxl_rhythm": "ptbxl_rhythm", "cpsc2018": "icbeb", "csn": "chapman",
}  # fmt: skip
FOLDERS = {
    "ptbxl_super": "ptbxl/super_class", "ptbxl_sub": "ptbxl/sub_class", "ptbxl_form": "ptbxl/form",
    "ptbxl_rhythm": "ptbxl/rhythm", "cpsc2018": "icbeb", "csn": "chapman",
}  # fmt: skip
FILES = {"train": "train", "valid": "val", "test": "test"}
FOLDS = {"train": 3, "valid": 9, "test": 10}


def file_of(folder, task, split):
    return folder / f"{STEMS[task]}_{FILES[split]}.csv"


def name_of(task, number):
    return {"csn": f"JS{number:05d}", "cpsc2018": f"A{number:04d}"}.get(task, str(number))


def row_of(task, record, split, codes):
    """A row of a split file as MERL has it."""
    labels = {code: int(code in codes) for code in class_names(task)}
    if task == "csn":
        path = f"/chapman/WFDBRecords/01/010/{record}.mat"
        return {"ecg_path": path, "age": 12, "diagnose": ",".join(codes) or "SB"} | labels
    if task == "cpsc2018":
        return {"patient_id": 1, "ecg_id": 1, "filename": record, "validation": False, "scp_codes": "{}"} | labels
    return {"ecg_id": record, "strat_fold": FOLDS[split], STEMS[task].removeprefix("ptbxl_"): str(list(codes))} | labels


def write(folder, task, rows, shuffled=None):
    """Files of (record, split, codes), in the order given, or with columns and rows shuffled."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in FILES:
        table = [row_of(task, record, of, codes) for record, of, codes in rows if of == split]
        columns = list(row_of(task, "", split, ()))
        if shuffled:
            shuffled.shuffle(table)
            shuffled.shuffle(columns)
        with file_of(folder, task, split).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(table)


SMALL = [("JS00001", "train", ("SR",)), ("JS00002", "valid", ("TWC", "RBBB")), ("JS00003", "test", ())]


@st.composite
def splits(draw):
    """A task and its rows: every split has one, and the codes of CSN are such as letters and tokens agree on."""
    task = draw(st.sampled_from(tasks()))
    pool = [code for code in class_names(task) if task != "csn" or csn_published([code]) == [code]]
    chosen = st.lists(st.sampled_from(pool), unique=True, max_size=4).map(tuple)
    extra = draw(st.lists(st.sampled_from(list(FILES)), max_size=4))
    return task, [(name_of(task, n), split, draw(chosen)) for n, split in enumerate([*FILES, *extra], 1)]


@given(made=splits(), seed=st.integers(0, 99), nested=st.sampled_from(["", "{}", "finetune/data_split/{}"]))
def test_neither_the_order_of_columns_and_rows_nor_the_layout_matters(made, seed, nested):
    task, rows = made
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / nested.format(FOLDERS[task]), task, rows, random.Random(seed))
        found = read_published(Path(folder), task)
    assert sorted(found.iter_rows()) == sorted((record, split, sorted(codes)) for record, split, codes in rows)
    assert found.schema == {"record_id": pl.String, "split": pl.String, "codes": pl.List(pl.String)}


@given(made=splits(), again=st.sampled_from(list(FILES)), data=st.data())
def test_a_record_that_stands_twice_is_refused(made, again, data):
    task, rows = made
    twice = data.draw(st.sampled_from(rows))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), task, [*rows, (twice[0], again, twice[2])])
        refused(Path(folder), task, rf"record {twice[0]} of {task} stands twice, in \w+ and \w+; take")


@given(made=splits(), data=st.data())
def test_a_value_other_than_0_and_1_is_refused(made, data):
    task, rows = made
    record, split, _ = data.draw(st.sampled_from(rows))
    code = data.draw(st.sampled_from(list(class_names(task))))
    value = data.draw(st.sampled_from(["", "2", "-1", "1.0", "yes", "1\n2", " 1"]))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), task, rows)
        path = file_of(Path(folder), task, split)
        table = pl.read_csv(path, infer_schema=False)
        key = {"csn": "ecg_path", "cpsc2018": "filename"}.get(task, "ecg_id")
        mine = pl.col(key).str.contains(rf"\b{record}\b")
        table.with_columns(pl.when(mine).then(pl.lit(value)).otherwise(code).alias(code)).write_csv(path)
        refused(Path(folder), task, "neither 0 nor 1; take the file from")


def refused(folder, task, message):
    with pytest.raises(UserError, match=message) as caught:
        read_published(folder, task)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def edit(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), r"no chapman_val.csv, nor chapman/chapman_val.csv; take the file"),
        (lambda path: path.write_text(""), "chapman_val.csv: not a readable CSV table"),
        (lambda path: path.write_bytes(b"ecg_path,\xff\xfe\n1,2\n"), "chapman_val.csv: (not a readable|no column)"),
        (lambda path: path.write_text(path.read_text().splitlines()[0] + "\n"), "chapman_val.csv: no rows"),
        (edit(",VEB,", ",VEX,"), "chapman_val.csv: no column VEB; take"),
        (edit("ecg_path", "path"), "chapman_val.csv: no column ecg_path; take"),
        (edit("diagnose", "text"), "chapman_val.csv: no column diagnose; take"),
        (edit("age", "SB"), "chapman_val.csv: unknown column SB; take"),
        (edit("age", "SR"), "chapman_val.csv: unknown column SR_duplicated_0; take"),
        (edit("JS00002.mat", "JS00002"), "ecg_path /chapman/WFDBRecords/01/010/JS00002 names no record of csn; take"),
        (edit('"TWC,RBBB"', "TWC"), "record JS00002 has RBBB TWC, not what diagnose TWC makes; take"),
        (edit('"TWC,RBBB"', ""), r"record JS00002 has RBBB TWC, not what diagnose \(empty\) makes; take"),
        (edit('"TWC,RBBB"', '"TWC,\nRBBB,AF"'), "record JS00002 has RBBB TWC, not what diagnose TWC, RBBB,AF makes"),
    ],
)
def test_what_is_amiss_in_a_file_is_one_clear_line(tmp_path, change, message):
    write(tmp_path, "csn", SMALL)
    change(file_of(tmp_path, "csn", "valid"))
    refused(tmp_path, "csn", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edit("2,9,", "2,10,"), "record 2 is of fold 10, not of valid; take"),
        (edit("2,9,", "2,,"), r"record 2 is of fold \(empty\), not of valid; take"),
        (edit("2,9,", "02,9,"), "ecg_id 02 names no record of ptbxl_rhythm"),
        (edit("strat_fold", "fold"), "no column strat_fold; take"),
        (edit("['SR']", "['AFIB']"), "record 2 has SR, not what rhythm .'AFIB'. makes"),
        (edit("['SR']", "open(1)"), "record 2 has SR, not what rhythm .* makes"),
    ],
)
def test_a_file_of_ptb_xl_that_contradicts_itself_is_refused(tmp_path, change, message):
    write(tmp_path, "ptbxl_rhythm", [("1", "train", ("SR",)), ("2", "valid", ("SR",)), ("3", "test", ("SR",))])
    change(file_of(tmp_path, "ptbxl_rhythm", "valid"))
    refused(tmp_path, "ptbxl_rhythm", message)


def test_a_task_that_is_none_is_refused(tmp_path):
    with pytest.raises(UserError, match="task 'mimic' has no classes"):
        read_published(tmp_path, "mimic")


# --- rules


@given(st.lists(st.sampled_from([*class_names("csn"), "SB", "LVQRSAL", "IDC", "VPE", "3AVB"]), unique=True, max_size=6))
def test_letters_find_every_whole_acronym_and_more(acronyms):
    assert set(csn_corrected(acronyms)) == set(acronyms) & set(class_names("csn"))
    assert set(csn_corrected(acronyms)) <= set(csn_published(acronyms))
    assert csn_published(acronyms) == sorted({c for c in class_names("csn") for a in acronyms if c in a})
    assert csn_published(acronyms) == csn_published(acronyms[::-1])


def test_a_code_has_its_first_acronym_and_a_record_with_another_code_has_none():
    acronyms = first_acronym([("LBBB", "164909002"), ("LBBBB", "164909002"), ("SR ", " 4")])
    assert acronyms == {"164909002": "LBBB", "4": "SR"}
    assert acronyms_of(["4", "164909002"], acronyms) == ["SR", "LBBB"]
    assert acronyms_of(["4", "5"], acronyms) is None
    assert acronyms_of([], acronyms) == []


def frame(*rows):
    return pl.DataFrame(rows, {"record_id": pl.String, "split": pl.String, "codes": pl.List(pl.String)}, orient="row")


def test_differences_are_counted_by_class_and_split():
    published = frame(("1", "train", ["AF", "AFIB"]), ("2", "test", ["SR"]), ("3", "test", []), ("4", "test", ["VB"]))
    corrected = frame(("4", "test", ["SR"]), ("3", "test", []), ("2", "test", ["SR"]), ("1", "train", ["AFIB"]))
    found = differences(published, corrected, "csn")
    assert found["code"].unique(maintain_order=True).to_list() == [*class_names("csn"), TOTAL]
    counts = {(code, split): tuple(rest) for code, split, *rest in found.iter_rows()}
    assert counts["AF", "train"] == (1, 1, 0, 1, 0, 1)
    assert counts["SR", "test"] == (3, 1, 2, 0, 1, 1)
    assert counts["AFIB", "valid"] == (0, 0, 0, 0, 0, 0)
    assert counts[TOTAL, "test"] == (3, 2, 2, 1, 1, 1)
    assert counts[TOTAL, TOTAL] == (4, 4, 3, 2, 1, 2)


@given(splits())
def test_labels_do_not_differ_from_themselves(made):
    task, rows = made
    labels = frame(*((record, split, list(codes)) for record, split, codes in rows))
    found = differences(labels, labels[::-1], task)
    assert found.select("false_positives", "false_negatives", "differing").sum().row(0) == (0, 0, 0)
    (whole,) = found.filter(code=TOTAL, split=TOTAL).iter_rows(named=True)
    assert (whole["records"], whole["published"]) == (len(rows), sum(len(codes) for _, _, codes in rows))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (frame(("1", "test", ["SR"])), r"record 1 \((train|test)\) is in one of two sets only"),
        (frame(("1", "train", ["SR"]), ("2", "test", [])), r"record 2 \(test\) is in one of two sets only"),
        (frame(("1", "train", ["NORM"])), "NORM is none of its classes"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(other, message):
    for pair in (frame(("1", "train", ["SR"])), other), (other, frame(("1", "train", ["SR"]))):
        with pytest.raises(UserError, match=message) as caught:
            differences(*pair, "csn")
        assert "\n" not in str(caught.value)


def test_a_comparison_with_the_published_labels_is_one_line():
    published = frame(("1", "train", ["SR"]), ("2", "test", ["AF", "ST"]), ("3", "test", []), ("4", "test", ["AF"]))
    found = check_against({"1": ["SR"], "2": ["ST"], "3": [], "5": ["SR"], "6": []}, published)
    assert (found.same, found.differing, found.only_here, found.only_published, found.unlabelled) == (2, 1, 1, 1, 1)
    assert str(found) == (
        "2 records with the same labels, 1 with others, 1 only here, 1 only published, 1 without labels: "
        "2 ST, published AF ST; 5 SR, only here; 4 AF, only published"
    )
    assert not found.agrees
    assert len(check_against({str(i): ["SR"] for i in range(9)}, published).examples) == 5
    same = check_against({"1": ["SR"], "2": ["ST", "AF"], "3": (), "4": {"AF"}, "5": []}, published)
    assert same.agrees and str(same).endswith("1 without labels")


# --- the real files

TABLE_3 = {  # the paper's Table 3: classes, train, valid, test
    "ptbxl_super": (5, 17084, 2146, 2158),
    "ptbxl_sub": (23, 17084, 2146, 2158),
    "ptbxl_form": (19, 7197, 901, 880),
    "ptbxl_rhythm": (12, 16832, 2100, 2098),
    "cpsc2018": (9, 4950, 551, 1376),
    "csn": (38, 16546, 1860, 4620),
}


PTB_XL = [task for task in TABLE_3 if task.startswith("ptbxl")]


@pytest.fixture(scope="module")
def folder(samples):
    return samples / "merl_splits"


@pytest.mark.parametrize("task", TABLE_3)
def test_the_real_files_have_the_papers_counts(folder, task):
    found = read_published(folder, task)
    counts = [len(found.filter(split=split)) for split in FILES]
    assert (len(class_names(task)), *counts) == TABLE_3[task] == label_rules.PAPER[task]
    assert set(found["codes"].explode()) - {None} == set(class_names(task))
    assert (found["codes"].list.len() == 0).sum() == (2 if task == "csn" else 0)


def test_the_real_csn_labels_are_those_of_the_released_rule_bit_for_bit(folder):
    compared = 0
    for split in FILES:
        table = pl.read_csv(file_of(folder, "csn", split), infer_schema=False)
        for row in table.iter_rows(named=True):
            made = csn_published(row["diagnose"].split(","))
            assert [int(code in made) for code in class_names("csn")] == [int(row[code]) for code in class_names("csn")]
            compared += 1
    assert compared == 23026
    assert relabelled(read_diagnoses(folder), csn_published).equals(read_published(folder, "csn"))


def test_whole_acronyms_differ_from_the_real_csn_labels_in_these_rows(folder):
    corrected = relabelled(read_diagnoses(folder), csn_corrected)
    found = differences(read_published(folder, "csn"), corrected, "csn")
    rows = {split: (n, of) for split, n, of in found.filter(code=TOTAL).select("split", "differing", "records").rows()}
    assert rows == {"train": (2717, 16546), "valid": (328, 1860), "test": (772, 4620), TOTAL: (3817, 23026)}
    assert found["false_negatives"].sum() == 0
    assert set(found.filter(pl.col("false_positives") > 0)["code"]) == {
        "2AVB", "VB", "SA", "CR", "AF", "AVB", "ST", TOTAL,
    }  # fmt: skip
    vb = {
        split: (n, true) for split, n, true in found.filter(code="VB").select("split", "published", "corrected").rows()
    }
    # three of train are true
    assert vb == {"train": (665, 3), "valid": (82, 0), "test": (169, 0), TOTAL: (916, 3)}


def test_the_real_csn_records_are_those_with_a_class_or_vpe(folder):
    diagnoses = read_diagnoses(folder)
    assert all(csn_member(acronyms) for acronyms in diagnoses["acronyms"])
    without = [row for row in diagnoses.rows() if not csn_published(row[2])]
    assert sorted(without) == [("JS01944", "valid", ["SB", "VPE"]), ("JS04328", "train", ["SB", "VPE"])]
    bare = [frozenset(row[2]) for row in diagnoses.rows() if not csn_corrected(row[2])]
    assert len(bare) == 147
    assert set(bare) == {frozenset({"SB", "VPE"}), frozenset({"SB", "LVQRSAL"})}
    counts = diagnoses["acronyms"].explode().value_counts()
    frequent = dict(counts.filter(pl.col("count") >= 10).iter_rows())
    others = {acronym: n for acronym, n in frequent.items() if acronym not in class_names("csn")}
    assert others == {"SB": 3903, "LVQRSAL": 751, "IDC": 412, "VPE": 12}
    tested = set(diagnoses.filter(split="test")["acronyms"].explode())
    assert set(frequent) - tested == {"VPE"}


def test_the_real_cpsc2018_splits_are_drawn_with_seed_42(folder):
    rest, test = train_test_split(np.arange(1, 6878), test_size=0.2, random_state=42)
    train, valid = train_test_split(rest, test_size=0.1, random_state=42)
    for split, expected in (("train", train), ("valid", valid), ("test", test)):
        table = pl.read_csv(file_of(folder, "cpsc2018", split))
        assert table["ecg_id"].to_list() == expected.tolist()


# in the sample's tables, but not published: of the 38 records that release 1.0.1 has and 1.0.3 has not
OLDER = {"137", "139", "140", "141", "142", "143", "145", "456", "458", "459", "461", "462"}


def test_the_real_ptb_xl_files_have_as_many_records_as_release_1_0_3(folder):
    every = {record for task in PTB_XL for record in read_published(folder, task)["record_id"]}
    assert len(every) == 21799
    assert len({str(n) for n in range(1, 21838)} - every) == 38
    assert not every & OLDER


@pytest.mark.parametrize("task", PTB_XL)
@pytest.mark.parametrize(("database", "rows"), [("ptbxl_database.csv", 500), ("ptbxl_database_rows_1_999.csv", 782)])
def test_the_readers_ptb_xl_is_the_published_one(samples, folder, tmp_path, task, database, rows):
    shutil.copy(samples / "ptb-xl" / database, tmp_path / "ptbxl_database.csv")
    shutil.copy(samples / "ptb-xl/scp_statements.csv", tmp_path)
    every = {entry.record_id: entry for entry in PtbXl(tmp_path).records() if isinstance(entry, RecordEntry)}
    assert len(every) == rows and every.keys() >= OLDER
    entries = {record_id: entry for record_id, entry in every.items() if record_id not in OLDER}
    derived = {record_id: [code for of, code in entry.targets if of == task] for record_id, entry in entries.items()}
    published = read_published(folder, task).filter(pl.col("record_id").is_in(list(every)))
    found = check_against(derived, published)
    assert found.agrees, found
    assert found.same == len(published) > 100
    assert found.same + found.unlabelled == rows - len(OLDER)
    assert all(entries[record_id].split == split for record_id, split, _ in published.iter_rows())


def test_real_csn_headers_make_the_published_records_and_labels(samples, folder, tmp_path):
    source = samples / "cinc2021"
    table = read_csv(source / "ConditionNames_SNOMED-CT.csv", ["AcronymName", "Snomed_CT"], loosely=True)
    acronyms = first_acronym(table.iter_rows())
    headers = {path.stem: path for path in sorted(source.glob("JS*.hea"))}
    made = {name: acronyms_of(codes_of(path), acronyms) for name, path in headers.items()}
    known = {name: found for name, found in made.items() if found is not None}
    published = read_published(folder, "csn").filter(pl.col("record_id").is_in(list(headers)))
    # the other twelve have a code outside the table
    assert (len(headers), len(known), len(published)) == (20, 8, 8)
    assert all(csn_member(found) for found in known.values())
    found = check_against({name: csn_published(one) for name, one in known.items()}, published)
    assert found.agrees and found.same == 8, found
    (tmp_path / "WFDBRecords").mkdir()
    for path in (*headers.values(), source / "ConditionNames_SNOMED-CT.csv"):
        shutil.copy(path, tmp_path / "WFDBRecords" if path.suffix == ".hea" else tmp_path)
    entries = {entry.record_id: entry for entry in Csn(tmp_path).records() if isinstance(entry, RecordEntry)}
    assert {name for name, entry in entries.items() if not entry.flags} == set(known)
    for name, one in known.items():
        assert [code for _, code in entries[name].targets] == csn_corrected(one)


def test_real_ptb_xl_headers_of_the_challenge_agree_with_the_published_labels(samples, folder):
    """Only the codes that mean one class are compared: 426783006 stands for NORM and SR there."""
    means = {"426177001": ("ptbxl_rhythm", "SBRAD"), "427084000": ("ptbxl_rhythm", "STACH"),
             "713426002": ("ptbxl_sub", "IRBBB")}  # fmt: skip
    headers = {str(int(path.stem[2:])): path for path in sorted((samples / "cinc2021").glob("HR*.hea"))}
    assert len(headers) == 10
    for task in ("ptbxl_rhythm", "ptbxl_sub"):
        published = read_published(folder, task).filter(pl.col("record_id").is_in(list(headers)))
        asked = {code for of, code in means.values() if of == task}
        kept = published.with_columns(pl.col("codes").list.filter(pl.element().is_in(asked)))
        derived = {
            record_id: [code for given in codes_of(path) for of, code in [means.get(given, ("", ""))] if of == task]
            for record_id, path in headers.items()
        }
        found = check_against(derived, kept)
        assert found.agrees and found.same == 10, found


def test_the_page_on_labels_is_what_its_script_writes(folder):
    page = Path(__file__).parent.parent / label_rules.PAGE
    assert label_rules.page(folder) == page.read_text("utf-8")
