"""Reports from the statements of a record: MERL's cleaning as rules with parameters, one row per distinct text."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import polars as pl
import pyarrow as pa
from pydantic import Field

from kmerl.errors import UserError
from kmerl.section import Section

REPORTS = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("records", pa.int64(), nullable=False),
    ]
)
STUDIES = pa.schema(
    [pa.field("record_id", pa.string(), nullable=False), pa.field("report_id", pa.string(), nullable=False)]
)
REJECTED = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)


class ReportsParams(Section):
    """How statements become a report; MERL's values unless a comment in params.yaml says otherwise."""

    joiner: str = Field(description="text put between two statements")
    replace: dict[str, str] = Field(description="literal text -> what stands for it, before lower-casing")
    strip: str = Field(description="characters removed, with spaces, at the ends of what `strip_ends_of` names")
    strip_ends_of: Literal["report", "statement"] = Field(description="MERL strips the whole report")
    lower_case: bool = Field(description="whether the report is lower-cased")
    full_stop: bool = Field(description="whether a report that does not end in a full stop gets one")
    min_words: int = Field(ge=1, description="words; shorter reports are rejected (MERL: 4)")


@dataclass(frozen=True)
class Reports:
    """Distinct texts, which record has which, and what was rejected; schemas of the same names above."""

    reports: pl.DataFrame
    studies: pl.DataFrame
    rejected: pl.DataFrame


def clean(statements: pl.DataFrame, params: ReportsParams) -> Reports:
    """Join, clean, de-duplicate.

    Args:
        statements: columns of :data:`kmerl.archives.tables.STATEMENTS`; empty and missing statements are skipped.
        params: the rules.

    Returns:
        ``reports`` sorted by id, ``studies`` and ``rejected`` in the order of the records. Each record is in exactly
        one of the last two; reasons are "no statements" and "fewer than N words".

    Raises:
        UserError: a record occurs twice.
    """
    twice = statements.filter(pl.col("record_id").is_duplicated())
    if len(twice):
        raise UserError(f"record {twice['record_id'][0]} occurs twice among the statements; repair the archive's index")
    texts = statements.select("record_id", text=_texts(statements["statements"], params))
    too_short = f"fewer than {params.min_words} words"
    words = pl.col("text").str.count_matches(" ", literal=True) + 1
    texts = texts.with_columns(
        reason=pl.when(pl.col("text").str.strip_chars(". ") == "")
        .then(pl.lit("no statements"))
        .when(words < params.min_words)
        .then(pl.lit(too_short))
    )
    rejected = texts.filter(pl.col("reason").is_not_null()).select("record_id", "reason", "text")
    kept = texts.filter(pl.col("reason").is_null()).select("record_id", "text")
    reports = kept.group_by("text").agg(records=pl.len().cast(pl.Int64))
    ids = pl.Series("report_id", [report_id(text) for text in reports["text"]], dtype=pl.String)
    reports = reports.with_columns(ids).select("report_id", "text", "records").sort("report_id")
    studies = kept.join(reports, on="text", how="left", maintain_order="left").select("record_id", "report_id")
    return Reports(reports, studies, rejected)


def report_id(text: str) -> str:
    """A short hash of a report's text: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _texts(statements: pl.Series, params: ReportsParams) -> pl.Series:
    """The cleaned report of each record; empty where it has no statements."""
    space = " \t\r\n"
    ends = params.strip + space
    piece = pl.col("piece").str.strip_chars(ends if params.strip_ends_of == "statement" else space)
    reports = (
        pl.DataFrame({"piece": statements})
        .with_row_index("row")
        .explode("piece")
        .with_columns(piece)
        .filter(pl.col("piece") != "")
        .group_by("row", maintain_order=True)
        .agg("piece")
    )
    text = pl.col("piece").list.join(params.joiner)
    for old, new in params.replace.items():
        text = text.str.replace_all(old, new, literal=True)
    text = text.str.replace_all(r"\s\s+|[\t\r\n]", " ").str.strip_chars(ends)
    if params.lower_case:
        text = text.str.to_lowercase()
    if params.full_stop:
        text = pl.when(text.str.ends_with(".") | (text == "")).then(text).otherwise(text + ".")
    rows = pl.DataFrame({"row": range(len(statements))}, {"row": pl.get_index_type()})
    return rows.join(reports.select("row", text=text), on="row", how="left", maintain_order="left")["text"].fill_null(
        ""
    )
