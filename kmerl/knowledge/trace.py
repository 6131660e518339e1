"""The whole way of one record's label vector, for people."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kmerl.artifacts import read_json, read_table
from kmerl.errors import UserError
from kmerl.knowledge.asking import REQUESTS, RESPONSES
from kmerl.knowledge.labels import ancestors
from kmerl.knowledge.requests import Answer, read_answer
from kmerl.knowledge.schemas import MENTIONS, REPORTS, STUDIES, TRACE, UNUSABLE, VERIFIED
from kmerl.knowledge.vocabulary import load_labels
from kmerl.parts import parts_of


@dataclass(frozen=True)
class Folders:
    """Where the stages' outputs are; extract and verify in parts."""

    reports: Path
    extract: Path
    verify: Path
    merge: Path
    superclass: Path
    labels: Path


def explain(folders: Folders, record_id: str) -> str:
    """A record's report, the entities found in it with their places, every answer, and the bits they set.

    Raises:
        UserError: the record has no report, or a stage's output is missing.
    """
    report_id, text = _report(folders.reports, record_id)
    vocabulary, labels = load_labels(folders.labels)
    trace = _of_report(folders.labels / "trace.parquet", TRACE, report_id)
    lines = [f"record   {record_id}", f"report   {report_id}", f"text     {text}", ""]
    lines += _extracted(folders.extract, report_id, text)
    lines += ["", *_verified(folders.verify, report_id)]
    lines += ["", *_merged(folders, report_id)]
    lines += ["", "label vector"]
    row_of = labels.filter(pl.col("record_id") == record_id)
    if row_of.is_empty():
        return "\n".join([*lines, "  none: the record was left out, see rejected.parquet in the labels folder"])
    for position in row_of["positives"][0]:
        query = vocabulary.queries[position]
        ways = trace.filter(pl.col("query") == query).select("via", "entity").iter_rows()
        lines.append(f"  {position:4d} {query} <- {'; '.join(dict.fromkeys(_way(query, *way) for way in ways))}")
    return "\n".join(lines if len(row_of["positives"][0]) else [*lines, "  all zero"])


def _extracted(folder: Path, report_id: str, text: str) -> Iterator[str]:
    """The answers to the first prompt, and each entity with its place."""
    yield "extracted"
    for part in parts_of(folder):
        mentions = _of_report(part / "mentions.parquet", MENTIONS, report_id)
        lost = _of_report(part / "unusable.parquet", UNUSABLE, report_id)
        asked = {*mentions["request"], *lost["request"]} - {""} or _asked_about(part, text)
        for answer in _answers(part, asked):
            yield f"  answer {' '.join(answer.content.split())}"
        for reason in lost["reason"]:
            yield f"  cannot be used: {reason}"
        for entity, start, end in mentions.select("entity", "start", "end").iter_rows():
            where = "not written so" if start is None else f"characters {start} to {end}: '{text[start:end]}'"
            yield f"  {entity} ({where})"


def _verified(folder: Path, report_id: str) -> Iterator[str]:
    """Each entity with the answer to the second prompt and what the checks without a model say."""
    yield "verified"
    for part in parts_of(folder):
        verified = _of_report(part / "verified.parquet", VERIFIED, report_id)
        said = {answer.request: answer for answer in _answers(part, verified["request"])}
        for row in verified.iter_rows(named=True):
            answer = said.get(row["request"])
            words = f" '{' '.join(answer.content.split())[:60]}'" if answer else ""
            checks = {None: ", guard off", True: ", occurs", False: ", does not occur"}[row["occurs"]]
            checks += ", denied there" if row["negated"] else ""
            yield f"  {row['entity']}: {row['answer']}{words}{checks} -> {'kept' if row['kept'] else 'dropped'}"


def _merged(folders: Folders, report_id: str) -> Iterator[str]:
    """Each kept entity with its merged name and the superclasses above that."""
    merged: Mapping[str, str] = read_json(folders.merge / "merged.json")
    groups: Mapping[str, Sequence[str]] = read_json(folders.superclass / "superclasses.json")
    yield "merged, and superclasses"
    for part in parts_of(folders.verify):
        verified = _of_report(part / "verified.parquet", VERIFIED, report_id)
        for entity in verified.filter("kept")["entity"]:
            name = merged.get(entity, entity)
            above = ancestors(name, groups)
            yield f"  {entity} -> {name}" + (f" in {', '.join(above)}" if above else "")


def _report(folder: Path, record_id: str) -> tuple[str, str]:
    studies = read_table(folder / "studies.parquet", STUDIES).filter(pl.col("record_id") == record_id)
    if studies.is_empty():
        raise UserError(f"record {record_id} has no report in {folder}; see its rejected.parquet for the reason")
    report_id: str = studies["report_id"][0]
    reports = read_table(folder / "reports.parquet", REPORTS).filter(pl.col("report_id") == report_id)
    return report_id, reports["text"][0]


def _of_report(path: Path, schema: object, report_id: str) -> pl.DataFrame:
    return read_table(path, schema).filter(pl.col("report_id") == report_id)


def _asked_about(folder: Path, text: str) -> set[str]:
    """The ids of the questions that show a report: of one without mentions, no table knows them."""
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    with (folder / REQUESTS).open(encoding="utf-8") as file:
        return {json.loads(line)["custom_id"] for line in file if written in line}


def _answers(folder: Path, requests: Iterable[str]) -> list[Answer]:
    """The answers to the questions with these ids."""
    wanted = set(requests) - {""}
    found: list[Answer] = []
    if not wanted:
        return found
    with (folder / RESPONSES).open(encoding="utf-8") as file:
        for line in file:
            # most lines are another question's, and need not be parsed
            if line[15:47] in wanted:
                found.append(read_answer(json.loads(line)))
    return found


def _way(query: str, via: str, entity: str) -> str:
    return f"'{entity}'" if via == query else f"{via} <- '{entity}'"
