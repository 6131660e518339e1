"""The page of what was found in the recordings of each archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from kmerl.archives.classes import class_names
from kmerl.archives.schemas import SPLIT_NAMES, TOTAL
from kmerl.leads import LEADS
from kmerl.page import rejected
from kmerl.page.grid import Grid, count
from kmerl.page.html import mark, render_page
from kmerl.page.texts import explain
from kmerl.quality.findings import QUANTILES, STATISTICS, Findings
from kmerl.quality.marks import WHOLE

SIMULATED = "simulated"


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


def notice(findings: Sequence[Findings]) -> str:
    """What the data are and what the counts can therefore mean; empty where all records are recorded ones."""
    simulated = [one.archive for one in findings if one.origin == SIMULATED]
    others = [one.archive for one in findings if one.origin != SIMULATED]
    if not simulated:
        return ""
    which = "Every ECG on this page was simulated."
    if others:
        which = f"Simulated: {', '.join(simulated)}. Recorded: {', '.join(others)}."
    return f"{which} Flaws of simulated records show that the checks work, not what is wrong with recorded ones."


def share(part: int, whole: int) -> str:
    """A share as people write it; a little is never nothing, and almost all never all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.05:
        return "<0.1%"
    return ">99.9%" if 99.95 <= percent < 100 else f"{percent:.1f}%"


def flags(findings: Sequence[Findings]) -> list[str]:
    """Every flag that occurs, by name."""
    return sorted({flag for one in findings for flag in one.flags})


def flag_grid(findings: Sequence[Findings]) -> Grid:
    """Each flag, what it means, and how many records of each archive carry it."""
    names = flags(findings)
    columns = range(2, 2 + len(findings))
    rows = [
        [flag, explain("flags", flag), *(_cell(one.flags.get(flag, 0), one.kept) for one in findings)] for flag in names
    ]
    bars = {
        column: [one.flags.get(flag, 0) / max(one.kept, 1) for flag in names]
        for column, one in zip(columns, findings, strict=True)
    }
    return Grid(["Flag", "Meaning", *map(named, findings)], rows, frozenset(columns), bars=bars)


def _cell(part: int, whole: int) -> str:
    return f"{count(part)} ({share(part, whole)})" if part else "0"


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
    rows = []
    for one in findings:
        rates = ", ".join(f"{rate:g} Hz: {count(number)}" for rate, number in one.rates.items())
        ends = [f"{seconds:.3g} s" for seconds in one.lengths] or ["–"] * 3
        stored = f"{one.fs} Hz, {one.seconds:g} s"
        rows.append([named(one), rates or "–", stored, *ends, _cell(one.whole, one.kept), _cell(one.twelve, one.kept)])
    return Grid(header, rows, frozenset(range(3, 8)))


def lead_grid(findings: Sequence[Findings]) -> Grid:
    """How many records of each archive lack each lead."""
    rows = [[named(one), *(count(one.kept - int(number)) for number in one.leads)] for one in findings]
    return Grid(["Records without", *LEADS], rows, frozenset(range(1, 13)))


def amplitude_grid(findings: Sequence[Findings]) -> Grid:
    """Quantiles of each statistic of each lead, mV."""
    header = ["Archive", "Lead", "mV", *(f"{100 * quantile:g}%" for quantile in QUANTILES)]
    rows = [
        [named(one), lead, statistic, *("–" if np.isnan(mv) else f"{mv:.3f}".replace("-", "−") for mv in values)]
        for one in findings
        for row, lead in enumerate(LEADS)
        for statistic, values in zip(STATISTICS, one.amplitudes[:, :, row], strict=True)
    ]
    return Grid(header, rows, frozenset(range(3, 3 + len(QUANTILES))))


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
            *(count(numbers[code, split][column]) for split in (TOTAL, *SPLIT_NAMES) for column in columns),
        ]
        for code in codes
    ]
    headed = [f"{split}, {name}" for split in (TOTAL, *SPLIT_NAMES) for name in ("published", "corrected", "differ")]
    grid = Grid(["Class", "Name", *headed], cells, frozenset(range(2, 2 + len(headed))))
    why = explain("differences", task) or explain("differences", "other")
    return Differing(task, archive, records, total, len(codes) - (TOTAL in codes), why, grid)


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
        notice=notice(page.findings),
        mark=mark(one.origin for one in page.findings),
        grids=grids,
        untouched=untouched,
        share=share,
    )
