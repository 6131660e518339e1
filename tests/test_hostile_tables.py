"""Archives whose tables or file names are hostile: every record is kept, or rejected with its reason."""

import os
from pathlib import Path

import numpy as np
import pytest

from kmerl.archives.manifest import list_files
from kmerl.archives.schemas import REJECTED
from kmerl.artifacts import read_table
from kmerl.errors import UserError
from tests.archives import (
    csn_codes,
    noise,
    ptb_xl_tables,
    read,
    write_cpsc2018,
    write_csn,
    write_mimic,
    write_record,
)


def found(archive: str, folder: Path) -> dict[str, str]:
    """Record -> nothing or the reason against it, of the archive in ``folder/raw``."""
    _, made = read(archive, folder / "raw", folder)
    rejected = read_table(made.rejected, REJECTED)
    assert not any("\n" in detail for detail in rejected["detail"])
    kept = dict.fromkeys(made.store().records["record_id"], "")
    reasons = dict(rejected.select("record_id", "reason").iter_rows())
    assert len(kept) + rejected.height == len(kept | reasons)
    return kept | {record: f"{reason}!" for record, reason in reasons.items()}


def test_of_a_study_that_is_listed_twice_the_first_row_stands_and_the_other_is_rejected(tmp_path):
    write_mimic(tmp_path / "raw", {"11": ("7", []), "12": ("7", [])})
    table = tmp_path / "raw/record_list.csv"
    table.write_text(table.read_text() + "8,11,11,,files/s12/12\n9,,x,,files/s12/12\n")
    _, made = read("mimic_iv_ecg", tmp_path / "raw", tmp_path)
    assert list(made.store().records.select("record_id", "patient_id").iter_rows()) == [("12", "7"), ("11", "7")]
    np.testing.assert_allclose(made.store().read(1, ["I"])[0], noise(11)[:, 0] / 200, atol=1e-5)
    rejected = read_table(made.rejected, REJECTED)
    assert list(rejected.select("record_id", "reason").iter_rows()) == [("row 4", "no_id"), ("11", "repeated_id")]


@pytest.mark.parametrize(
    ("fold", "codes", "reason"),
    [
        ("\u00b2", "{'SR': 0.0}", "bad_row"),
        ("9" * 5000, "{'SR': 0.0}", "bad_row"),
        ("-1", "{'SR': 0.0}", "bad_row"),
        ("3", "{['SR']: 0.0}", "bad_labels"),
        ("3", "{" * 500, "bad_labels"),
        ("3", "{'SR': " + "-" * 5000 + "1}", "bad_labels"),
    ],
)
def test_a_row_that_makes_no_sense_is_rejected(tmp_path, fold, codes, reason):
    ptb_xl_tables(tmp_path / "raw", [("1", "7.0", 3, "{'SR': 0.0}"), ("2", "7.0", fold, codes)])
    for one in (1, 2):
        write_record(tmp_path / f"raw/records500/{one}_hr", noise(one))
    assert found("ptb_xl", tmp_path) == {"1": "", "2": f"{reason}!"}


def test_a_record_whose_name_is_not_utf_8_is_rejected(tmp_path):
    write_csn(tmp_path / "raw", {"JS1": csn_codes()["AFIB"], "JS2": csn_codes()["AFIB"], "JS3": None})
    folder = tmp_path / "raw/WFDBRecords/01/010"
    for one in ("JS2", "JS3"):
        for suffix in (".hea", ".mat"):
            (folder / (one + suffix)).rename(folder / os.fsdecode(one.encode() + b"\xff" + suffix.encode()))
    assert found("csn", tmp_path) == {"JS1": "", "JS2\\udcff": "bad_path!", "JS3\\udcff": "bad_labels!"}
    assert "WFDBRecords/01/010/JS2\\udcff.hea" in [row["path"] for row in list_files(tmp_path / "raw", "sha256")]


def test_what_cannot_be_read_is_listed_without_a_hash(tmp_path):
    write_record(tmp_path / "good", noise(1))
    (tmp_path / "link").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    for checksum in ("size", "mtime", "sha256"):
        rows = {row["path"]: row for row in list_files(tmp_path, checksum)}
        assert set(rows) == {"good.dat", "good.hea", "link", "pipe"}
        assert (rows["link"]["sha256"], rows["pipe"]["sha256"]) == (None, None)
    assert rows["good.dat"]["sha256"] is not None
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop/again").symlink_to("../loop")
    with pytest.raises(UserError, match="loop"):
        list(list_files(tmp_path, "size"))


def test_a_struct_without_a_row_of_labels_is_rejected(tmp_path):
    write_cpsc2018(tmp_path / "raw", {"A1": "1", "A2": "1", "A3": "1"})
    table = tmp_path / "raw/REFERENCE.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:3]))
    assert found("cpsc2018", tmp_path) == {"A1": "", "A2": "", "A3": "not_listed!"}
