"""The tables and figures of a results folder, ready to stand inside the page."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from kmerl.artifacts import read_json
from kmerl.documents import Caption, read_document
from kmerl.documents.html import html
from kmerl.errors import UserError
from kmerl.page.pictures import png_source, svg_source

LONGEST = 100
"""Rows of a table that stands open; longer ones are folded."""

_INDEX, OTHER = "index.json", "other"
_LARGEST_SVG = 400_000  # bytes; ECG paper as PNG is smaller beyond that


@dataclass(frozen=True)
class Figure:
    """A picture inside the page: ``source`` is a data URI."""

    caption: Caption
    source: str


@dataclass(frozen=True)
class Table:
    """A table inside the page: its HTML, and how many rows stand in it."""

    caption: Caption
    body: Markup
    rows: int


def read_figures(folder: Path, index: Path) -> list[Figure]:
    """All figures of a folder: the SVG of each, or its PNG where that is much smaller or alone.

    Args:
        folder: of the pictures.
        index: what stands under them, in the order shown; pictures that are not named there come last.

    Raises:
        UserError: a file is cut short.
    """
    stems = {path.stem for path in folder.glob("*") if path.suffix in (".svg", ".png") and path.name[0] != "."}
    return [Figure(one, _source(folder, one.name)) for one in _ordered(stems, read_json(index), index)]


def read_tables(folder: Path) -> tuple[list[Mapping[str, str]], list[Table]]:
    """The sections of evaluations, and all tables of a folder of documents, in the order of its index.

    Raises:
        UserError: a file is missing or damaged.
    """
    index = read_json(folder / _INDEX)
    if not isinstance(index, dict) or {*index} != {"sections", "tables"}:
        raise UserError(f"{folder / _INDEX}: names no sections and tables; run the stage tables again")
    stems = {path.stem for path in folder.glob("[!.]*.json") if path.name != _INDEX}
    tables = []
    for caption in _ordered(stems, index["tables"], folder / _INDEX):
        document = read_document(folder / f"{caption.name}.json")
        tables.append(Table(caption, html(document), document.rows))
    return index["sections"], tables


def _ordered(stems: AbstractSet[str], told: Any, path: Path) -> list[Caption]:
    """The captions that a stage wrote, in their order, then those of files that have none."""
    try:
        captions = [Caption(**one) for one in told]
    except (TypeError, ValueError):
        raise UserError(f"{path}: not a list of captions; run its stage again") from None
    others = sorted(stems - {one.name for one in captions})
    known = [one for one in captions if one.name in stems]
    return known + [Caption(stem, OTHER, stem.replace("_", " "), "") for stem in others]


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


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # with the line ends that are there
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not readable as text ({error.reason}); run its stage again") from None
