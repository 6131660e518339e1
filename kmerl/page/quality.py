"""The page of what was found in the recordings of each archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from kmerl.archives.classes import class_names
from kmerl.archives.schemas import SPLIT_NAMES, TOTAL
from kmerl.documents import Cell, Count, Decimal, Grid, Part, grid
from kmerl.documents.numbers import count
from kmerl.leads import LEADS
from kmerl.origins import FLAWS, SIMULATED, mark, of_archives
from kmerl.page import rejected
from kmerl.page.html import render_page
from kmerl.page.texts import explain
from kmerl.quality.findings import QUANTILES, STATISTICS, Findings
from kmerl.quality.marks import WHOLE


@dataclass(frozen=True)
class Picture:
    """A record on ECG paper.

    Attributes:
        title: what the record is called.
        flags: that it carries.
        marked: the leads that are marked.
        told: whether it can be told which leads are meant, or all are.
        source: a data URI.
    """

    title: str
    flags: Sequence[str]
    marked: Sequence[str]
    told: bool
    source: str


def picture(title: str, flags: Sequence[str], marked: Sequence[str], flag: str | None, source: str) -> Picture:
    """A record as an example of a flag, or of none."""
    return Picture(title, flags, marked, bool(marked) or flag is None or flag in WHOLE, source)


@dataclass(frozen=True)
class Flagged:
    """A flag with records that carry it."""

    name: str
    meaning: str
    records: int
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Differing:
    """The published labels of a task against the corrected ones: classes that differ, if any do, and why."""

    task: str
    archive: str
    records: int
    differing: int
    classes: int
    why: str
    grid: Grid


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        findings: of each archive.
        labels: of each task that has labels by both rules.
        amplitudes: a figure's data URI.
        flagged: every flag that occurs.
        clean: records without flags.
    """

    findings: Sequence[Findings]
    labels: Sequence[Differing]
    amplitudes: str
    flagged: Sequence[Flagged]
    clean: Sequence[Picture]


def named(one: Findings) -> str:
    """An archive's name, and that it is simulated if it is."""
    return f"{one.archive}, {SIMULATED}" if one.origin == SIMULATED else one.archive


def flags(findings: Sequence[Findings]) -> list[str]:
    """Every flag that occurs, by name."""
    return sorted({flag for one in findings for flag in one.flags})


def flag_grid(findings: Sequence[Findings]) -> Grid:
    """Each flag, what it means, and how many records of each archive carry it."""
    rows: list[list[Cell]] = [
        [flag, explain("flags", flag), *(Part(one.flags.get(flag, 0), one.kept, bar=True) for one in findings)]
        for flag in flags(findings)
    ]
    return grid(["Flag", "Meaning", *map(named, findings)], rows, range(2, 2 + len(findings)))


def rejected_grid(findings: Sequence[Findings]) -> Grid:
    """Each reason with how many and one of them, by the archives' own tables and by the waveforms."""
    tables = [
        rejected.left_out(f"{named(one)}: {what}", lost, "reason", "record_id", "detail")
        for one in findings
        for what, lost in (("its tables", one.tables), ("its waveforms", one.waveforms))
        if not lost.is_empty()
    ]
    return rejected.grid(tables, examples=1)


def shape_grid(findings: Sequence[Findings]) -> Grid:
    """Sampling rates, lengths and leads of each archive."""
    header = ["Archive", "Recorded at", "Stored at", "Shortest", "Median", "Longest", "Full length", "All 12 leads"]
    rows: list[list[Cell]] = []
    for one in findings:
        rates = ", ".join(f"{rate:g} Hz: {count(number)}" for rate, number in one.rates.items())
        ends: list[Cell] = [*(f"{seconds:.3g} s" for seconds in one.lengths)] or [None] * 3
        stored = f"{one.fs} Hz, {one.seconds:g} s"
        whole, twelve = (Part(part, one.kept) for part in (one.whole, one.twelve))
        rows.append([named(one), rates or None, stored, *ends, whole, twelve])
    return grid(header, rows, range(3, 8))


def lead_grid(findings: Sequence[Findings]) -> Grid:
    """How many records of each archive lack each lead."""
    rows: list[list[Cell]] = [
        [named(one), *(Count(one.kept - int(number)) for number in one.leads)] for one in findings
    ]
    return grid(["Records without", *LEADS], rows, range(1, 13))


def amplitude_grid(findings: Sequence[Findings]) -> Grid:
    """Quantiles of each statistic of each lead, mV."""
    header = ["Archive", "Lead", "mV", *(f"{100 * quantile:g}%" for quantile in QUANTILES)]
    rows: list[list[Cell]] = [
        [named(one), lead, statistic, *(None if np.isnan(mv) else Decimal(float(mv)) for mv in values)]
        for one in findings
        for row, lead in enumerate(LEADS)
        for statistic, values in zip(STATISTICS, one.amplitudes[:, :, row], strict=True)
    ]
    return grid(header, rows, range(3, 3 + len(QUANTILES)))


def differing(tables: Mapping[str, pl.DataFrame]) -> list[Differing]:
    """The tables of differences (``kmerl.archives.schemas.LABEL_DIFFERENCES``) by archive, task by task."""
    found = []
    for archive, table in tables.items():
        for (task,), rows in table.group_by("task", maintain_order=True):
            total = rows.row(by_predicate=(pl.col("code") == TOTAL) & (pl.col("split") == TOTAL), named=True)
            if total["records"]:
                found.append(_differing(str(task), archive, rows, total["records"], total["differing"]))
    return found


def _differing(task: str, archive: str, rows: pl.DataFrame, records: int, total: int) -> Differing:
    names = class_names(task)
    over = rows.filter(pl.col("split") == TOTAL)
    codes = [code for code, number in over.select("code", "differing").iter_rows() if number]
    numbers = {(row["code"], row["split"]): row for row in rows.iter_rows(named=True)}
    columns = ("published", "corrected", "differing")
    cells = [
        [
            "all classes" if code == TOTAL else code,
            names.get(code, ""),
            *(Count(numbers[code, split][column]) for split in (TOTAL, *SPLIT_NAMES) for column in columns),
        ]
        for code in codes
    ]
    headed = [f"{split}, {name}" for split in (TOTAL, *SPLIT_NAMES) for name in ("published", "corrected", "differ")]
    table = grid(["Class", "Name", *headed], cells, range(2, 2 + len(headed)))
    why = explain("differences", task) or explain("differences", "other")
    return Differing(task, archive, records, total, len(codes) - (TOTAL in codes), why, table)


def render(page: Page) -> str:
    """The HTML; equal pages give equal text."""
    grids = {
        "flags": flag_grid(page.findings),
        "rejected": rejected_grid(page.findings),
        "shapes": shape_grid(page.findings),
        "leads": lead_grid(page.findings),
        "amplitudes": amplitude_grid(page.findings),
    }
    untouched = [named(one) for one in page.findings if one.kept == one.named]
    return render_page(
        "quality.html",
        page=page,
        notice=of_archives({one.archive: one.origin for one in page.findings}, "ECG", FLAWS),
        mark=mark(one.origin for one in page.findings),
        grids=grids,
        untouched=untouched,
    )
