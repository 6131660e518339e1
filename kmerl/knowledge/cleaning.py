"""Reports from the statements of a record: MERL's cleaning as rules with parameters, one row per distinct text."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import Field

from kmerl.errors import UserError
from kmerl.section import Section


class ReportsParams(Section):
    """How statements become a report; MERL's values unless a comment in params.yaml says otherwise."""

    joiner: str = Field(description="text put between two statements")
    replace: dict[str, str] = Field(description="literal text -> what stands for it, before lower-casing")
    strip: str = Field(description="characters removed, with spaces, at the ends of what `strip_ends_of` names")
    strip_ends_of: Literal["report", "statement"] = Field(description="MERL strips the whole report")
    lower_case: bool = Field(description="whether the report is lower-cased")
    full_stop: bool = Field(description="whether a report that does not end in a full stop gets one")
    min_words: int = Field(ge=1, description="words; shorter reports are rejected (MERL: 4)")
    splits: list[Literal["train", "valid", "test"]] = Field(
        min_length=1, description="records of these splits; what others say is not read, not even for the vocabulary"
    )


@dataclass(frozen=True)
class Reports:
    """Distinct texts, which record has which, and what was rejected; schemas of the same names above."""

    reports: pl.DataFrame
    studies: pl.DataFrame
    rejected: pl.DataFrame


def clean(statements: pl.DataFrame, params: ReportsParams, splits: pl.DataFrame | None = None) -> Reports:
    """Join, clean, de-duplicate.

    Args:
        statements: columns of :data:`kmerl.archives.schemas.STATEMENTS`; empty and missing statements are skipped.
        params: the rules.
        splits: record_id and split of records that are in one; None to read all.

    Returns:
        ``reports`` sorted by id, ``studies`` and ``rejected`` in the order of the records. Each record is in exactly
        one of the last two; reasons are "no statements", "fewer than N words" and "other split".

    Raises:
        UserError: a record occurs twice.
    """
    if statements["record_id"].n_unique() < statements.height:
        twice = statements["record_id"].filter(statements["record_id"].is_duplicated())
        raise UserError(f"record {twice[0]} occurs twice among the statements; repair the archive's index")
    unread = (
        statements.clear()
        if splits is None
        else statements.join(
            splits.filter(pl.col("split").is_in(params.splits)), on="record_id", how="anti", maintain_order="left"
        )
    )
    statements = statements.join(unread, on="record_id", how="anti", maintain_order="left")
    joined = pl.DataFrame({"record_id": statements["record_id"], "joined": _joined(statements["statements"], params)})
    distinct = joined.select(pl.col("joined").unique(maintain_order=True))  # a quarter of MIMIC-IV-ECG's records
    distinct = distinct.with_columns(_cleaned(distinct["joined"], params).alias("text"))
    too_short = f"fewer than {params.min_words} words"
    words = pl.col("text").str.count_matches(" ", literal=True) + 1
    distinct = distinct.with_columns(
        reason=pl.when(pl.col("text").str.strip_chars(". ") == "")
        .then(pl.lit("no statements"))
        .when(words < params.min_words)
        .then(pl.lit(too_short))
    )
    texts = distinct.filter(pl.col("reason").is_null()).select(pl.col("text").unique(maintain_order=True))
    ids = pl.Series("report_id", [report_id(text) for text in texts["text"]], dtype=pl.String)
    distinct = distinct.join(texts.with_columns(ids), on="text", how="left", maintain_order="left")
    found = joined.join(distinct, on="joined", how="left", maintain_order="left")
    rejected = found.filter(pl.col("reason").is_not_null()).select("record_id", "reason", "text")
    others = unread.select("record_id", reason=pl.lit("other split"), text=pl.lit(""))
    rejected = pl.concat([rejected, others])
    studies = found.filter(pl.col("reason").is_null()).select("record_id", "report_id")
    reports = (
        studies.group_by("report_id")
        .agg(records=pl.len().cast(pl.Int64))
        .join(texts.with_columns(ids), on="report_id")
        .select("report_id", "text", "records")
        .sort("report_id")
    )
    return Reports(reports, studies, rejected)


FULL_RELEASE, MERL_KEEPS = 800_035, 771_693
"""Reports of MIMIC-IV-ECG 1.0, and how many of them pass MERL's cleaning."""


def compared(archive: str, origin: str, reports: Reports) -> str:
    """How many reports pass beside the published number, if this is the full release of MIMIC-IV-ECG; else nothing."""
    told = len(reports.studies) + len(reports.rejected)
    if archive != "mimic_iv_ecg" or origin != "recorded" or told != FULL_RELEASE:
        return ""
    kept = len(reports.studies)
    said = "as published" if kept == MERL_KEEPS else f"but MERL's cleaning keeps {MERL_KEEPS:,}: other rules, or files"
    return f"; {kept:,} of {told:,} kept, {said}"


def report_id(text: str) -> str:
    """A short hash of a report's text: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


_SPACE = " \t\r\n"


def _joined(statements: pl.Series, params: ReportsParams) -> pl.Series:
    """The statements of each record as one text; empty where there are none."""
    ends = params.strip + _SPACE if params.strip_ends_of == "statement" else _SPACE
    frame = pl.DataFrame({"piece": statements}).select(pl.col("piece").list.eval(pl.element().str.strip_chars(ends)))
    if frame["piece"].explode().is_in(["", None], nulls_equal=True).any():
        piece = pl.element()
        frame = frame.select(pl.col("piece").list.eval(pl.when(piece != "").then(piece)).list.drop_nulls())
    return frame.select(pl.col("piece").list.join(params.joiner).fill_null(""))["piece"]


def _cleaned(text: pl.Series, params: ReportsParams) -> pl.Series:
    """What the rules make of joined statements."""
    for old, new in params.replace.items():
        text = text.str.replace_all(old, new, literal=True)
    text = text.str.replace_all(r"\s\s+|[\t\r\n]", " ").str.strip_chars(params.strip + _SPACE)
    if params.lower_case:
        text = text.str.to_lowercase()
    if params.full_stop:
        stop = (
            pl.when(pl.col("text").str.ends_with(".") | (pl.col("text") == "")).then(pl.lit("")).otherwise(pl.lit("."))
        )
        text = pl.DataFrame({"text": text}).select(pl.col("text") + stop)["text"]
    return text
