"""How good the mining of simulated reports was, step by step."""

from collections.abc import Mapping, Sequence

import polars as pl

from kmerl.escapes import md
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
from kmerl.tables.markdown import page, table
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


def markdown(judged: Judged, engine: str, archive: str) -> str:
    """The numbers as tables, with what they mean."""
    one = judged.verification
    parts = [
        f"# Quality of the mining: {md(archive)}, {md(engine)}",
        notice("simulated"),
        "Against what the simulator knows that each report asserts, by the rules in `kmerl/knowledge/quality.py`: "
        "lenient about wording, the same for every engine. Verdicts and what a report only cannot rule out count "
        "neither way. The lexicon was written beside the simulator, so here it plays at home.",
        table(
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
        table(
            ["Of the extracted entities", "Number", "Answered NO", "Flagged by the guard"],
            [
                ("wrong", f"{one.errors:,}", f"{one.errors_removed:,}", f"{one.errors_flagged:,}"),
                ("right", f"{one.right:,}", f"{one.right_lost:,}", f"{one.right_flagged:,}"),
            ],
            right=[1, 2, 3],
        ),
    ]
    if judged.agreement is not None:
        of = judged.agreement
        parts.append(
            f"Label vectors, over {of.reports:,} distinct reports: {of.faultless:,} have no wrong bit and miss no "
            f"finding; precision {of.bits.precision:.3f}, recall {of.bits.recall:.3f} of the bits ({of.bits.wrong:,} "
            f"wrong, {of.bits.missed:,} findings missed)."
        )
    return page(parts)


def compared(engines: Mapping[str, Judged]) -> str:
    """Several engines on the same reports as one table."""
    rows: list[Sequence[str]] = []
    for name, judged in engines.items():
        one, before, after = judged.verification, judged.extraction, judged.answered
        rows.append(
            (
                md(name),
                *(f"{value:.3f}" for value in (before.precision, before.recall, before.f1)),
                f"{one.errors_removed} of {one.errors}",
                f"{one.right_lost} of {one.right}",
                *(f"{value:.3f}" for value in (after.precision, after.recall, after.f1)),
                f"{one.errors_flagged}, {one.right_flagged}",
            )
        )
    header = ["Engine", "P", "R", "F1", "NO removes errors", "NO loses true ones", "P after", "R after", "F1 after"]
    header.append("Guard flags errors, true ones")
    return table(header, rows, right=range(1, 10))


def _scored(step: str, one: Score) -> Sequence[str]:
    shares = (f"{value:.3f}" for value in (one.precision, one.recall, one.f1))
    return (step, *shares, *(f"{number:,}" for number in (one.right, one.wrong, one.denied, one.missed)))
