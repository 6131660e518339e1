"""Superclasses, their entities, and how many records assert each."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from kmerl.escapes import one_line
from kmerl.knowledge.hierarchy import Hierarchy
from kmerl.plots.style import COLOURS, GREY, INK, heading, new_figure

_LINE, _COLUMN, _TOP, _MARGIN = 4.2, 98.0, 20.0, 4.0  # mm
_TEXT, _BAR = 64.0, 20.0  # mm, of a column: names, and the longest bar
_LINES = 44  # of a column, at most
_LONGEST_NAME = 44  # characters


class _Line(NamedTuple):
    """A line of the figure; a superclass has level 0, an entity 1, a gap no name."""

    name: str
    records: int
    level: int


def hierarchy_figure(hierarchy: Hierarchy, note: str) -> Figure:
    """Superclasses by frequency with their entities, then the entities that are in none; a bar of records for each.

    Args:
        hierarchy: of the labels.
        note: what is said below the title, such as that data are simulated.
    """
    columns = list(_columns([*_blocks(hierarchy)]))
    most = max((line.records for column in columns for line in column), default=1) or 1
    lines = max((len(column) for column in columns), default=1)
    width, height = _MARGIN + _COLUMN * max(len(columns), 1), _TOP + lines * _LINE + _MARGIN
    figure = new_figure(width, height)
    heading(figure, "Queries mined from the reports: superclasses, entities, records")
    figure.text(3 / width, 1 - 13 / height, note, fontsize=9, color=GREY)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for i, column in enumerate(columns):
        left = _MARGIN + i * _COLUMN
        for j, line in enumerate(column):
            if not line.name:
                continue
            y = _TOP + j * _LINE
            bold = line.level == 0
            name = one_line(line.name)
            shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
            axes.text(left + 3 * line.level, y, shown, fontsize=7.5, weight="bold" if bold else "normal", va="center")
            if not line.records:
                continue
            bar = max(_BAR * line.records / most, 0.25)
            colour = COLOURS[0] if bold else COLOURS[4]
            axes.barh(y, bar, height=_LINE * 0.6, left=left + _TEXT, color=colour, linewidth=0)
            axes.text(left + _TEXT + bar + 1, y, f"{line.records:,}", fontsize=6.5, color=INK, va="center")
    return figure


def _blocks(hierarchy: Hierarchy) -> Iterator[list[_Line]]:
    for group in hierarchy.groups:
        yield [_Line(group.name, group.records, 0), *(_Line(one.name, one.records, 1) for one in group.members)]
    if hierarchy.alone:
        yield [_Line("in no superclass", 0, 0), *(_Line(one.name, one.records, 1) for one in hierarchy.alone)]


def _columns(blocks: Sequence[list[_Line]]) -> Iterator[list[_Line]]:
    """Blocks below each other with a gap between; a long one goes on in the next column."""
    column: list[_Line] = []
    for block in blocks:
        room = _LINES - len(column)
        if column and len(block) + 1 > room and (room < 6 or len(block) <= _LINES):
            yield column
            column = []
        if column:
            column.append(_Line("", 0, 0))
        rest = block
        while len(rest) > _LINES - len(column):
            cut = _LINES - len(column)
            yield column + rest[:cut]
            column, rest = [], rest[cut:]
        column += rest
    if column:
        yield column
