"""The table of conditions: signs, codes in every archive, weights, and what excludes what."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

_ARCHIVES = {"mimic_iv_ecg": "mimic", "ptb_xl": "ptbxl", "cpsc2018": "cpsc2018", "csn": "csn"}
"""The column of weights of each archive."""

BENIGN_RHYTHMS = frozenset({"sinus_rhythm", "sinus_bradycardia", "sinus_tachycardia", "sinus_arrhythmia"})
"""Rhythms in which an ECG without further findings is called normal; AV blocks are built on them too."""


@dataclass(frozen=True)
class Code:
    """Alternatives of one code: (code, SCP likelihood, probability given that none before it was chosen)."""

    alternatives: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Condition:
    """One row of the table."""

    key: str
    name: str
    group: str  # at most one condition of a group in a record
    course: str  # chronic: shared by a patient's records; acute: a record's own
    excludes: frozenset[str]  # keys and groups
    weights: dict[str, float]  # archive -> relative frequency, among rhythms or among further findings
    scp: tuple[Code, ...]
    snomed: dict[str, tuple[Code, ...]]  # archive -> SNOMED CT codes; none where that archive has none
    signs: str


def _scp(text: str) -> tuple[Code, ...]:
    """``A:100@0.7|0;B:0@0.3``: A with likelihood 100 (70%) or else 0; and B with likelihood 0 in 30%."""
    result = []
    for statement in filter(None, text.split(";")):
        alternatives, last = [], ""
        for choice in statement.split("|"):
            name, _, probability = choice.partition("@")
            code, _, likelihood = name.rpartition(":")
            last = code or last
            alternatives.append((last, float(likelihood), float(probability or 1)))
        result.append(Code(tuple(alternatives)))
    return tuple(result)


def _snomed(text: str) -> tuple[Code, ...]:
    """``1@0.7|2;3@0.2``: code 1 (70%) or else 2; and code 3 in 20%."""
    return tuple(
        Code(
            tuple(
                (code, 0.0, float(probability or 1))
                for code, _, probability in (choice.partition("@") for choice in statement.split("|"))
            )
        )
        for statement in filter(None, text.split(";"))
    )


@cache
def table() -> dict[str, Condition]:
    """All conditions by key, in the order of the file."""
    text = resources.files(__package__).joinpath("conditions.csv").read_text("utf-8")
    return {
        row["key"]: Condition(
            key=row["key"],
            name=row["name"],
            group=row["group"],
            course=row["course"],
            excludes=frozenset(row["excludes"].split()),
            weights={archive: float(row[column]) for archive, column in _ARCHIVES.items()},
            scp=_scp(row["scp"]),
            snomed={name: _snomed(row[f"{name}_codes"]) for name in ("cpsc2018", "csn")},
            signs=row["signs"],
        )
        for row in csv.DictReader(text.splitlines())
    }


def compatible(a: str, b: str) -> bool:
    """Whether two conditions can stand in one record."""
    first, second = table()[a], table()[b]
    if first.group == second.group:
        return False
    excluded = first.excludes & {second.key, second.group} or second.excludes & {first.key, first.group}
    # AV blocks and short PR are drawn on sinus P waves only
    needs_sinus = {first.group, second.group} == {"rhythm", "av"} and not {a, b} & BENIGN_RHYTHMS
    return not excluded and not needs_sinus


def fits(key: str, chosen: list[str]) -> bool:
    """Whether a condition can join those already chosen."""
    return all(compatible(key, other) for other in chosen)


def draw(keys: list[str], archive: str, chosen: list[str], generator: np.random.Generator) -> str | None:
    """One of ``keys`` that fits, by its weight in an archive's population; None if none fits."""
    fitting = [key for key in keys if fits(key, chosen) and table()[key].weights[archive] > 0]
    if not fitting:
        return None
    weights = np.array([table()[key].weights[archive] for key in fitting])
    return fitting[int(generator.choice(len(fitting), p=weights / weights.sum()))]


def _harmless(key: str) -> bool:
    """What PTB-XL's annotators let pass as a normal ECG, with likelihood 80."""
    return key in BENIGN_RHYTHMS | {"pac", "short_pr", "left_axis_deviation", "right_axis_deviation"}


def scp_codes(keys: list[str], generator: np.random.Generator) -> dict[str, float]:
    """SCP codes with likelihoods as an annotator of PTB-XL would give them, diagnoses before form and rhythm."""
    result: dict[str, float] = {}
    if "normal" not in keys and all(_harmless(key) for key in keys) and generator.random() < 0.7:
        result["NORM"] = 80.0
    for key in keys:
        for code in table()[key].scp:
            name, likelihood = _choose(code, generator)
            if name:
                result[name] = max(likelihood, result.get(name, 0.0))
    return dict(sorted(result.items(), key=lambda item: -item[1]))


def snomed_codes(keys: list[str], archive: str, generator: np.random.Generator) -> list[str]:
    """SNOMED CT codes as an annotator of an archive would give them, in the order of ``keys``, each once."""
    chosen = [_choose(code, generator)[0] for key in keys for code in table()[key].snomed[archive]]
    return list(dict.fromkeys(filter(None, chosen)))


def _choose(code: Code, generator: np.random.Generator) -> tuple[str, float]:
    """One alternative with its likelihood; an empty name if none was chosen."""
    for name, likelihood, probability in code.alternatives:
        if generator.random() < probability:
            return name, likelihood
    return "", 0.0
