import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmerl.knowledge.lexicon import load
from kmerl.knowledge.lexicon.reading import Assertion, assertion_at, read
from kmerl.knowledge.spans import locate

with (Path(__file__).parent / "statements.csv").open(encoding="utf-8", newline="") as file:
    STATEMENTS = {row["statement"]: row["findings"].split("|") for row in csv.DictReader(file)}

# what a cardiologist would read in each sentence: present findings, then those that are only
# (uncertain), (not_excluded), (historical) or (negated)
SENTENCES = {
    "no evidence of acute ischemia": ["myocardial ischemia (negated)"],
    "no st elevation, t wave inversion or q waves.": [
        "st elevation (negated)",
        "t wave inversion (negated)",
        "abnormal q wave (negated)",
    ],
    "sinus rhythm without pvcs": ["sinus rhythm", "ventricular premature complex (negated)"],
    "no pvcs, sinus bradycardia": ["ventricular premature complex (negated)", "sinus bradycardia"],
    "no pvcs. atrial fibrillation": ["ventricular premature complex (negated)", "atrial fibrillation"],
    "atrial fibrillation has resolved": ["atrial fibrillation (negated)"],
    "left bundle branch block is no longer present": ["left bundle branch block (negated)"],
    "sinus rhythm, pvcs are no longer seen": ["sinus rhythm", "ventricular premature complex (negated)"],
    "pvcs and pacs have resolved": [
        "ventricular premature complex (negated)",
        "atrial premature complex (negated)",
    ],
    "delta wave absent": ["ventricular preexcitation (negated)"],
    "no longer in atrial fibrillation": ["atrial fibrillation (negated)"],
    "no significant change in the inferior infarct": ["inferior myocardial infarction"],
    "compared to prior ecg, no significant change": [],
    "compared to prior ecg, atrial fibrillation is now present": ["atrial fibrillation"],
    "compared with previous tracing atrial flutter has replaced sinus rhythm": [
        "atrial flutter",
        "sinus rhythm (historical)",
    ],
    "sinus rhythm has replaced atrial fibrillation": ["sinus rhythm", "atrial fibrillation (historical)"],
    "atrial fibrillation has been replaced by sinus rhythm": ["atrial fibrillation (historical)", "sinus rhythm"],
    "previous ecg showed left bundle branch block": ["left bundle branch block (historical)"],
    "history of atrial fibrillation, now sinus rhythm": ["atrial fibrillation (historical)", "sinus rhythm"],
    "st elevation previously seen": ["st elevation (historical)"],
    "previous inferior infarct": ["old inferior myocardial infarction"],
    "inferior infarct cannot be excluded": ["inferior myocardial infarction (not_excluded)"],
    "cannot exclude anterior or lateral infarct": [
        "anterior myocardial infarction (not_excluded)",
        "lateral myocardial infarction (not_excluded)",
    ],
    "r/o pericarditis": ["pericarditis (not_excluded)"],
    "t wave abnormality suggests lateral ischemia": ["t wave abnormality", "lateral ischemia (uncertain)"],
    "right ventricular hypertrophy is possible": ["right ventricular hypertrophy (uncertain)"],
    "st elevation, probably due to early repolarization": ["st elevation", "early repolarization (uncertain)"],
    "minimal voltage criteria for lvh, may be normal variant": [
        "voltage criteria for left ventricular hypertrophy (uncertain)"
    ],
    "possible left atrial enlargement with pvcs": [
        "left atrial enlargement (uncertain)",
        "ventricular premature complex",
    ],
    "lvh unlikely": ["left ventricular hypertrophy (negated)"],
    "no definite st elevation but right bundle branch block": ["st elevation (negated)", "right bundle branch block"],
    "left and right atrial enlargement": ["left atrial enlargement", "right atrial enlargement"],
    "atrial and ventricular premature complexes": ["atrial premature complex", "ventricular premature complex"],
    "anterior, septal and lateral infarct": [
        "anterior myocardial infarction",
        "septal myocardial infarction",
        "lateral myocardial infarction",
    ],
    "st elevation in inferior and lateral leads": ["inferior st elevation", "lateral st elevation"],
    "t wave inversion in the anterolateral leads": ["anterolateral t wave inversion"],
    "nonspecific st & t wave abnormality": ["nonspecific st-t changes"],
    "lvh with secondary repolarization abnormality": ["left ventricular hypertrophy with strain"],
    "second degree av block, mobitz type i (wenckebach)": ["second degree atrioventricular block mobitz type i"],
    "2:1 av block": ["two to one atrioventricular block"],
    "complete heart block with junctional escape rhythm": [
        "third degree atrioventricular block",
        "junctional escape rhythm",
    ],
    "wolff-parkinson-white": ["wolff-parkinson-white syndrome"],
    "left axis deviation. low voltage qrs. prolonged qt interval": [
        "left axis deviation",
        "low qrs voltage",
        "prolonged qt interval",
    ],
    "digitalis effect. short pr interval. early repolarization": [
        "digitalis effect",
        "short pr interval",
        "early repolarization",
    ],
    "normal sinus rhythm, normal axis, normal intervals. normal ecg": ["sinus rhythm", "normal ecg"],
    "otherwise normal ecg": ["otherwise normal ecg"],
    "abnormal ecg": [],
    "borderline ecg. technically poor tracing": [],
    "no previous ecgs available": [],
    "second degree av block, mobitz ii is no longer present": [
        "second degree atrioventricular block mobitz type ii (negated)"
    ],
    # one statement spread over two columns
    "inferior infarct. - old.": ["old inferior myocardial infarction"],
    "sinus rhythm. - borderline first degree a-v block.": [
        "sinus rhythm",
        "first degree atrioventricular block (uncertain)",
    ],
    "voltage criteria for. left ventricular hypertrophy.": ["voltage criteria for left ventricular hypertrophy"],
    "nonspecific st and. t wave abnormality. no. pvcs": [
        "nonspecific st-t changes",
        "ventricular premature complex (negated)",
    ],
    "inferior infarct, old anterior infarct": [
        "inferior myocardial infarction",
        "old anterior myocardial infarction",
    ],
}


def findings(text: str) -> list[str]:
    """Full names, with the assertion in brackets unless the finding is present."""
    return [
        f.name if f.assertion == Assertion.PRESENT else f"{f.name} ({f.assertion.name.lower()})" for f in read(text)
    ]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_common_machine_statement_yields_its_findings(statement: str) -> None:
    assert findings(statement) == [finding for finding in STATEMENTS[statement] if finding]


def test_the_statements_above_are_all_that_the_archive_counts(samples: Path) -> None:
    path = samples / "mimic-iv-ecg" / "statement_counts.csv"
    with path.open(encoding="utf-8", newline="") as file:
        assert {row["statement_lowercase"] for row in csv.DictReader(file)} == set(STATEMENTS)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_negated_uncertain_and_past_findings_are_told_apart(sentence: str) -> None:
    assert findings(sentence) == SENTENCES[sentence]


def test_a_finding_is_never_read_across_a_sentence_end() -> None:
    assert findings("possible inferior. infarct") == ["myocardial infarction"]
    assert findings("no pvcs. atrial fibrillation") == [
        "ventricular premature complex (negated)",
        "atrial fibrillation",
    ]


def test_findings_are_whole_words() -> None:
    assert findings("milan avenue sinusitis lvhx") == []


def test_the_name_as_written_can_be_found_in_the_report() -> None:
    report = "Sinus rhythm with PVC(s). Inferior infarct,  old. 1st degree A-V block."
    found = read(report)
    for finding, place in zip(found, locate(report, [f.written for f in found]), strict=True):
        start, end = place or (0, 0)
        assert end > start
        assert finding.written.split()[0] in report[start:end].lower()
    assert [f.written for f in read(report)] == [
        "sinus rhythm",
        "pvc(s)",
        "inferior infarct old",
        "1st degree a-v block",
    ]
    assert [f.written for f in read("voltage criteria for. lvh. inferior infarct. - old.")] == [
        "voltage criteria for lvh",
        "inferior infarct - old",
    ]
    assert locate(report, ["PVC(s)", "lvh"]) == [(18, 24), None]
    assert report[18:24] == "PVC(s)"


@pytest.mark.parametrize(
    ("report", "entity", "start"),
    [
        ("no lvh. sinus rhythm. possible lvh.", "lvh", 31),
        ("previous ecg showed lvh. lvh.", "lvh", 25),
        ("lvh has resolved. cannot rule out lvh.", "lvh", 34),
        ("possible lvh. no rbbb. lvh.", "lvh", 23),
        ("lvh. sinus rhythm. lvh.", "lvh", 0),
        # two occurrences that both deny it: the first
        ("no lvh. lvh is absent.", "lvh", 3),
        # unknown to the lexicon, in the same clause as others
        ("no odd wave or lvh. sinus rhythm with odd wave.", "odd wave", 38),
        ("odd wave and lvh have resolved, sinus rhythm. odd wave.", "odd wave", 46),
    ],
)
def test_an_entity_stands_where_the_report_asserts_it_most(report: str, entity: str, start: int) -> None:
    assert locate(report, [entity]) == [(start, start + len(entity))]


def test_an_entity_is_not_sought_within_a_longer_one_unless_it_is_asserted_only_there() -> None:
    report = "sinus tachycardia. wide complex tachycardia."
    assert locate(report, ["sinus tachycardia", "tachycardia"]) == [(0, 17), (32, 43)]
    report = "no tachycardia. sinus tachycardia."
    assert locate(report, ["sinus tachycardia", "tachycardia"]) == [(16, 33), (22, 33)]


@given(st.text("ab ,.-no", max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_any_place_of_any_text_has_an_assertion(text: str, start: int, end: int) -> None:
    assert assertion_at(text, start, end) in Assertion


def test_every_full_name_is_read_as_itself() -> None:
    for name in load().superclasses:
        assert findings(name) == [name]


def test_superclasses_are_closed_upwards() -> None:
    superclasses = load().superclasses
    for name, above in superclasses.items():
        assert name not in above
        for superclass in above:
            assert set(superclasses.get(superclass, ())) <= set(above), (name, superclass)


@given(st.text(max_size=200))
def test_any_text_can_be_read(text: str) -> None:
    for finding in read(text):
        assert finding.written


@given(st.lists(st.sampled_from(sorted(STATEMENTS)), min_size=1, max_size=6))
def test_a_report_yields_what_its_statements_yield(statements: list[str]) -> None:
    expected = [finding for statement in statements for finding in findings(statement)]
    assert findings(". ".join(statements) + ".") == expected
