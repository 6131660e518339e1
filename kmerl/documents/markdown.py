"""A document as Markdown."""

import re
from collections.abc import Sequence

from kmerl.documents import (
    Block,
    Bold,
    Cell,
    Code,
    Document,
    Grid,
    Heading,
    Items,
    Listing,
    Paragraph,
    Span,
    Text,
    spans,
)
from kmerl.documents.numbers import shown, stands_out
from kmerl.escapes import md, md_code, printable


def markdown(document: Document) -> str:
    """The whole document."""
    parts = [f"# {text(document.title)}", text(document.notice), *map(block, document.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def block(one: Block) -> str:
    """A block, without the line end."""
    match one:
        case Heading(heading):
            return f"## {text(heading)}"
        case Paragraph(paragraph):
            return text(paragraph)
        case Items(items, of):
            return "\n".join([*([text(of), ""] if of else []), *(f"- {text(item)}" for item in items)])
        case Listing(listing, language):
            fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", listing))])
            return f"{fence}{language}\n{printable(listing, chr(10)).strip(chr(10))}\n{fence}"
        case Grid(header, rows, right):
            rule = ["---:" if i in right else "---" for i in range(len(header))]
            return "\n".join(map(_line, [[text(name) for name in header], rule, *([*map(cell, row)] for row in rows)]))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(one: Cell) -> str:
    """What stands in a grid."""
    if one is None or not isinstance(one, str | Code | Bold | list):
        return f"**{shown(one)}**" if one is not None and stands_out(one) else shown(one)
    return text(one)


def text(one: Text) -> str:
    """A text in one line, escaped."""
    return "".join(_span(span, begins=not i) for i, span in enumerate(spans(one)))


def _span(span: Span, begins: bool) -> str:
    match span:
        case Code(name):
            return md_code(name)
        case Bold(inner):
            return f"**{text(inner)}**"
    before, after = span[: len(span) - len(span.lstrip(" "))], span[len(span.rstrip(" ")) :]  # blanks between spans
    return f"{before}{md(span, begins)}{after}" if span.strip(" ") else span
