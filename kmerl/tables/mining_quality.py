"""How good the mining of simulated reports was, step by step."""

from collections.abc import Mapping

import polars as pl

from kmerl.documents import Cell, Code, Count, Decimal, Document, Grid, document, grid
from kmerl.documents.numbers import count, decimal
from kmerl.knowledge.judging import (
    Agreement,
    Score,
    Truth,
    Verification,
    by_report,
    label_agreement,
    score,
    verification,
)
from kmerl.knowledge.vocabulary import Vocabulary
from kmerl.origins import SIMULATED
from kmerl.tables.mining import notice


class Judged:
    """Everything that is judged of one run of the mining.

    Args:
        verified: one row per report and extracted entity.
        unusable: reports whose extraction cannot be used, which are judged as if they named nothing.
        known: what each report says.
        labels: the vocabulary, the label vectors and the studies, if there are any.
    """

    def __init__(
        self,
        verified: pl.DataFrame,
        known: Mapping[str, Truth],
        labels: tuple[Vocabulary, pl.DataFrame, pl.DataFrame] | None = None,
    ) -> None:
        self.extraction: Score = score(by_report(verified), known)
        self.answered: Score = score(by_report(verified.filter(pl.col("answer") != "no")), known)
        self.kept: Score = score(by_report(verified.filter("kept")), known)
        self.verification: Verification = verification(verified, known)
        self.agreement: Agreement | None = label_agreement(*labels, known) if labels else None


def tidy(judged: Judged) -> pl.DataFrame:
    """One row per number: columns step, measure, value."""
    rows: list[tuple[str, str, float]] = []
    for step, one in (("extract", judged.extraction), ("verify", judged.kept)):
        rows += [(step, "precision", one.precision), (step, "recall", one.recall), (step, "f1", one.f1)]
        rows += [
            (step, name, float(getattr(one, name)))
            for name in ("right", "wrong", "denied", "neutral", "found", "missed")
        ]
    rows += [("verify", name, float(value)) for name, value in vars(judged.verification).items()]
    if judged.agreement is not None:
        of = judged.agreement
        rows += [("labels", "reports", float(of.reports)), ("labels", "faultless", float(of.faultless))]
        rows += [("labels", name, getattr(of.bits, name)) for name in ("precision", "recall", "f1")]
        rows += [("labels", name, float(value)) for name, value in vars(of.bits).items()]
    return pl.DataFrame(rows, {"step": pl.String, "measure": pl.String, "value": pl.Float64}, orient="row")


def for_people(judged: Judged, engine: str, archive: str) -> Document:
    """The numbers as tables, with what they mean."""
    one, agreement = judged.verification, judged.agreement
    return document(
        f"Quality of the mining: {archive}, {engine}",
        notice(SIMULATED),
        [
            "Against what the simulator knows that each report asserts, by the rules in ",
            Code("kmerl/knowledge/quality.py"),
            ": lenient about wording, the same for every engine. Verdicts and what a report only cannot rule out count "
            "neither way. The lexicon was written beside the simulator, so here it plays at home.",
        ],
        grid(
            [
                "After",
                "Precision",
                "Recall",
                "F1",
                "Right",
                "Wrong",
                "of these denied in the report",
                "Missed findings",
            ],
            [_scored("extraction", judged.extraction), _scored("verification and guard", judged.kept)],
            right=range(1, 8),
        ),
        grid(
            ["Of the extracted entities", "Number", "Answered NO", "Flagged by the guard"],
            [
                ["wrong", *map(Count, (one.errors, one.errors_removed, one.errors_flagged))],
                ["right", *map(Count, (one.right, one.right_lost, one.right_flagged))],
            ],
            right=[1, 2, 3],
        ),
        _agreed(agreement) if agreement else "",
    )


def _agreed(one: Agreement) -> str:
    bits = one.bits
    return (
        f"Label vectors, over {count(one.reports)} distinct reports: {count(one.faultless)} have no wrong bit and miss "
        f"no finding; precision {decimal(bits.precision)}, recall {decimal(bits.recall)} of the bits "
        f"({count(bits.wrong)} wrong, {count(bits.missed)} findings missed)."
    )


def compared(engines: Mapping[str, Judged]) -> Grid:
    """Several engines on the same reports as one table."""
    rows: list[list[Cell]] = []
    for name, judged in engines.items():
        one, before, after = judged.verification, judged.extraction, judged.answered
        rows.append(
            [
                name,
                *_shares(before),
                f"{one.errors_removed} of {one.errors}",
                f"{one.right_lost} of {one.right}",
                *_shares(after),
                f"{one.errors_flagged}, {one.right_flagged}",
            ]
        )
    header = ["Engine", "P", "R", "F1", "NO removes errors", "NO loses true ones", "P after", "R after", "F1 after"]
    return grid([*header, "Guard flags errors, true ones"], rows, right=range(1, 10))


def _shares(one: Score) -> list[Decimal]:
    return [Decimal(value) for value in (one.precision, one.recall, one.f1)]


def _scored(step: str, one: Score) -> list[Cell]:
    return [step, *_shares(one), *map(Count, (one.right, one.wrong, one.denied, one.missed))]
