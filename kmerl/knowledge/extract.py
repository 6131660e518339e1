"""Step 1: the positive cardiac entities of each distinct report (paper section 2.4, first prompt)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
from pydantic import Field

from kmerl.artifacts import table_writer
from kmerl.knowledge.asking import Asking, Dialogue
from kmerl.knowledge.constraints import NAMES
from kmerl.knowledge.parsing import parse_list
from kmerl.knowledge.places import Place, locate, statements
from kmerl.knowledge.schemas import MENTIONS, UNUSABLE
from kmerl.section import Section


class ExtractParams(Section):
    """How entities are extracted."""

    unit: Literal["report", "statement"] = Field(
        description="what one question is about: a report (paper), or a statement of it, which many reports share"
    )
    max_tokens: int = Field(ge=1, description="tokens; longest answer to one question")
    longest_report: int = Field(ge=1, description="characters; longer reports are listed as unusable, not asked")


class _Piece(NamedTuple):
    """A part of a report that a question is about, and where it begins there."""

    text: str
    start: int


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

        def pieces() -> Iterator[_Piece]:
            for text in reports["text"]:
                if len(text) <= params.longest_report:
                    yield from _pieces(text, params)

        dialogue.ask(dialogue.request(NAMES, report=piece.text) for piece in pieces())
        for report_id, text in reports.select("report_id", "text").iter_rows():
            counts["reports"] += 1
            found, lost = _read(dialogue, text, params)
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


def _pieces(text: str, params: ExtractParams) -> list[_Piece]:
    if params.unit == "report":
        return [_Piece(text, 0)]
    return [_Piece(text[start:end], start) for start, end in statements(text)]


def _read(
    dialogue: Dialogue, text: str, params: ExtractParams
) -> tuple[list[tuple[str, Place | None, str]], list[tuple[str, str, str]]]:
    """What the answers about a report name, each entity once with its place, and what of them cannot be used."""
    if len(text) > params.longest_report:
        return [], [("report too long", "", "")]
    found: dict[str, tuple[str, Place | None, str]] = {}
    lost: list[tuple[str, str, str]] = []
    for piece in _pieces(text, params):
        request = dialogue.request(NAMES, report=piece.text)["custom_id"]
        answer = dialogue[request]
        if answer.problem:
            lost.append((answer.problem, answer.content, request))
            continue
        entities = parse_list(answer.content)
        for entity, place in zip(entities, locate(piece.text, entities), strict=True):
            there = None if place is None else (place[0] + piece.start, place[1] + piece.start)
            if entity not in found or (found[entity][1] is None and there is not None):
                found[entity] = (entity, there, request)
    # a report that is known in part only sets no label, so its mentions would mislead
    return ([] if lost else list(found.values())), lost
