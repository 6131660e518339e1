import polars as pl
import pytest

from kmerl.artifacts import read_table, write_table
from kmerl.errors import UserError
from kmerl.knowledge.cleaning import Reports, ReportsParams, clean, compared, report_id
from kmerl.knowledge.schemas import REPORTS, STUDIES, UNUSED

MERL = ReportsParams(
    joiner=". ",
    replace={"EKG": "ECG"},
    strip="*=-",
    strip_ends_of="report",
    lower_case=True,
    full_stop=True,
    min_words=4,
    splits=["train", "valid"],
)


def cleaned(*statements: list[str | None], params: ReportsParams = MERL) -> Reports:
    frame = pl.DataFrame(
        {"record_id": [f"s{i}" for i in range(len(statements))], "statements": list(statements)},
        {"record_id": pl.String, "statements": pl.List(pl.String)},
    )
    return clean(frame, params)


def test_statements_become_one_lower_case_line_that_ends_in_a_full_stop() -> None:
    result = cleaned(["*** Sinus  rhythm", " ", None, "Borderline\nEKG ***"])
    assert result.reports["text"].to_list() == ["sinus rhythm. borderline ecg."]


def test_only_the_ends_of_the_whole_report_are_stripped_unless_asked_otherwise() -> None:
    statements: list[str | None] = ["Sinus rhythm of", "*** STEMI ***", "--- warning ---"]
    assert cleaned(statements).reports["text"][0] == "sinus rhythm of. *** stemi ***. --- warning."
    each = MERL.model_copy(update={"strip_ends_of": "statement"})
    assert cleaned(statements, params=each).reports["text"][0] == "sinus rhythm of. stemi. warning."


def test_a_report_is_counted_once_however_many_records_have_it() -> None:
    result = cleaned(["Sinus rhythm", "Normal ECG"], ["sinus rhythm", "normal ecg"], ["Atrial flutter with RBBB"])
    counts = dict(result.reports.select("text", "records").iter_rows())
    assert counts == {"sinus rhythm. normal ecg.": 2, "atrial flutter with rbbb.": 1}
    assert result.studies["report_id"][0] == result.studies["report_id"][1] == report_id("sinus rhythm. normal ecg.")


def test_every_record_is_either_kept_or_rejected_with_a_reason() -> None:
    result = cleaned(["Sinus rhythm"], [], ["***", None], ["Sinus rhythm with PVC(s)"])
    assert result.studies["record_id"].to_list() == ["s3"]
    assert result.rejected.select("record_id", "reason").rows() == [
        ("s0", "fewer than 4 words"),
        ("s1", "no statements"),
        ("s2", "no statements"),
    ]


def test_the_shortest_accepted_length_is_a_parameter() -> None:
    shorter = MERL.model_copy(update={"min_words": 2})
    assert len(cleaned(["Sinus rhythm"], params=shorter).studies) == 1


def test_a_record_that_occurs_twice_is_named() -> None:
    frame = pl.DataFrame({"record_id": ["s1", "s1"], "statements": [["a b c d"], ["e f g h"]]})
    with pytest.raises(UserError, match="s1 occurs twice"):
        clean(frame, MERL)


def test_no_records_give_empty_tables_of_the_promised_schemas(tmp_path) -> None:
    result = cleaned()
    for name, schema in (("reports", REPORTS), ("studies", STUDIES), ("rejected", UNUSED)):
        write_table(tmp_path / name, getattr(result, name), schema)
        assert len(read_table(tmp_path / name, schema)) == 0


def test_reports_of_other_splits_are_not_read_and_this_is_said():
    rows = [["sinus rhythm and normal ecg"], ["atrial fibrillation with rapid response"], ["a b c d e"], ["x y z w"]]
    splits = pl.DataFrame({"record_id": ["s0", "s1", "s2"], "split": ["train", "test", "valid"]})
    frame = pl.DataFrame({"record_id": [f"s{i}" for i in range(4)], "statements": rows})
    found = clean(frame, MERL, splits)
    assert found.studies["record_id"].to_list() == ["s0", "s2"]
    assert list(found.rejected.iter_rows()) == [("s1", "other split", ""), ("s3", "other split", "")]
    assert not any("fibrillation" in text for text in found.reports["text"])


@pytest.mark.parametrize(
    ("archive", "origin", "kept", "said"),
    [
        ("mimic_iv_ecg", "recorded", 771_693, "771,693 of 800,035 kept, as published"),
        ("mimic_iv_ecg", "recorded", 771_692, "but MERL's cleaning keeps 771,693"),
        ("mimic_iv_ecg", "simulated", 771_693, ""),
        ("ptb_xl", "recorded", 771_693, ""),
    ],
)
def test_the_full_release_is_held_against_the_published_count(archive, origin, kept, said):
    studies = pl.DataFrame({"record_id": range(kept)})
    found = Reports(studies, studies, pl.DataFrame({"record_id": range(800_035 - kept)}))
    assert said in compared(archive, origin, found)
    assert bool(said) == bool(compared(archive, origin, found))
    part = Reports(studies, studies, studies.clear())
    assert compared(archive, origin, part) == ""
