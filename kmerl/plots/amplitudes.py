"""How far the leads of an archive go, without opening a waveform: quantiles of what its index says."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from kmerl.leads import LEADS
from kmerl.plots.style import COLOURS, GREY, MARKERS, key, look, new_figure

SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles of each statistic: the ends of a thin line, those of a thick one, and a mark."""
_WIDTH, _HEAD, _PANEL = 270.0, 12.0, 58.0  # mm
_STATISTICS = (("minimum", COLOURS[0], MARKERS[0], -0.2), ("maximum", COLOURS[1], MARKERS[1], 0.2),
               ("standard deviation", COLOURS[2], MARKERS[2], 0.0))  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One archive: its title, and (3, 5, 12) mV, ``SHOWN`` of least, greatest and deviation; NaN without records."""

    title: str
    quantiles: NDArray[np.float64]


def amplitude_figure(panels: Sequence[Panel]) -> Figure:
    """A panel for each archive, two in a row."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with look():
        height = _HEAD + rows * _PANEL
        figure = new_figure(_WIDTH, height)
        for i, panel in enumerate(panels):
            left, top = 18 + i % columns * _WIDTH / columns, _HEAD + i // columns * _PANEL + 8
            size = _WIDTH / columns - 22, _PANEL - 16
            place = left / _WIDTH, 1 - (top + size[1]) / height, size[0] / _WIDTH, size[1] / height
            _draw(figure.add_axes(place), panel)
        figure.legend(
            handles=_legend(), loc="upper left", bbox_to_anchor=(8 / _WIDTH, 1 - 1 / height), borderaxespad=0.2,
            ncols=5, handletextpad=0.5, columnspacing=1.6, fontsize=9,
        )  # fmt: skip
        return figure


def _legend() -> list[Line2D]:
    marks = [key(name, color=colour, marker=marker) for name, colour, marker, _ in _STATISTICS]
    lines = [
        key(label, color=GREY, linestyle="-", linewidth=width)
        for label, width in (("25% to 75% of the records", 3.5), ("5% to 95%", 1.0))
    ]
    return [*marks, *lines]


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, parse_math=False)
    axes.axhline(0, color=GREY, linewidth=0.6, zorder=0.5)
    at = np.arange(len(LEADS))
    for (_, colour, marker, shift), (lowest, low, middle, high, highest) in zip(
        _STATISTICS, panel.quantiles, strict=True
    ):
        axes.vlines(at + shift, lowest, highest, color=colour, linewidth=1)
        axes.vlines(at + shift, low, high, color=colour, linewidth=3.5)
        axes.plot(at + shift, middle, marker, color=colour, mec="white", mew=0.5, markersize=5.5)
    axes.set_xticks(at, LEADS)
    axes.set_xlim(-0.6, len(LEADS) - 0.4)
    axes.set_ylabel("mV")
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.6)
    axes.set_axisbelow(True)
