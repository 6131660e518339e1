"""What a table says, in headings, paragraphs, lists, listings, and grids whose numbers are still numbers.

It is written as Markdown for people, as HTML for the page, and as JSON between stages.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from kmerl.artifacts import read_json, write_json
from kmerl.errors import UserError

_CLOSED = ConfigDict(extra="forbid")  # so that a part is told by the names of its fields


@dataclass(frozen=True, config=_CLOSED)
class Code:
    """A name, such as that of a run."""

    code: str


@dataclass(frozen=True, config=_CLOSED)
class Bold:
    """What stands out."""

    bold: "Text"


Span: TypeAlias = str | Code | Bold
Text: TypeAlias = Span | list[Span]
"""Text of any origin, as it is meant: writers escape it."""


@dataclass(frozen=True, config=_CLOSED)
class Count:
    """How many."""

    count: int


@dataclass(frozen=True, config=_CLOSED)
class Part:
    """How many of how many; ``bar``: also drawn, where that can be."""

    part: int
    whole: int
    bar: bool = False


@dataclass(frozen=True, config=_CLOSED)
class Decimal:
    """A number shown with so many decimals; ``signed``: a difference."""

    decimal: float
    digits: int = 3
    signed: bool = False


@dataclass(frozen=True, config=_CLOSED)
class Estimate:
    """A value, its interval, and its deviation over seeds or draws; None where unknown."""

    value: float
    low: float | None
    high: float | None
    spread: float | None = None


@dataclass(frozen=True, config=_CLOSED)
class Difference:
    """A difference; ``clear``: its interval excludes 0. Without an interval, where that stands elsewhere."""

    difference: float
    clear: bool
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, config=_CLOSED)
class Interval:
    """The ends of a difference's interval."""

    low: float
    high: float


Number: TypeAlias = Count | Part | Decimal | Estimate | Difference | Interval
Cell: TypeAlias = Text | Number | None
"""What stands in a grid; None where there is nothing to show."""


@dataclass(frozen=True, config=_CLOSED)
class Heading:
    """Begins a section."""

    heading: Text


@dataclass(frozen=True, config=_CLOSED)
class Paragraph:
    """A paragraph."""

    paragraph: Text


@dataclass(frozen=True, config=_CLOSED)
class Items:
    """A list, with what it is of before it."""

    items: list[Text]
    of: Text = ""


@dataclass(frozen=True, config=_CLOSED)
class Listing:
    """Lines that are copied as they are; ``language``: what they are written in."""

    listing: str
    language: str = ""


@dataclass(frozen=True, config=_CLOSED)
class Grid:
    """Rows and columns.

    Attributes:
        header: one text per column.
        rows: each as long as the header.
        right: columns that are aligned right.
    """

    header: list[Text]
    rows: list[list[Cell]]
    right: list[int]


Block: TypeAlias = Heading | Paragraph | Items | Listing | Grid


@dataclass(frozen=True, config=_CLOSED)
class Document:
    """A table for people.

    Attributes:
        title: plain text.
        notice: what the data are, and what the numbers can therefore mean.
        blocks: what follows.
    """

    title: Text
    notice: Text
    blocks: list[Block]

    @property
    def rows(self) -> int:
        """Of all its grids."""
        return sum(len(block.rows) for block in self.blocks if isinstance(block, Grid))


@dataclass(frozen=True, config=_CLOSED)
class Caption:
    """What stands over a table, or under a figure, on the page.

    Attributes:
        name: of its files.
        section: id of the page's section that it stands in.
        title, text: plain.
        wide: needs more than a phone's width to be readable.
    """

    name: str
    section: str
    title: str
    text: str
    wide: bool = False


def document(title: Text, notice: Text, *blocks: Block | Text) -> Document:
    """A document; a text is a paragraph, and left out if there is nothing in it."""
    made = [Paragraph(one) if isinstance(one, str | Code | Bold | list) else one for one in blocks if one]
    return Document(title, notice, made)


def grid(header: Iterable[Text], rows: Iterable[Iterable[Cell]], right: Iterable[int] = ()) -> Grid:
    """A grid; the columns ``right`` are aligned right."""
    return Grid([*header], [[*row] for row in rows], [*right])


def listed(texts: Iterable[Text], between: str = ", ") -> list[Span]:
    """Texts in one, with something between each two."""
    found: list[Span] = []
    for text in texts:
        found += [between] * bool(found) + spans(text)
    return found


def spans(text: Text) -> list[Span]:
    """The pieces of a text."""
    return [*text] if isinstance(text, list) else [text]


def estimate(row: Mapping[str, Any] | None) -> Estimate | None:
    """The columns value, low, high and, if there is one, deviation (else spread); None where there is no value."""
    if row is None or known(row["value"]) is None:
        return None
    around = known(row.get("deviation"))
    spread = known(row.get("spread")) if around is None else around
    return Estimate(row["value"], known(row["low"]), known(row["high"]), spread)


def difference(row: Mapping[str, Any] | None, interval: bool = True) -> Difference | None:
    """The columns difference, excludes_zero, low and high; None where there is no difference."""
    if row is None or known(row["difference"]) is None:
        return None
    ends = (known(row["low"]), known(row["high"])) if interval else ()
    return Difference(row["difference"], row["excludes_zero"], *ends)


def known(number: float | None) -> float | None:
    """A number; None where it is undefined."""
    return None if number is None or number != number else number


_DOCUMENT = TypeAdapter(Document)


def write_document(path: Path, one: Document) -> None:
    """Write a document as JSON."""
    write_json(path, _DOCUMENT.dump_python(one, mode="json"))


def read_document(path: Path) -> Document:
    """The document that :func:`write_document` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return _DOCUMENT.validate_python(read_json(path))
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{path}: {where} is not as it should be; run its stage again") from None
