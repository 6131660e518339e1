"""What the mining of reports made: counts per step, the tree of queries, frequent reports, and what it cost."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from kmerl.documents import Bold, Code, Count, Decimal, Document, Text, document, grid
from kmerl.escapes import one_line
from kmerl.knowledge.hierarchy import Entity, Hierarchy
from kmerl.origins import REPORTS, SIMULATED

PUBLISHED = {
    "confirmed entities": 341,
    "merged entities": 252,
    "superclasses": 25,
    "queries": 277,
}
"""The paper's counts on MIMIC-IV-ECG (section 2.4)."""
_MOST = 20
_NAMES = 6  # other names of an entity that the tree lists


def notice(origin: str) -> Text:
    """What must stand over every table of simulated reports."""
    which, meaning = REPORTS
    return [Bold(which), meaning] if origin == SIMULATED else ""


def counts(
    reports: int, records: int, verified: pl.DataFrame, merged: Mapping[str, str], summary: Mapping[str, Any]
) -> pl.DataFrame:
    """How many of what are there before and after each step; columns step, what, count, published.

    Args:
        reports: distinct texts.
        records: that have one of these.
        verified: columns entity, flagged, kept; one row per report and extracted entity.
        merged: original -> merged name.
        summary: of the labels stage.
    """
    kept = verified.filter("kept")
    spellings = {name.lower() for name in merged}
    rows = [
        ("reports", "records with a usable report", records),
        ("reports", "distinct reports", reports),
        ("extract", "mentions, one for each report that names an entity", verified.height),
        ("extract", "extracted entities", verified["entity"].n_unique()),
        ("verify", "mentions kept", kept.height),
        ("verify", "mentions that the guard flags", int(verified["flagged"].sum())),
        ("verify", "confirmed entities", len(spellings)),
        ("merge", "merged entities", len(set(merged.values()))),
        ("superclass", "superclasses", summary["superclasses"]),
        ("labels", "rare queries left out", summary["rare"]),
        ("labels", "queries", summary["queries"]),
        ("labels", "labelled records", summary["labelled"]),
    ]
    told = [(step, what, number, PUBLISHED.get(what)) for step, what, number in rows]
    types = {"step": pl.String, "what": pl.String, "count": pl.Int64, "published": pl.Int64}
    return pl.DataFrame(told, types, orient="row")


def counts_for_people(frame: pl.DataFrame, origin: str) -> Document:
    """The counts with the paper's beside them."""
    rows = [
        [step, what, Count(number), None if published is None else Count(published)]
        for step, what, number, published in frame.iter_rows()
    ]
    return document(
        "From reports to queries",
        notice(origin),
        "Published: the paper's counts on MIMIC-IV-ECG with Llama3.1-70B-Instruct (section 2.4). Superclasses are "
        "those that are no entities themselves, as they are counted in 252 + 25 = 277.",
        grid(["Step", "What", "Count", "Published"], rows, right=[2, 3]),
    )


def tree(hierarchy: Hierarchy, origin: str) -> str:
    """The hierarchy as text: superclass, entities, other names; each with the number of records that assert it."""
    lines = ["".join(REPORTS), ""] if origin == SIMULATED else []
    for group in hierarchy.groups:
        lines.append(f"{one_line(group.name)} ({group.records:,})")
        lines += _branches(group.members)
    if hierarchy.alone:
        lines.append("in no superclass")
        lines += _branches(hierarchy.alone)
    return "\n".join(lines) + "\n"


def _branches(members: Sequence[Entity]) -> Iterator[str]:
    for i, one in enumerate(members):
        last = i == len(members) - 1
        yield f"{'└── ' if last else '├── '}{one_line(one.name)} ({one.records:,})"
        others = [f"{one_line(name)} ({records:,})" for name, records in one.names if name != one.name]
        if others:
            more = f", and {len(others) - _NAMES} more" if len(others) > _NAMES else ""
            yield f"{'    ' if last else '│   '}    as {', '.join(others[:_NAMES])}{more}"


def frequent(
    reports: pl.DataFrame, verified: pl.DataFrame, unusable: pl.DataFrame, merged: Mapping[str, str], most: int = _MOST
) -> pl.DataFrame:
    """The most frequent reports with what became of each entity; columns records, report, kept, dropped.

    Args:
        reports: columns report_id, text, records.
        verified: one row per report and extracted entity.
        unusable: columns report_id, reason; answers to the first prompt.
        merged: original -> merged name.
        most: reports listed.
    """
    first = reports.sort(["records", "report_id"], descending=[True, False])[:most]
    rows = {name: part for (name,), part in verified.group_by(["report_id"], maintain_order=True)}
    lost = dict(unusable.select("report_id", "reason").iter_rows())
    told = []
    for report_id, text, records in first.select("report_id", "text", "records").iter_rows():
        kept, dropped = [], [f"all (extraction: {lost[report_id]})"] if report_id in lost else []
        for row in rows[report_id].iter_rows(named=True) if report_id in rows else ():
            if row["kept"]:
                name = merged.get(row["entity"], row["entity"])
                shown = row["entity"] if name == row["entity"] else f"{row['entity']} → {name}"
                kept.append(shown + (" (flagged)" if row["flagged"] else ""))
            else:
                dropped.append(f"{row['entity']} ({_why(row)})")
        told.append((records, text, "; ".join(kept), "; ".join(dropped)))
    return pl.DataFrame(
        told, {"records": pl.Int64, "report": pl.String, "kept": pl.String, "dropped": pl.String}, orient="row"
    )


def _why(row: Mapping[str, Any]) -> str:
    if row["answer"] == "yes":
        return "does not occur" if row["occurs"] is False else "denied in the report"
    return {"no": "answered NO", "unusable": "unusable answer"}.get(row["answer"], row["answer"])


def frequent_for_people(frame: pl.DataFrame, origin: str) -> Document:
    """The most frequent reports as a table."""
    rows = [
        [Count(records), text, *(named or None for named in entities)] for records, text, *entities in frame.iter_rows()
    ]
    return document(
        "The most frequent reports, and what was mined from them",
        notice(origin),
        "Kept: as written, and → the merged name where it is another. Dropped: with the reason.",
        grid(["Records", "Report", "Kept", "Dropped"], rows, right=[0]),
    )


COST = ("questions", "asked", "again", "unusable", "prompt_tokens", "completion_tokens")


def costs(steps: Mapping[str, Sequence[Mapping[str, Any]]], records: int) -> pl.DataFrame:
    """What each step asked: columns step, model, and those of :data:`COST`, then questions per 1,000 records.

    Args:
        steps: step -> ``cost.json`` of each of its parts.
        records: that have a usable report.
    """
    rows = []
    for step, parts in steps.items():
        sums = [sum(int(part[name]) for part in parts) for name in COST]
        rows.append((step, ", ".join(sorted({str(part["model"]) for part in parts})), *sums, 1000 * sums[0] / records))
    types: dict[str, Any] = {"step": pl.String, "model": pl.String, **dict.fromkeys(COST, pl.Int64)}
    return pl.DataFrame(rows, {**types, "per_1000_records": pl.Float64}, orient="row")


def costs_for_people(frame: pl.DataFrame, origin: str) -> Document:
    """The costs as a table."""
    rows = [
        [row["step"], row["model"], *(Count(row[name]) for name in COST), Decimal(row["per_1000_records"], 1)]
        for row in frame.iter_rows(named=True)
    ]
    asked = ["Questions", "Asked", "Again", "Unusable", "Tokens in", "Tokens out", "Per 1,000 records"]
    return document(
        "What the mining cost",
        notice(origin),
        [
            "Questions: distinct ones. Asked: with repetitions; Again: questions repeated with a larger limit; "
            "Unusable: answers that stayed so. Tokens: of the last answer to each question, whenever it was given (of "
            "the lexicon: words). Seconds, and what came from the cache, depend on the run: ",
            Code("python -m kmerl.inspect cost"),
            ".",
        ],
        grid(["Step", "Model", *asked], rows, right=range(2, 9)),
    )
