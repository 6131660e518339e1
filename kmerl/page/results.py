"""The tables and figures of a results folder, ready to stand inside the page."""

import re
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from kmerl.documents.document import read_document
from kmerl.documents.html import html
from kmerl.errors import UserError
from kmerl.page.pictures import png_source, svg_source
from kmerl.page.texts import Caption, caption

LONGEST = 100
"""Rows of a table that stands open; longer ones are folded."""

_LARGEST_SVG = 400_000  # bytes; ECG paper as PNG is smaller beyond that


@dataclass(frozen=True)
class Figure:
    """A picture inside the page: ``source`` is a data URI."""

    stem: str
    caption: Caption
    source: str


@dataclass(frozen=True)
class Table:
    """A table inside the page.

    Attributes:
        stem: of its files.
        caption: its title and what it shows.
        body: its HTML.
        rows: how many rows stand in it.
    """

    stem: str
    caption: Caption
    body: Markup
    rows: int


def read_figures(folder: Path) -> list[Figure]:
    """All figures of a folder: the SVG of each, or its PNG where that is much smaller or alone.

    Raises:
        UserError: a file is cut short.
    """
    stems = {path.stem for path in folder.glob("*") if path.suffix in (".svg", ".png") and path.name[0] != "."}
    figures = [Figure(stem, caption("figures", stem), _source(folder, stem)) for stem in stems]
    return sorted(figures, key=lambda figure: (figure.caption.place, _natural(figure.stem)))


def _source(folder: Path, stem: str) -> str:
    svg, png = folder / f"{stem}.svg", folder / f"{stem}.png"
    if svg.exists() and (svg.stat().st_size <= _LARGEST_SVG or not png.exists()):
        text = _text(svg)
        if not text.rstrip().endswith("</svg>"):
            raise UserError(f"{svg}: cut short; run the stage figures again")
        return svg_source(text)
    pixels = png.read_bytes()
    if not pixels.startswith(b"\x89PNG") or b"IEND" not in pixels[-12:]:
        raise UserError(f"{png}: no PNG, or cut short; run the stage figures again")
    return png_source(pixels)


def read_tables(folder: Path) -> list[Table]:
    """All tables of a folder of documents.

    Raises:
        UserError: a file is damaged.
    """
    tables = []
    for path in folder.glob("[!.]*.json"):
        document = read_document(path)
        tables.append(Table(path.stem, caption("tables", path.stem), html(document), document.rows))
    return sorted(tables, key=lambda table: (table.caption.place, _natural(table.stem)))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # with the line ends that are there
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not readable as text ({error.reason}); run its stage again") from None


def _natural(stem: str) -> list[tuple[int, str]]:
    """Sorts ``ecg_example_10`` after ``ecg_example_9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", stem)]
