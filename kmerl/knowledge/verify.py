"""Step 2: is each extracted entity there, and positive? (paper section 2.4, second prompt).

Beside the model's answer stand two checks that need none: the entity occurs in the text (the paper's argument that
nothing can be invented), and it is not denied there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from pydantic import Field

from kmerl.artifacts import table_writer
from kmerl.knowledge.asking import Asking, Dialogue
from kmerl.knowledge.constraints import YES_NO
from kmerl.knowledge.parsing import parse_yes_no
from kmerl.knowledge.places import is_denied
from kmerl.knowledge.tables import UNUSABLE
from kmerl.section import Section

VERIFIED = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("occurs", pa.bool_()),
        pa.field("negated", pa.bool_()),
        pa.field("flagged", pa.bool_(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""``answer``: yes, no, unusable, or not asked (verification left out). ``occurs``: the entity is written in the report;
``negated``: the report denies it there, or says it of the past (null if it is not written); both null if the guard is
off. ``flagged``: the guard found that it does not occur, or is negated."""


class VerifyParams(Section):
    """How entities are verified."""

    enabled: bool = Field(description="whether entities are verified at all; if not, all are kept")
    max_tokens: int = Field(ge=1, description="tokens; longest answer to one question")
    unit: Literal["entity", "list"] = Field(
        description="what one question is about: an entity, or a report's whole list (the paper does not say)"
    )
    guard: Literal["off", "flag", "drop"] = Field(
        description="two checks without a model, whether the entity is written in the report and not denied there: "
        "not made, noted beside the answer (paper: it argues so), or what fails is dropped"
    )


def verify(
    reports: pl.DataFrame, mentions: pl.DataFrame, asking: Asking, params: VerifyParams, folder: Path
) -> dict[str, int]:
    """Ask YES or NO for every mention and keep those answered YES.

    An unusable answer keeps nothing, and is no NO either: :func:`~kmerl.knowledge.labels.unusable_reports` leaves the
    report out of the labels.

    Args:
        reports: columns report_id, text.
        mentions: columns report_id, entity, start, end.
        asking: who answers.
        params: what is asked.
        folder: gets requests.jsonl, responses.jsonl, verified.parquet, unusable.parquet, cost.json.

    Returns:
        Counts: questions, mentions, kept, flagged, unusable answers.
    """
    of_report = (
        mentions.group_by("report_id", maintain_order=True)
        .agg("entity", "start", "end")
        .join(reports.select("report_id", "text"), on="report_id", maintain_order="left")
        .select("report_id", "text", "entity", "start", "end")
    )
    counts = dict.fromkeys(("mentions", "kept", "flagged", "unusable"), 0)
    with (
        Dialogue(asking, "verify", params.max_tokens, parse_yes_no, folder) as dialogue,
        table_writer(folder / "verified.parquet", VERIFIED) as write,
        table_writer(folder / "unusable.parquet", UNUSABLE) as lose,
    ):

        def questions(text: str, entities: list[str]) -> list[list[str]]:
            return [entities] if params.unit == "list" else [[entity] for entity in entities]

        def request(text: str, entities: list[str]) -> dict[str, Any]:
            listed = json.dumps(entities, ensure_ascii=False)
            return dialogue.request(YES_NO, report=text, entities=listed)

        if params.enabled:
            rows = of_report.select("text", "entity").iter_rows()
            dialogue.ask(request(text, asked) for text, entities in rows for asked in questions(text, entities))
        for report_id, text, entities, starts, ends in of_report.iter_rows():
            places = dict(zip(entities, zip(starts, ends, strict=True), strict=True))
            for asked in questions(text, entities):
                answer, question = "not asked", ""
                if params.enabled:
                    question = request(text, asked)["custom_id"]
                    reply = dialogue[question]
                    answer = "unusable" if reply.problem else "yes" if parse_yes_no(reply.content) else "no"
                    if reply.problem:
                        counts["unusable"] += 1
                        lose({"report_id": report_id, "reason": reply.problem, "answer": reply.content,
                              "request": question})  # fmt: skip
                for row in _judged(text, [(entity, *places[entity]) for entity in asked], answer, params):
                    write({"report_id": report_id, "request": question, **row})
                    counts["mentions"] += 1
                    counts["kept"] += row["kept"]
                    counts["flagged"] += row["flagged"]
    return {**counts, "questions": dialogue.tally.questions}


def _judged(
    text: str, entities: list[tuple[str, int | None, int | None]], answer: str, params: VerifyParams
) -> Iterator[dict[str, Any]]:
    """What becomes of entities that one answer is about: rows of :data:`VERIFIED`, but for their ids."""
    for entity, start, end in entities:
        occurs = negated = None
        if params.guard != "off":
            occurs = start is not None and end is not None
            negated = is_denied(text, (start, end)) if start is not None and end is not None else None
        flagged = occurs is False or negated is True
        kept = answer in ("yes", "not asked") and not (flagged and params.guard == "drop")
        yield {"entity": entity, "answer": answer, "occurs": occurs, "negated": negated, "flagged": flagged,
               "kept": kept}  # fmt: skip
