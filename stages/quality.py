"""Count and show what was found in the recordings of every archive."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from kmerl.archives.schemas import LABEL_DIFFERENCES, REJECTED
from kmerl.artifacts import for_spreadsheets, read_table, whole
from kmerl.page.pictures import png_source, svg_source
from kmerl.page.quality import Flagged, Page, Picture, differing, flags, named, picture, render
from kmerl.page.texts import explain
from kmerl.plots.amplitudes import SHOWN, Panel, amplitude_figure
from kmerl.plots.style import png, svg
from kmerl.quality.findings import QUANTILES, Findings, find, tidy
from kmerl.quality.gallery import Shown, choose, figure, show, spread
from kmerl.waveforms import WaveformStore
from stages._stores import open_store

PAGE, TABLE, DATA = Path("results/quality.html"), Path("results/quality.csv"), Path("data")
DIGITS = 6  # of shares
COLOURS = 32  # of a picture: enough for a sheet of paper, and half the size


def rejected(archive: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that an archive's own tables rejected, and those that its waveforms did."""
    files = sorted((DATA / "rejected" / archive).glob("*.parquet"))
    parts: dict[bool, list[pl.DataFrame]] = {True: [], False: []}
    for path in files:
        parts[path.stem == "tables"].append(read_table(path, REJECTED))
    none = pl.DataFrame(schema=dict.fromkeys(REJECTED.names, pl.String))
    return pl.concat([none, *parts[True]]), pl.concat([none, *parts[False]])


def examples(store: WaveformStore, found: Findings, params: Any) -> Iterator[tuple[str | None, list[Shown]]]:
    """Records of one archive for each of its flags, and one without."""
    for flag, number in [*((flag, params.quality.examples) for flag in found.flags), (None, 1)]:
        rows = choose(store.records, flag, number, params.seed, store.archive)
        yield flag, [show(store, row, flag) for row in rows]


def draw(shown: Shown, flag: str | None, dpi: int) -> Picture:
    """A record as a picture of the page."""
    source = png_source(png(figure(shown), dpi, COLOURS))
    return picture(shown.heading, shown.record.flags, list(shown.marks), flag, source)


def main(params: Any) -> str:
    """Write ``results/quality.html`` and ``results/quality.csv``."""
    found: list[Findings] = []
    offers: dict[str | None, list[list[Shown]]] = {}
    for archive in params.archives:
        store = open_store(archive)
        found.append(find(store, *rejected(archive)))
        for flag, shown in examples(store, found[-1], params):
            offers.setdefault(flag, []).append(shown)
    flagged = [
        Flagged(
            flag,
            explain("flags", flag),
            sum(one.flags.get(flag, 0) for one in found),
            [draw(one, flag, params.quality.dpi) for one in spread(offers[flag], params.quality.examples)],
        )
        for flag in flags(found)
    ]
    kept = [QUANTILES.index(quantile) for quantile in SHOWN]
    panels = [Panel(named(one), one.amplitudes[:, kept]) for one in found]
    labels = {
        named(one): read_table(DATA / f"label_differences/{one.archive}.parquet", LABEL_DIFFERENCES) for one in found
    }
    page = Page(
        findings=found,
        labels=differing(labels),
        amplitudes=svg_source(svg(amplitude_figure(panels)).decode()),
        flagged=flagged,
        clean=[draw(one, None, params.quality.dpi) for several in offers[None] for one in several],
    )
    text, table = render(page), for_spreadsheets(tidy(found))
    with whole(PAGE) as page_file, whole(TABLE) as table_file:
        page_file.write_text(text, "utf-8")
        table.write_csv(table_file, float_precision=DIGITS)
    drawn = sum(len(one.pictures) for one in flagged) + len(page.clean)
    records, lost = sum(one.kept for one in found), sum(one.named - one.kept for one in found)
    size = len(text.encode()) / 1e6
    return f"{records:,} records, {lost:,} rejected, {len(flagged)} flags, {drawn} ECGs; {size:.1f} MB"
