"""What an archive's tables say: splits and labels by either rule, and who belongs to a task."""

from pathlib import Path

import polars as pl
import pytest

from kmerl.archives.archive import Archive, PublishedSplit, RecordEntry
from kmerl.archives.classes import class_names, tasks
from kmerl.archives.merl_labels import csn_corrected, csn_published, read_diagnoses, read_published
from kmerl.archives.schemas import ENTRIES, LABEL_DIFFERENCES, REJECTED, SPLITS, TARGETS
from kmerl.artifacts import read_table
from kmerl.catalogue import Outputs, catalogue
from kmerl.errors import UserError
from tests.archives import SPLIT, csn_codes, write_csn, write_mimic

TABLE_3 = {  # the paper's Table 3: train, valid, test
    "ptbxl_super": (17_084, 2_146, 2_158), "ptbxl_sub": (17_084, 2_146, 2_158), "ptbxl_form": (7_197, 901, 880),
    "ptbxl_rhythm": (16_832, 2_100, 2_098), "cpsc2018": (4_950, 551, 1_376), "csn": (16_546, 1_860, 4_620),
}  # fmt: skip


class Listed(Archive):
    """An archive of entries in memory."""

    official_split = True

    def __init__(self, folder: Path, entries: list[RecordEntry]) -> None:
        super().__init__(folder)
        self.entries = entries

    def records(self):
        yield from self.entries


def made(archive, name, split, labels, out):
    """The tables of an archive by their names, and the summary."""
    paths = {one: out / f"{one}.parquet" for one in Outputs.__dataclass_fields__}
    summary = catalogue(archive, name, "recorded", split, labels, 1, Outputs(**paths))
    schemas = {"entries": ENTRIES, "splits": SPLITS, "targets": TARGETS, "rejected": REJECTED}
    tables = {one: read_table(paths[one], schema) for one, schema in schemas.items()}
    return tables | {"differences": read_table(paths["differences"], LABEL_DIFFERENCES)}, summary


def published_entries(folder, name):
    """Every record that the published files of an archive name, with the labels that its own tables would give."""
    found: dict[str, dict[str, list[str]]] = {}
    for task in tasks(name):
        for record_id, codes in read_published(folder, task).select("record_id", "codes").iter_rows():
            found.setdefault(record_id, {})[task] = codes
    acronyms = dict(read_diagnoses(folder).select("record_id", "acronyms").iter_rows()) if name == "csn" else {}
    entries = []
    for record_id, of_task in found.items():
        labels = [(task, code) for task, codes in of_task.items() for code in codes]
        corrected = labels
        if name == "csn":
            corrected = [("csn", code) for code in csn_corrected(acronyms[record_id])]
            assert [code for _, code in labels] == csn_published(acronyms[record_id])
        entries.append(RecordEntry(record_id, None, Path("raw") / record_id, targets=corrected, published=labels))
    return entries


@pytest.mark.parametrize("name", ["ptb_xl", "cpsc2018", "csn"])
@pytest.mark.parametrize("labels", ["published", "corrected"])
def test_the_published_split_gives_the_papers_table_3_with_either_labels(samples, tmp_path, name, labels):
    folder = samples / "merl_splits"
    entries = published_entries(folder, name)
    tables, summary = made(Listed(Path("raw"), entries), name, PublishedSplit(published=str(folder)), labels, tmp_path)
    members = tables["targets"].select("record_id", "task").unique().join(tables["splits"], on="record_id")
    for task in tasks(name):
        of_task = members.filter(task=task)["split"].to_list()
        assert tuple(of_task.count(split) for split in ("train", "valid", "test")) == TABLE_3[task]
        published = read_published(folder, task).explode("codes").drop_nulls("codes").select("record_id", "codes")
        given = tables["targets"].filter(task=task).drop_nulls("code").select("record_id", "code")
        same = set(published.iter_rows()) == set(given.iter_rows())
        assert same == (labels == "published" or task != "csn")
        assert set(given["code"]) <= set(class_names(task))
    assert all(agreement.agrees for agreement in summary.agreements.values())
    total = tables["differences"].filter(pl.col("code") == "total", pl.col("split") == "total", task=tasks(name)[0])
    assert total["differing"][0] == (3_817 if name == "csn" else 0)


def split_files(folder, split_of, code="SR"):
    """MERL's three files of CSN for record -> (split, acronyms)."""
    folder.mkdir()
    classes = list(class_names("csn"))
    for split, name in (("train", "train"), ("valid", "val"), ("test", "test")):
        rows = [",".join(["ecg_path", "age", "diagnose", *classes])]
        for record, (own, acronyms) in split_of.items():
            if own == split:
                positive = csn_published(acronyms)
                cells = ["1" if one in positive else "0" for one in classes]
                diagnose = f'"{",".join(acronyms)}"'
                rows.append(",".join([f"/chapman/WFDBRecords/01/010/{record}.mat", "12", diagnose, *cells]))
        (folder / f"chapman_{name}.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def csn(tmp_path):
    """Five records; the published files know the first three, and one that the archive does not have."""
    code = csn_codes()
    dx = {
        "JS00001": code["AFIB"], "JS00002": f"{code['SB']},{code['AVB']}", "JS00003": code["SR"],
        "JS00004": code["SR"], "JS00005": f"{code['SR']},55930002",
    }  # fmt: skip
    write_csn(tmp_path / "raw", dx)
    known = {
        "JS00001": ("test", ["AFIB"]), "JS00002": ("train", ["SB", "AVB"]), "JS00003": ("train", ["SR"]),
        "JS09999": ("valid", ["SR"]),
    }  # fmt: skip
    split_files(tmp_path / "splits", known)
    return tmp_path


def csn_tables(folder, split, labels):
    from kmerl.archives.registry import open_archive

    out = folder / f"{labels}-{type(split).__name__}"
    return made(open_archive("csn", folder / "raw"), "csn", split, labels, out)


def test_labels_follow_the_rule_that_is_asked_for(csn):
    split = PublishedSplit(published=str(csn / "splits"))
    published, _ = csn_tables(csn, split, "published")
    assert set(published["targets"].select("record_id", "code").iter_rows()) == {
        ("JS00001", "AF"), ("JS00001", "AFIB"), ("JS00002", "AVB"), ("JS00002", "VB"), ("JS00003", "SR"),
    }  # fmt: skip
    corrected, _ = csn_tables(csn, split, "corrected")
    assert set(corrected["targets"].select("record_id", "code").iter_rows()) == {
        ("JS00001", "AFIB"), ("JS00002", "AVB"), ("JS00003", "SR"),
    }  # fmt: skip
    differing = corrected["differences"].filter(pl.col("differing") > 0, pl.col("split") == "total")
    assert dict(differing.select("code", "false_positives").iter_rows()) == {"AF": 1, "VB": 1, "total": 2}


def test_records_that_the_published_split_does_not_name_are_in_no_split_and_no_task(csn):
    tables, summary = csn_tables(csn, PublishedSplit(published=str(csn / "splits")), "corrected")
    assert tables["entries"]["record_id"].to_list() == [f"JS0000{i}" for i in range(1, 6)]
    assert dict(tables["splits"].iter_rows()) == {"JS00001": "test", "JS00002": "train", "JS00003": "train"}
    assert list(tables["rejected"].select("record_id", "reason").iter_rows()) == [("JS09999", "not_in_archive")]
    assert "no split 2" in str(summary)
    assert "1 records of the published split are not here" in str(summary)
    assert "3 records with the same labels, 0 with others" in str(summary)


def test_neither_split_nor_labels_change_what_is_to_be_read(csn):
    kinds = [(SPLIT, "corrected"), (SPLIT, "published"), (PublishedSplit(published=str(csn / "splits")), "published")]
    contents = []
    for split, labels in kinds:
        csn_tables(csn, split, labels)
        contents.append((csn / f"{labels}-{type(split).__name__}/entries.parquet").read_bytes())
    assert contents[0] == contents[1] == contents[2]


def test_where_the_split_is_drawn_the_published_rule_leaves_out_what_its_files_do(csn):
    published, _ = csn_tables(csn, SPLIT, "published")
    corrected, _ = csn_tables(csn, SPLIT, "corrected")
    # the fifth has a code that the table does not list
    assert set(corrected["targets"]["record_id"]) - set(published["targets"]["record_id"]) == {"JS00005"}


def test_an_archive_without_published_files_says_so(tmp_path):
    from kmerl.archives.registry import open_archive

    write_mimic(tmp_path / "raw", {"11": ("7", [])})
    with pytest.raises(UserError, match=r"archives.mimic_iv_ecg.split: .* no published split; write how to draw it"):
        made(
            open_archive("mimic_iv_ecg", tmp_path / "raw"), "mimic_iv_ecg", PublishedSplit(published=str(tmp_path)),
            "corrected", tmp_path / "out",
        )  # fmt: skip
