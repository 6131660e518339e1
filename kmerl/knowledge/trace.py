"""The whole way of one record's label vector, for people."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kmerl.artifacts import read_json, read_table
from kmerl.errors import UserError
from kmerl.knowledge.extract import MENTIONS
from kmerl.knowledge.labels import TRACE, load_labels
from kmerl.knowledge.requests import RESPONSES, read_answer
from kmerl.knowledge.verify import VERIFIED
from kmerl.reports import REPORTS, STUDIES


@dataclass(frozen=True)
class Folders:
    """Where the stages' outputs are."""

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
    mentions = _of_report(folders.extract / "mentions.parquet", MENTIONS, report_id)
    verified = _of_report(folders.verify / "verified.parquet", VERIFIED, report_id)
    trace = _of_report(folders.labels / "trace.parquet", TRACE, report_id)
    lines = [f"record   {record_id}", f"report   {report_id}", f"text     {text}", "", "extracted"]
    lines += [f"  answer {answer}" for answer in _answers(folders.extract, mentions["request"])]
    for row in mentions.iter_rows(named=True):
        place = "not written so" if row["start"] is None else f"characters {row['start']} to {row['end']}"
        lines.append(f"  {row['entity']} ({place})")
    merged: dict[str, str] = read_json(folders.merge / "merged.json")
    lines += ["", "verified and merged"]
    for row in verified.iter_rows(named=True):
        name = f"kept as {merged.get(row['entity'], row['entity'])}" if row["kept"] else "dropped"
        lines.append(f"  {row['entity']}: {row['answer']}, {name}")
    lines += ["", "label vector"]
    row_of = labels.filter(pl.col("record_id") == record_id)
    if row_of.is_empty():
        return "\n".join([*lines, "  none: the record was left out, see rejected.parquet in the labels folder"])
    for position in row_of["positives"][0]:
        query = vocabulary.queries[position]
        ways = trace.filter(pl.col("query") == query).select("via", "entity").iter_rows()
        lines.append(f"  {position:4d} {query} <- {'; '.join(dict.fromkeys(_way(query, *way) for way in ways))}")
    return "\n".join(lines if len(row_of["positives"][0]) else [*lines, "  all zero"])


def _report(folder: Path, record_id: str) -> tuple[str, str]:
    studies = read_table(folder / "studies.parquet", STUDIES).filter(pl.col("record_id") == record_id)
    if studies.is_empty():
        raise UserError(f"record {record_id} has no report in {folder}; see its rejected.parquet for the reason")
    report_id: str = studies["report_id"][0]
    reports = read_table(folder / "reports.parquet", REPORTS).filter(pl.col("report_id") == report_id)
    return report_id, reports["text"][0]


def _of_report(path: Path, schema: object, report_id: str) -> pl.DataFrame:
    return read_table(path, schema).filter(pl.col("report_id") == report_id)


def _answers(folder: Path, requests: Iterable[str]) -> list[str]:
    """The texts of the answers to the questions with these ids."""
    wanted = set(requests)
    found = []
    with (folder / RESPONSES).open(encoding="utf-8") as file:
        for line in file:
            # most lines are another question's, and need not be parsed
            if any(request in line for request in wanted):
                answer = read_answer(json.loads(line))
                if answer.request in wanted:
                    found.append(answer.content)
    return found


def _way(query: str, via: str, entity: str) -> str:
    return f"'{entity}'" if via == query else f"{via} <- '{entity}'"
