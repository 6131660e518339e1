"""Reports: MIMIC-IV-ECG's machine statements and PTB-XL's short German or English sentences."""

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from kmerl.archives.simulate import conditions
from kmerl.section import Section

if TYPE_CHECKING:
    from kmerl.archives.simulate.hearts import Recording

Generator = np.random.Generator


class ReportParams(Section):
    """How well and in what manner the simulated machine reports."""

    missed: float = Field(description="share of subtle findings that the report leaves out", ge=0, le=1)
    overcalled: float = Field(description="share of reports with a finding that is not there", ge=0, le=1)
    negated: float = Field(description="share of reports that deny a finding", ge=0, le=1)
    compared: float = Field(description="share of reports that compare with a prior ECG", ge=0, le=1)
    warned: float = Field(description="share of reports with a technical warning, beside those of noisy records",
                          ge=0, le=1)  # fmt: skip
    split: float = Field(description="share of findings whose statement runs over two columns, where it can",
                         ge=0, le=1)  # fmt: skip


@cache
def phrases() -> dict[tuple[str, str], list[str]]:
    """The wordings of each (condition key, kind), from ``statements.csv``.

    Kinds: ``base`` and ``with`` join into a rhythm statement; ``plain``, ``uncertain`` and ``split`` stand alone;
    ``german`` and ``english`` are PTB-XL's. Two keys joined by ``+`` share one statement.
    """
    text = resources.files(__package__).joinpath("statements.csv").read_text("utf-8")
    result: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in csv.DictReader(text.splitlines(), delimiter="|"):
        result[row["key"], row["kind"]].append(row["text"])
    return dict(result)


def _pick(key: str, kind: str, draw: Generator) -> str | None:
    options = phrases().get((key, kind))
    return options[int(draw.integers(len(options)))] if options else None


@dataclass(frozen=True)
class MachineReport:
    """A machine's report, and what it says: keys of the condition table, for scoring only.

    Attributes:
        statements: its non-empty statements, in order.
        asserted: what it states as there, or as possible.
        not_excluded: what it only cannot rule out.
        denied: what it states as absent, or as no longer there.
    """

    statements: list[str]
    asserted: list[str]
    not_excluded: list[str]
    denied: list[str]


def machine_report(
    recording: "Recording", prior: list[str] | None, noisy: bool, params: ReportParams, draw: Generator
) -> MachineReport:
    """A MIMIC-IV-ECG report.

    Args:
        recording: with its true conditions and their strengths.
        prior: conditions of the patient's previous recording, if there is one.
        noisy: whether the machine notices bad data.
        params: frequencies of what makes reports hard to read.
        draw: source of the wording.
    """
    table = conditions.table()
    found = [k for k in recording.conditions if not _missed(k, recording.strength.get(k, 1.0), params, draw)]
    rhythm, rest = _rhythm_statement(recording, found, draw)
    statements, meant = [rhythm], {k: rhythm for k in found if k not in rest and k != "normal"}
    for first, second in pairwise(list(rest)):
        joined = _pick(f"{first}+{second}", "plain", draw)
        if joined and draw.random() < 0.75:
            statements.append(joined)
            meant |= {first: joined, second: joined}
            rest = [k for k in rest if k not in (first, second)]
    for key in rest:
        told = _finding(key, recording.strength.get(key, 1.0), params, draw)
        statements += told
        meant[key] = " ".join(told)
    if draw.random() < params.overcalled:
        key, told = _overcall(recording.conditions, draw)
        statements += told
        meant[key] = " ".join(told)
    denied: set[str] = set()
    if draw.random() < params.negated:
        key_denied, statement = _negation(recording.conditions, draw)
        statements.append(statement)
        denied |= {key_denied} if key_denied else set()
    told, gone, new = _comparison(recording.conditions, prior, params, draw)
    statements += told
    denied |= {gone} if gone else set()
    meant |= {new: ""} if new else {}
    findings = [k for k in found if k != "normal" and table[k].group not in ("rhythm",)]
    statements.append(_summary(recording, findings, len(statements) > 1, draw))
    if noisy or draw.random() < params.warned:
        statements.insert(0, "--- Warning: Data quality may affect interpretation ---")
    open_ = {key for key, text in meant.items() if re.search(r"cannot|not exclude", text, re.IGNORECASE)}
    asserted = set(meant) - open_
    return MachineReport(statements, sorted(asserted), sorted(open_), sorted(denied - asserted - open_))


def _missed(key: str, strength: float, params: ReportParams, draw: Generator) -> bool:
    """Rhythms are always named; of findings the subtle are missed more often than the clear."""
    if conditions.table()[key].group in ("rhythm", "normal"):
        return False
    return bool(draw.random() < params.missed * (1.6 - 1.5 * strength))


def _rhythm_statement(recording: "Recording", found: list[str], draw: Generator) -> tuple[str, list[str]]:
    """The first statement, and the findings that it does not contain."""
    table = conditions.table()
    key = next(k for k in found if table[k].group == "rhythm")
    text = _pick(key, "base", draw) or table[key].name
    rate = 60000 / recording.measured.rr
    if key == "atrial_fibrillation" and rate > 100:
        text += draw.choice([" with rapid ventricular response", " with rapid ventricular response", " with RVR"])
    elif key == "atrial_fibrillation" and rate < 60:
        text += " with slow ventricular response"
    elif key == "sinus_arrhythmia" and text.startswith("Sinus bradycardia") and rate >= 60:
        text = "Sinus arrhythmia"
    rest = []
    for other in (k for k in found if k not in (key, "normal")):
        suffix = _pick(other, "with", draw)
        alone = _pick(other, "plain", draw)
        if suffix and (alone is None or draw.random() < 0.75):
            text += f" {suffix}"
        else:
            rest.append(other)
    return text, rest


def _finding(key: str, strength: float, params: ReportParams, draw: Generator) -> list[str]:
    """Statements for one finding; the subtler, the more often in doubt."""
    split = _pick(key, "split", draw)
    if split and draw.random() < params.split:
        return split.split(" / ")
    uncertain = _pick(key, "uncertain", draw)
    if uncertain and draw.random() < 0.75 - 0.6 * strength:
        return [uncertain]
    return [_pick(key, "plain", draw) or uncertain or conditions.table()[key].name]


def _absent(present: list[str], draw: Generator, kind: str) -> str:
    """A condition that is not there and shares no group with one that is."""
    table = conditions.table()
    groups = {table[k].group for k in present}
    keys = [k for k, c in table.items() if c.group not in groups | {"rhythm", "normal"} and (k, kind) in phrases()]
    return keys[int(draw.integers(len(keys)))]


def _overcall(present: list[str], draw: Generator) -> tuple[str, list[str]]:
    key = _absent(present, draw, "uncertain")
    return key, [_pick(key, "uncertain", draw) or ""]


_DENIALS = ("No evidence of {}", "No {}", "No significant {}")
_DENIABLE = (
    "st_depression",
    "t_inversion",
    "left_ventricular_hypertrophy",
    "long_qt",
    "av_block_1",
    "right_bundle_branch_block",
    "anterior_ischaemia",
    "inferior_infarct_old",
    "anterior_infarct_old",
    "pvc",
)


def _negation(present: list[str], draw: Generator) -> tuple[str | None, str]:
    """What is denied, if it is one condition, and the statement."""
    groups = {conditions.table()[k].group for k in present}
    # each of these changes QRS and ST-T, so that denying another of them may be wrong
    if groups & {"infarct", "ventricle", "conduction"}:
        groups |= {"repolarisation", "infarct", "ventricle"}
    free = [k for k in _DENIABLE if conditions.table()[k].group not in groups]
    key = free[int(draw.integers(len(free)))] if free else None
    return key, _DENIALS[int(draw.integers(len(_DENIALS)))].format(_spoken(key) if key else "acute change")


def _spoken(key: str) -> str:
    """A condition's name as it stands in the middle of a machine's sentence."""
    name = conditions.table()[key].name.replace("AV block", "A-V block").replace("ischaemia", "ischemia")
    return name.replace("repolarisation", "repolarization").replace("wave change", "wave abnormality")


def _comparison(
    present: list[str], prior: list[str] | None, params: ReportParams, draw: Generator
) -> tuple[list[str], str | None, str | None]:
    """A statement about the prior ECG, if any; what it says is gone, and what it says is new."""
    if prior is None or draw.random() >= params.compared:
        return [], None, None
    gone = [k for k in prior if k not in present and k not in conditions.BENIGN_RHYTHMS | {"normal"}]
    new = [k for k in present if k not in prior and k not in conditions.BENIGN_RHYTHMS | {"normal"}]
    if gone and (not new or draw.random() < 0.6):
        key = gone[int(draw.integers(len(gone)))]
        return [f"Compared to prior ECG, {_spoken(key)} is no longer present"], key, None
    if new:
        key = new[int(draw.integers(len(new)))]
        return [f"Since prior ECG, {_spoken(key)} is new"], None, key
    return ["No significant change since prior ECG"], None, None


def _summary(recording: "Recording", findings: list[str], more: bool, draw: Generator) -> str:
    """The closing verdict."""
    if not findings and not more and set(recording.conditions) <= conditions.BENIGN_RHYTHMS | {"normal"}:
        plain = "sinus_rhythm" in recording.conditions or draw.random() < 0.5
        return "Normal ECG" if plain else "Otherwise normal ECG"
    subtle = all(recording.strength.get(k, 1.0) < 0.5 for k in findings)
    rhythm_ill = not set(recording.conditions) & conditions.BENIGN_RHYTHMS
    return "Borderline ECG" if subtle and not rhythm_ill else "Abnormal ECG"


def columns(statements: list[str], draw: Generator) -> list[str]:
    """Statements over ``report_0..report_17``; a blank column often precedes the verdict."""
    cells = list(statements[:17])
    if len(cells) < 17 and draw.random() < 0.6:
        cells.insert(len(cells) - 1, "")
    return cells + [""] * (18 - len(cells))


def cardiologist_report(recording: "Recording", draw: Generator) -> str:
    """A PTB-XL report: one line, lower case, German or English."""
    kind = "german" if draw.random() < 0.6 else "english"
    keys = [k for k in recording.conditions if k != "normal"]
    parts = [_pick(k, kind, draw) or conditions.table()[k].name.lower() for k in keys]
    if "normal" in recording.conditions:
        plain = "sinus_rhythm" in keys
        parts.append({"german": "normales ekg" if plain else "sonst normales ekg",
                      "english": "normal ecg." if plain else "otherwise normal ecg."}[kind])  # fmt: skip
    return " ".join(parts)
