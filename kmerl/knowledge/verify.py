"""Step 2: is each extracted entity there, and positive? (paper section 2.4, second prompt)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa
from pydantic import Field

from kmerl.artifacts import write_table
from kmerl.knowledge.engines import EngineParams, Request, open_engine
from kmerl.knowledge.parsing import UnusableError, parse_yes_no
from kmerl.knowledge.prompts import prompt
from kmerl.knowledge.requests import answers, ask, make_request
from kmerl.knowledge.tables import frame
from kmerl.section import Section

VERIFIED = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""``answer``: yes, no, unusable, or not asked (verification left out)."""

UNUSABLE = pa.schema(
    [
        pa.field("request", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
    ]
)


class VerifyParams(Section):
    """How entities are verified."""

    enabled: bool = Field(description="whether entities are verified at all; if not, all are kept")
    max_tokens: int = Field(ge=1, description="tokens; longest answer to one question")
    unit: Literal["entity", "list"] = Field(
        description="what one question is about: an entity, or a report's whole list (the paper does not say)"
    )


def verify(
    reports: pl.DataFrame, mentions: pl.DataFrame, engine: EngineParams, params: VerifyParams, folder: Path
) -> dict[str, int]:
    """Ask YES or NO for every mention and keep those answered YES.

    An unusable answer keeps nothing, and is no NO either: :func:`~kmerl.knowledge.labels.unusable_reports` leaves the
    report out of the labels.

    Args:
        reports: columns report_id, text.
        mentions: columns report_id, entity.
        engine: which engine answers.
        params: what is asked.
        folder: gets requests.jsonl, responses.jsonl, verified.parquet, unusable.parquet.

    Returns:
        Counts: questions, mentions, kept, unusable answers.
    """
    texts = dict(reports.select("report_id", "text").iter_rows())
    questions = mentions.group_by("report_id", maintain_order=True).agg("entity")
    if params.unit == "entity":
        questions = questions.explode("entity").with_columns(entity=pl.concat_list("entity"))
    if not params.enabled:
        questions = questions.clear()
    question, opened = prompt("verify"), open_engine(engine)

    def requests() -> Iterator[Request]:
        for report_id, entities in questions.iter_rows():
            listed = json.dumps(entities, ensure_ascii=False)
            yield make_request(question, opened, engine, params.max_tokens, report=texts[report_id], entities=listed)

    count = ask(opened, requests(), folder)
    ids = pl.Series("request", [request["custom_id"] for request in requests()], dtype=pl.String)
    replies: list[tuple[str, str]] = []
    unusable: list[tuple[str, str, str]] = []
    for answer in answers(folder):
        try:
            if answer.problem:
                raise UnusableError(answer.problem)
            replies.append((answer.request, "yes" if parse_yes_no(answer.content) else "no"))
        except UnusableError as error:
            unusable.append((answer.request, str(error), answer.content))
    answered = {request for request, _ in replies} | {request for request, _, _ in unusable}
    unusable += [(request, "no answer", "") for request in ids.unique(maintain_order=True) if request not in answered]
    table = pl.DataFrame(replies, {"request": pl.String, "answer": pl.String}, orient="row").unique("request")
    verified = (
        questions.with_columns(ids)
        .explode("entity")
        .join(table, on="request", how="left", maintain_order="left")
        .with_columns(pl.col("answer").fill_null("unusable"))
        .with_columns(kept=pl.col("answer") == "yes")
    )
    if not params.enabled:
        verified = mentions.select(
            "report_id", "entity", answer=pl.lit("not asked"), kept=pl.lit(True), request=pl.lit("")
        )
    write_table(folder / "verified.parquet", verified.select(VERIFIED.names), VERIFIED)
    lost = frame(unusable, UNUSABLE).sort("request")
    write_table(folder / "unusable.parquet", lost, UNUSABLE)
    return {
        "questions": count,
        "mentions": len(verified),
        "kept": int(verified["kept"].sum()),
        "unusable": len(lost),
    }
