"""The tables and figures of a results folder, ready to stand inside the page."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from kmerl.errors import UserError
from kmerl.escapes import csv_text, printable
from kmerl.page.grid import Grid
from kmerl.page.pictures import png_source, svg_source
from kmerl.page.texts import Caption, caption

LONGEST = 100
"""Rows of a table that stands open; longer ones are folded."""

_LARGEST_SVG = 400_000  # bytes; ECG paper as PNG is smaller beyond that
_MOST_ROWS = 1_000
_LEAD_AWAY = ["image", "link", "autolink", "reference"]  # what Markdown has of these


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
        stem: of its file.
        caption: its title and what it shows.
        body: HTML made from the Markdown file; None if there is none.
        grid: the rows of the CSV file where there is no Markdown; else None.
        rows: how many rows stand in the body or the grid.
        file: name of the CSV or Markdown file that programs read.
    """

    stem: str
    caption: Caption
    body: Markup | None
    grid: Grid | None
    rows: int
    file: str


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
    """All tables of a folder, each from its Markdown file, or from its CSV where there is no Markdown.

    Raises:
        UserError: a file is cut short or no table.
    """
    stems = {path.stem for path in folder.glob("*") if path.suffix in (".csv", ".md") and path.name[0] != "."}
    tables = [_table(folder, stem) for stem in stems]
    return sorted(tables, key=lambda table: (table.caption.place, _natural(table.stem)))


def _table(folder: Path, stem: str) -> Table:
    read, shown = folder / f"{stem}.csv", folder / f"{stem}.md"
    file = (read if read.exists() else shown).name
    grid = csv_grid(read) if read.exists() else None
    if shown.exists():
        body, rows = markdown(_text(shown))
        return Table(stem, caption("tables", stem), body, None, rows, file)
    assert grid is not None
    return Table(stem, caption("tables", stem), None, grid, len(grid.rows), file)


def read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file, texts as they were before they were made fit for a spreadsheet.

    Raises:
        UserError: it is empty, or a row has not as many cells as the header.
    """
    cells = csv.reader(io.StringIO(_text(path), newline=""))
    header, *rows = [list(map(csv_text, row)) for row in cells] or [[]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise UserError(f"{path}:{number}: {len(row)} cells under {len(header)} columns; run its stage again")
    if not header:
        raise UserError(f"{path}: empty; run its stage again")
    return header, rows


def csv_grid(path: Path) -> Grid:
    """A CSV file as a table, without columns that are empty throughout; at most 1,000 rows."""
    header, rows = read_csv(path)
    used = [i for i in range(len(header)) if not rows or any(row[i] for row in rows)]
    numbers = [i for i, column in enumerate(used) if rows and all(_is_number(row[column]) for row in rows)]
    cells = [[row[i] for i in used] for row in rows[:_MOST_ROWS]]
    return Grid([header[i] for i in used], cells, frozenset(numbers), max(len(rows) - _MOST_ROWS, 0))


def markdown(text: str) -> tuple[Markup, int]:
    """HTML of a Markdown text and the number of rows of its tables.

    Its first heading is left out, as the page writes titles itself, and the others move below the page's own.
    HTML in the text stays text, and pictures and links stay out: nothing is fetched, and nothing leads away.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_LEAD_AWAY)
    tokens = _without_title(parser.parse(printable(text, "\n\t")))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        # a cell's alignment comes as a style, which a content policy may forbid; a class does as well
        if token.attrGet("style") == "text-align:right":
            token.attrs = {"class": "number"}
    body = parser.renderer.render(tokens, parser.options, {})
    body = body.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace("</table>", "</table></div>")
    kinds = [token.type for token in tokens]
    return Markup(body), kinds.count("tr_open") - kinds.count("thead_open")


def _without_title(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without a heading of the first level at their beginning: it is opened, holds text, and is closed."""
    return list(tokens[3:] if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1" else tokens)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()  # with the line ends that are there
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not readable as text ({error.reason}); run its stage again") from None


def _natural(stem: str) -> list[tuple[int, str]]:
    """Sorts ``ecg_example_10`` after ``ecg_example_9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", stem)]


def _is_number(cell: str) -> bool:
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True
