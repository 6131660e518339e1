"""Markdown: tables and pages."""

from collections.abc import Iterable, Sequence

NOTHING = "–"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; the columns ``right`` are aligned right."""
    rule = ["---:" if i in right else "---" for i in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def page(parts: Iterable[str]) -> str:
    """Paragraphs and tables as one Markdown text."""
    return "\n\n".join(part for part in parts if part) + "\n"
