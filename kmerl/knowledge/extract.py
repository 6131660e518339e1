"""Step 1: the positive cardiac entities of each distinct report (paper section 2.4, first prompt)."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
from pydantic import Field

from kmerl.artifacts import write_table
from kmerl.knowledge.engines import EngineParams, Request, open_engine
from kmerl.knowledge.parsing import UnusableError, parse_list
from kmerl.knowledge.places import locate
from kmerl.knowledge.prompts import prompt
from kmerl.knowledge.requests import answers, ask, make_request
from kmerl.knowledge.tables import frame
from kmerl.section import Section

MENTIONS = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""An entity as the answer names it, its place ``[start, end)`` in the report's text (null if it is not written so;
:func:`~kmerl.knowledge.places.locate` chooses among several), and the id of the question."""

UNUSABLE = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
    ]
)


class ExtractParams(Section):
    """How entities are extracted."""

    max_tokens: int = Field(ge=1, description="tokens; longest answer to one question")
    longest_report: int = Field(ge=1, description="characters; longer reports are listed as unusable, not asked")


def extract(reports: pl.DataFrame, engine: EngineParams, params: ExtractParams, folder: Path) -> dict[str, int]:
    """Ask for every report's entities; the tables and the dialogue go to ``folder``.

    Args:
        reports: columns report_id and text, one row per distinct text.
        engine: which engine answers.
        params: what is asked.
        folder: gets requests.jsonl, responses.jsonl, mentions.parquet, unusable.parquet.

    Returns:
        Counts: reports, mentions, distinct entities, unusable answers, mentions without a place in the text.
    """
    fits = pl.col("text").str.len_chars() <= params.longest_report
    asked = reports.filter(fits)
    question, opened = prompt("extract"), open_engine(engine)

    def requests() -> Iterator[Request]:
        for text in asked["text"]:
            yield make_request(question, opened, engine, params.max_tokens, report=text)

    ask(opened, requests(), folder)
    # ids only: the texts stay in their column
    waiting = {request["custom_id"]: row for row, request in enumerate(requests())}
    unusable = [(i, "report too long", "", "") for i in reports.filter(~fits)["report_id"]]
    mentions: list[tuple[str, str, int | None, int | None, str]] = []
    for answer in answers(folder):
        row = waiting.pop(answer.request, None)
        if row is None:
            continue
        report_id, text = asked["report_id"][row], asked["text"][row]
        try:
            if answer.problem:
                raise UnusableError(answer.problem)
            entities = parse_list(answer.content)
            for entity, place in zip(entities, locate(text, entities), strict=True):
                mentions.append((report_id, entity, *(place or (None, None)), answer.request))
        except UnusableError as error:
            unusable.append((report_id, str(error), answer.content, answer.request))
    unusable += [(asked["report_id"][row], "no answer", "", request) for request, row in waiting.items()]
    # answers may come in any order
    found = frame(mentions, MENTIONS).sort("report_id", maintain_order=True)
    write_table(folder / "mentions.parquet", found, MENTIONS)
    lost = frame(unusable, UNUSABLE).sort("report_id", maintain_order=True)
    write_table(folder / "unusable.parquet", lost, UNUSABLE)
    return {
        "reports": len(reports),
        "mentions": len(found),
        "entities": found["entity"].n_unique(),
        "unusable": len(lost),
        "unplaced": found["start"].null_count(),
    }
