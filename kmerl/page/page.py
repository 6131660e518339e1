"""The page itself: one HTML file that fetches nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kmerl.documents import Grid
from kmerl.knowledge.hierarchy import Hierarchy
from kmerl.origins import LEARNT, mark, of_archives
from kmerl.page.facts import Archive
from kmerl.page.headline import Headline
from kmerl.page.html import render_page
from kmerl.page.results import LONGEST, Figure, Table
from kmerl.page.texts import sections


@dataclass(frozen=True)
class Page:
    """All that the page shows.

    Attributes:
        archives: with their origins, which tell what the numbers can mean.
        headlines: one per lead set; may be empty.
        facts: tables about what was run, made by ``kmerl.page.facts``: archives, flags, runs, differences, parameters,
            steps, left_out, identity, metrics.
        cards: runs that have a model card.
        hierarchy: superclasses, entities, names.
        sections: of evaluations: id, title and text.
        figures, tables: of the results, in the order shown.
        confidence: of the intervals.
    """

    archives: Sequence[Archive]
    headlines: Sequence[Headline]
    facts: Mapping[str, Grid]
    cards: Sequence[str]
    hierarchy: Hierarchy
    sections: Sequence[Mapping[str, str]]
    figures: Sequence[Figure]
    tables: Sequence[Table]
    confidence: float


def groups(page: Page) -> list[Mapping[str, object]]:
    """The sections of results that have something to show, each with its figures and tables."""
    found: list[Mapping[str, object]] = []
    for section in [*page.sections, *sections()]:
        figures = [one for one in page.figures if one.caption.section == section["id"]]
        tables = [one for one in page.tables if one.caption.section == section["id"]]
        if figures or tables:
            found.append({**section, "figures": figures, "tables": tables})
    return found


def render(page: Page) -> str:
    """The HTML; equal pages give equal text. Whatever comes from data is escaped."""
    evaluated = [one.origin for one in page.archives if "evaluation" in one.use]
    learnt = [one.origin for one in page.archives]
    told = of_archives({one.name: one.origin for one in page.archives}, "ECG and every report", LEARNT)
    return render_page(
        "page.html", page=page, notice=told, mark=mark(evaluated or learnt, learnt),
        groups=groups(page), longest=LONGEST,
    )  # fmt: skip
