"""A prediction drawn: the first window on ECG paper, the highest probabilities below it."""

import textwrap
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from kmerl.escapes import one_line
from kmerl.plots.ecg import draw, lay_out
from kmerl.plots.style import COLOURS, GREY, MM_PER_INCH, look, new_figure

if TYPE_CHECKING:
    from kmerl.use.prediction import Prediction

_LINE, _NARROWEST = 5.0, 165.0  # mm
_NAMES, _SPAN = 92.0, 55.0  # mm to the left of the bars, and of probability 1
_NAME_LENGTH = 48


def figure(prediction: "Prediction", top: int = 10) -> Figure:
    """The figure; its paper is in true proportions."""
    with look():
        sheet = lay_out(prediction.first, prediction.leads, prediction.fs)
        width = max(sheet.width, _NARROWEST)
        letters = int(width / 2.0)
        head = [line for text in prediction.used() for line in textwrap.wrap(text, letters)]
        foot = [line for text in prediction.warnings for line in textwrap.wrap(f"Warning: {one_line(text)}", letters)]
        answers = prediction.table.head(top)
        above, bars, below = (len(head) + 1.2) * _LINE, answers.height * _LINE, (len(foot) + 0.6) * _LINE
        panel = bars + 2.6 * _LINE + below
        result = new_figure(width, above + sheet.height + panel)
        draw(result, sheet, 0, panel)
        height = above + sheet.height + panel
        for i, line in enumerate(head):
            weight, colour = ("bold", "black") if i == 0 else ("normal", GREY)
            y = 1 - (i + 1.2) * _LINE / height
            result.text(3 / width, y, line, fontsize=10, weight=weight, color=colour, parse_math=False)
        start, stop = prediction.windows[0]
        title, windows = "Probabilities", len(prediction.windows)
        if windows > 1:
            title += f" ({prediction.aggregate} of {windows} windows; {start:g} to {stop:g} s are drawn)"
        result.text(3 / width, (panel - 1.6 * _LINE) / height, title, fontsize=10, weight="bold")
        _bars(result, answers["class"].to_list(), answers["probability"].to_list(), below, bars)
        for i, line in enumerate(foot):
            y = (below - (i + 1) * _LINE) / height
            result.text(3 / width, y, line, fontsize=9, color=COLOURS[1], parse_math=False)
        return result


def _bars(result: Figure, names: list[str], values: list[float], bottom: float, size: float) -> None:
    width, height = (inches * MM_PER_INCH for inches in result.get_size_inches())
    axes = result.add_axes((_NAMES / width, bottom / height, _SPAN / width, size / height))
    places = range(len(names))
    axes.barh(places, values, 0.7, color=COLOURS[0])
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.015, place, f"{value:.3f}", va="center", fontsize=9)
    names = [one_line(name) for name in names]
    shown = [name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1].rstrip() + "…" for name in names]
    axes.set_yticks(places, shown, fontsize=9, parse_math=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
