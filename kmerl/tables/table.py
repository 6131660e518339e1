"""A table of an evaluation, for programs and for people, and the section of the page that it stands in."""

from dataclasses import dataclass

import polars as pl

from kmerl.documents.document import Document


@dataclass(frozen=True)
class Section:
    """A section of the page: what it is called in links, its title, and its introduction."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table of an evaluation.

    Attributes:
        name: of its files.
        section: id of its section.
        title, caption: plain text, over it on the page.
        frame: for programs.
        document: for people.
    """

    name: str
    section: str
    title: str
    caption: str
    frame: pl.DataFrame
    document: Document

    def told(self) -> dict[str, str]:
        """What stands over it."""
        return {"name": self.name, "section": self.section, "title": self.title, "caption": self.caption}
