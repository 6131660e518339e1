"""Step 1: the positive cardiac entities of each distinct report (paper section 2.4, first prompt)."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from kmerl.artifacts import table_writer
from kmerl.knowledge.asking import Asking, Dialogue
from kmerl.knowledge.constraints import NAMES
from kmerl.knowledge.engines.messages import Request
from kmerl.knowledge.parsing import parse_list
from kmerl.knowledge.requests import Answer
from kmerl.knowledge.schemas import MENTIONS, UNUSABLE
from kmerl.knowledge.spans import Place, locate, statements
from kmerl.section import Section


class ExtractParams(Section):
    """How entities are extracted."""

    unit: Literal["report", "statement"] = Field(
        description="what one question is about: a report (paper), or a statement of it, which many reports share"
    )
    max_tokens: int = Field(ge=1, description="tokens; longest answer to one question")
    longest_report: int = Field(ge=1, description="characters; longer reports are listed as unusable, not asked")


def extract(reports: pl.DataFrame, asking: Asking, params: ExtractParams, folder: Path) -> dict[str, int]:
    """Ask for every report's entities; the tables and the dialogue go to ``folder``.

    Args:
        reports: columns report_id and text, one row per distinct text.
        asking: who answers.
        params: what is asked.
        folder: gets requests.jsonl, responses.jsonl, mentions.parquet, unusable.parquet, cost.json.

    Returns:
        Counts: reports, mentions, distinct entities, unusable answers, mentions without a place in the text, questions.
    """
    counts = dict.fromkeys(("reports", "mentions", "unusable", "unplaced"), 0)
    names: set[str] = set()
    with (
        Dialogue(asking, "extract", params.max_tokens, parse_list, folder) as dialogue,
        table_writer(folder / "mentions.parquet", MENTIONS) as mention,
        table_writer(folder / "unusable.parquet", UNUSABLE) as lose,
    ):
        places, many = array("q"), array("q")  # of what is asked about: start and end in its report; how many of each

        def questions() -> Iterator[Request]:
            for text in reports["text"]:
                pieces = [] if len(text) > params.longest_report else _pieces(text, params)
                many.append(len(pieces))
                for start, end in pieces:
                    places.extend((start, end))
                    yield dialogue.request(NAMES, report=text[start:end])

        answers = dialogue.ask(questions())
        asked = zip(zip(*[iter(places)] * 2, strict=True), answers, strict=True)
        for (report_id, text), pieces in zip(reports.select("report_id", "text").iter_rows(), many, strict=True):
            counts["reports"] += 1
            found, lost = _read(text, islice(asked, pieces))
            if len(text) > params.longest_report:
                lost.append(("report too long", "", ""))
            for entity, place, request in found:
                start, end = place or (None, None)
                mention({"report_id": report_id, "entity": entity, "start": start, "end": end, "request": request})
                names.add(entity)
                counts["mentions"] += 1
                counts["unplaced"] += place is None
            for reason, answer, request in lost:
                lose({"report_id": report_id, "reason": reason, "answer": answer, "request": request})
                counts["unusable"] += 1
    return {**counts, "entities": len(names), "questions": dialogue.tally.questions}


def _pieces(text: str, params: ExtractParams) -> list[Place]:
    """Where in a report that stands which each question is about."""
    return [(0, len(text))] if params.unit == "report" else statements(text)


def _read(
    text: str, asked: Iterable[tuple[Place, Answer]]
) -> tuple[list[tuple[str, Place | None, str]], list[tuple[str, str, str]]]:
    """What the answers about a report name, each entity once with its place, and what of them cannot be used."""
    found: dict[str, tuple[str, Place | None, str]] = {}
    lost: list[tuple[str, str, str]] = []
    for (start, end), answer in asked:
        if answer.problem:
            lost.append((answer.problem, answer.content, answer.request))
            continue
        for entity, place in zip(answer.value, locate(text[start:end], answer.value), strict=True):
            there = None if place is None else (place[0] + start, place[1] + start)
            if entity not in found or (found[entity][1] is None and there is not None):
                found[entity] = (entity, there, answer.request)
    # a report that is known in part only sets no label, so its mentions would mislead
    return ([] if lost else list(found.values())), lost
