"""German and Swedish reports: phrases made up in the manner of PTB-XL, and its own reports where they are there."""

import ast
import csv
from functools import cache
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kmerl.knowledge.cleaning import Reports, ReportsParams, clean
from kmerl.knowledge.lexicon import OTHER_LANGUAGES, load
from kmerl.knowledge.lexicon.reading import Assertion, read
from kmerl.knowledge.spans import locate
from kmerl.knowledge.words import words
from tests.test_knowledge_lexicon import findings

HERE = Path(__file__).parent
STATEMENTS: dict[str, str] = {}
for language in OTHER_LANGUAGES:
    with (HERE / f"statements_{language}.csv").open(encoding="utf-8", newline="") as file:
        STATEMENTS |= {row["statement"]: row["findings"] for row in csv.DictReader(file)}

# code of PTB-XL -> names that a report gives it, and the least share of its records in which one is asserted: what was
# measured on 782 real rows, less 0.05 to 0.1; cardiologists changed many codes, so few agree with the report's text
AGREEMENT = {
    "SR": (["sinus rhythm"], 0.95),
    "SBRAD": (["sinus bradycardia"], 0.9),
    "STACH": (["sinus tachycardia"], 0.9),
    "AFIB": (["atrial fibrillation", "atrial fibrillation or flutter"], 0.9),
    "PVC": (["ventricular premature complex"], 0.85),
    "1AVB": (["first degree atrioventricular block", "prolonged pr interval"], 0.6),
    "CRBBB": (["right bundle branch block"], 0.85),
    "CLBBB": (["left bundle branch block"], 0.75),
    "LVH": (["left ventricular hypertrophy"], 0.65),
    "IMI": (["inferior myocardial infarction", "inferior myocardial damage"], 0.6),
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_german_and_swedish_statements_yield_their_findings(statement: str) -> None:
    assert findings(statement) == [finding for finding in STATEMENTS[statement].split("|") if finding]


def test_umlauts_may_be_written_either_way() -> None:
    written = "überdrehter linkstyp. unvollständiger rechtsschenkelblock. mässige amplitudenkriterien für lvh"
    spelt = written.replace("ü", "ue").replace("ä", "ae").replace("ss", "ß")
    assert findings(spelt) == findings(written) != []


def test_an_entity_with_umlauts_is_found_in_the_report_as_it_is_written() -> None:
    report = "Sinusrhythmus, supraventrikulÄre Extrasystole(n) verdacht auf laterale Ischämie."
    found = [finding.written for finding in read(report)]
    assert found == ["sinusrhythmus", "supraventrikuläre extrasystole(n)", "laterale ischämie"]
    assert [report[place[0] : place[1]].lower() for place in locate(report, found) if place] == found


@given(st.text("aäöüßåAÄÖÜ12 .,v.a.z.n.-", max_size=60))
def test_words_stand_where_they_say(text: str) -> None:
    end = 0
    for word in words(text):
        assert end <= word.start < word.end <= len(text)
        assert words(text[word.start : word.end])[0].text == word.text
        end = word.end


def test_a_cue_reaches_one_finding_where_nothing_is_punctuated() -> None:
    assert findings("sinusrhythmus kein linksschenkelblock rechtstyp lvh") == [
        "sinus rhythm",
        "left bundle branch block (negated)",
        "right axis deviation",
        "left ventricular hypertrophy",
    ]
    assert findings("kein unbekanntes wort vor dem linkstyp") == ["left axis type"]
    assert findings("steiltyp ves, lsb oder rsb nicht nachweisbar") == [
        "vertical axis type",
        "ventricular premature complex (negated)",
        "left bundle branch block (negated)",
        "right bundle branch block (negated)",
    ]
    assert findings("kein, linkstyp") == ["left axis type"]
    assert findings("lvh. möglich") == ["left ventricular hypertrophy"]


@cache
def _ptb_xl(folder: Path) -> tuple[pl.DataFrame, Reports]:
    rows = pl.read_csv(folder / "ptb-xl" / "ptbxl_database_rows_1_999.csv", infer_schema_length=0)
    values = yaml.safe_load((HERE.parent / "params.yaml").read_text("utf-8"))["reports"]
    statements = rows.select(record_id="ecg_id", statements=pl.concat_list(pl.col("report").fill_null("")))
    return rows, clean(statements, ReportsParams(**values | {"min_words": 1}))


def test_nearly_every_report_of_ptb_xl_names_a_finding(samples: Path) -> None:
    _, reports = _ptb_xl(samples)
    texts = [text for text in reports.reports["text"] if text != "trace only requested."]
    assert sum(bool(read(text)) for text in texts) / len(texts) > 0.97


@pytest.mark.parametrize("code", AGREEMENT)
def test_reports_of_ptb_xl_name_what_is_coded(samples: Path, code: str) -> None:
    rows, reports = _ptb_xl(samples)
    names, share = AGREEMENT[code]
    texts = dict(reports.studies.join(reports.reports, on="report_id").select("record_id", "text").iter_rows())
    coded = named = 0
    for record_id, codes in rows.select("ecg_id", "scp_codes").iter_rows():
        text, likelihood = texts.get(record_id, ""), ast.literal_eval(codes).get(code)
        # 0 means no likelihood was given
        if text in ("", "trace only requested.") or likelihood is None or 0 < likelihood < 50:
            continue
        coded += 1
        positive = [f.name for f in read(text) if f.assertion <= Assertion.UNCERTAIN]
        named += any(above in names for name in positive for above in (name, *load().superclasses[name]))
    assert named / coded >= share
