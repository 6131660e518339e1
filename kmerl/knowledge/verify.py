"""Step 2: is each extracted entity there, and positive? (paper section 2.4, second prompt).

Beside the model's answer stand two checks that need none: the entity occurs in the text (the paper's argument that
nothing can be invented), and it is not denied there.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl
from pydantic import Field, model_validator

from kmerl.artifacts import table_writer
from kmerl.knowledge.asking import Asking, Dialogue
from kmerl.knowledge.constraints import YES_NO
from kmerl.knowledge.engines.messages import Request
from kmerl.knowledge.parsing import parse_yes_no
from kmerl.knowledge.schemas import UNUSABLE, VERIFIED
from kmerl.knowledge.spans import Place, is_denied, statements
from kmerl.section import Section


class VerifyParams(Section):
    """How entities are verified."""

    enabled: bool = Field(description="whether entities are verified at all; if not, all are kept")
    max_tokens: int = Field(ge=1, description="tokens; longest answer to one question")
    unit: Literal["entity", "list"] = Field(
        description="what one question is about: an entity, or a report's whole list (the paper does not say)"
    )
    shows: Literal["report", "statement"] = Field(
        description="what of the report a question about one entity shows: all of it (paper), or the statement with "
        "the entity, so that reports share questions"
    )
    guard: Literal["off", "flag", "drop"] = Field(
        description="two checks without a model, whether the entity is written in the report and not denied there: "
        "not made, noted beside the answer (paper: it argues so), or what fails is dropped"
    )

    @model_validator(mode="after")
    def _fits(self) -> "VerifyParams":
        if self.unit == "list" and self.shows == "statement":
            raise ValueError("shows: a report's list stands in several statements; set it to report, or unit to entity")
        return self


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

        def questions() -> Iterator[Request]:
            for _, text, *mentioned in of_report.iter_rows():
                places = statements(text) if params.shows == "statement" else []
                for about in _together(mentioned, params):
                    listed = json.dumps([mention.entity for mention in about], ensure_ascii=False)
                    yield dialogue.request(YES_NO, report=_shown(text, about[0], places), entities=listed)

        answers = dialogue.ask(questions()) if params.enabled else None
        for report_id, text, *mentioned in of_report.iter_rows():
            for about in _together(mentioned, params):
                answer, question = "not asked", ""
                if answers:
                    reply = next(answers)
                    answer, question = "unusable" if reply.problem else "yes" if reply.value else "no", reply.request
                    if reply.problem:
                        counts["unusable"] += 1
                        lose({"report_id": report_id, "reason": reply.problem, "answer": reply.content,
                              "request": question})  # fmt: skip
                for row in _judged(text, about, answer, params):
                    write({"report_id": report_id, "request": question, **row})
                    counts["mentions"] += 1
                    counts["kept"] += row["kept"]
                    counts["flagged"] += row["flagged"]
    return {**counts, "questions": dialogue.tally.questions}


class _Mention(NamedTuple):
    """An entity and its place in the report, if it is written there."""

    entity: str
    start: int | None
    end: int | None


def _together(columns: list[list[Any]], params: VerifyParams) -> list[list[_Mention]]:
    """A report's mentions, those together that one question is about."""
    mentions = [_Mention(*one) for one in zip(*columns, strict=True)]
    return [mentions] if params.unit == "list" else [[mention] for mention in mentions]


def _shown(text: str, mention: _Mention, places: list[Place]) -> str:
    """The statement with a mention, or the whole report if none of ``places`` is that."""
    return next((text[a:b] for a, b in places if mention.start is not None and a <= mention.start < b), text)


def _judged(text: str, mentions: list[_Mention], answer: str, params: VerifyParams) -> Iterator[dict[str, Any]]:
    """What becomes of entities that one answer is about: rows of :data:`VERIFIED`, but for their ids."""
    for entity, start, end in mentions:
        occurs = negated = None
        if params.guard != "off":
            occurs = start is not None and end is not None
            negated = is_denied(text, (start, end)) if start is not None and end is not None else None
        flagged = occurs is False or negated is True
        kept = answer in ("yes", "not asked") and not (flagged and params.guard == "drop")
        yield {"entity": entity, "answer": answer, "occurs": occurs, "negated": negated, "flagged": flagged,
               "kept": kept}  # fmt: skip
