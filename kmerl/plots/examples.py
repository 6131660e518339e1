"""One record on ECG paper with what is said about it: its report, its labels, and the model's answers."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from kmerl.escapes import one_line
from kmerl.plots.ecg import draw, lay_out
from kmerl.plots.style import COLOURS, GREY, INK, look, new_figure
from kmerl.randomness import generator

_HEAD, _LINE = 18.0, 4.6  # mm
_TEXT_WIDTH, _MOST_LINES = 50, 9  # characters and lines of a text
_NAME_LENGTH = 54  # characters of a class


@dataclass(frozen=True)
class Answer:
    """One class as asked of the model: its probability under each lead set, and whether it is a label."""

    name: str
    probability: Mapping[str, float]
    true: bool


@dataclass(frozen=True)
class Example:
    """What a figure shows of one record.

    Attributes:
        heading, subheading: above the paper.
        signal: (L, S) mV.
        leads: L names.
        fs: samples per second.
        texts: heading -> text of the left column.
        answers: bars of the right column, top first; empty if the model was not asked.
        lists: heading -> items, the right column where there are no answers.
    """

    heading: str
    subheading: str
    signal: NDArray[np.float32]
    leads: Sequence[str]
    fs: float
    texts: Mapping[str, str]
    answers: Sequence[Answer] = ()
    lists: Mapping[str, Sequence[str]] | None = None


def choose(labels: Mapping[str, Sequence[str]], count: int, seed: int, *names: object) -> list[str]:
    """Records that differ in their labels: each next one shares the fewest with those already chosen.

    Args:
        labels: record id -> its labels.
        count: how many; fewer if there are not as many.
        seed: decides among equals.
        *names: of what is drawn; they decide too.
    """
    ids = sorted(labels)
    order = [ids[i] for i in generator(seed, "examples", *names).permutation(len(ids))]
    chosen: list[str] = []
    seen: set[str] = set()
    while order and len(chosen) < count:
        shares = [len(seen & set(labels[one])) / max(1, len(set(labels[one]))) for one in order]
        one = order.pop(int(np.argmin(shares)))
        chosen.append(one)
        seen |= set(labels[one])
    return chosen


def example_figure(example: Example) -> Figure:
    """Heading, ECG paper in true proportions, and below it texts on the left, answers or lists on the right."""
    with look():
        sheet = lay_out(example.signal, example.leads, example.fs)
        lines = [line for heading, text in example.texts.items() for line in (heading, *_wrapped(text), "")]
        right = len(example.answers) * 1.55 + 2 if example.answers else _list_lines(example)
        panel = (max(len(lines), right) + 2) * _LINE
        height = _HEAD + sheet.height + panel
        figure = new_figure(sheet.width, height)
        draw(figure, sheet, 0, panel)
        heading, about = one_line(example.heading), one_line(example.subheading)
        figure.text(3 / sheet.width, 1 - 7 / height, heading, fontsize=13, weight="bold", parse_math=False)
        figure.text(3 / sheet.width, 1 - 13.5 / height, about, fontsize=10, color=GREY, parse_math=False)
        _write(figure, 3, panel - 1.6 * _LINE, lines, set(example.texts))
        if example.answers:
            _bars(figure, example.answers, sheet.width, panel)
        elif example.lists:
            _lists(figure, example.lists, sheet.width / 2 + 5, panel - 1.6 * _LINE)
        return figure


def _wrapped(text: str) -> list[str]:
    """A text in lines; what does not fit is cut off visibly."""
    lines = textwrap.wrap(one_line(text), _TEXT_WIDTH) or ["(none)"]
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1][:-2] + " …"]


def _shortened(name: str) -> str:
    """A class name that fits beside its bars."""
    name = one_line(name)
    return name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1].rstrip() + "…"


def _write(figure: Figure, x: float, y: float, lines: Sequence[str], bold: set[str]) -> None:
    """Lines of text from ``x``, ``y`` (mm) downwards."""
    width, height = (size * 25.4 for size in figure.get_size_inches())
    for i, line in enumerate(lines):
        weight = "bold" if line in bold else "normal"
        figure.text(x / width, (y - i * _LINE) / height, line, fontsize=10, weight=weight, parse_math=False)


def _list_lines(example: Example) -> int:
    return sum(len(_joined(items)) + 2 for items in (example.lists or {}).values())


def _joined(items: Sequence[str]) -> list[str]:
    return _wrapped(", ".join(items))


def _lists(figure: Figure, lists: Mapping[str, Sequence[str]], x: float, y: float) -> None:
    lines = [line for heading, items in lists.items() for line in (heading, *_joined(items), "")]
    _write(figure, x, y, lines, set(lists))


def _bars(figure: Figure, answers: Sequence[Answer], width: float, panel: float) -> None:
    """Probabilities of the answers, one bar per lead set; true labels in bold with a tick."""
    height = figure.get_size_inches()[1] * 25.4
    lead_sets = list(answers[0].probability)
    left, span, size = width * 0.76, width * 0.2, len(answers) * 1.55 * _LINE
    axes = figure.add_axes((left / width, (panel - 2.4 * _LINE - size) / height, span / width, size / height))
    thick = 0.76 / len(lead_sets)
    for i, leads in enumerate(lead_sets):
        places = [row + (i - (len(lead_sets) - 1) / 2) * thick for row in range(len(answers))]
        values = [answer.probability[leads] for answer in answers]
        axes.barh(places, values, thick * 0.9, color=COLOURS[i % len(COLOURS)], label=leads)
        for place, value in zip(places, values, strict=True):
            text = "not asked" if np.isnan(value) else f"{value:.2f}"
            axes.text((0 if np.isnan(value) else value) + 0.01, place, text, va="center", fontsize=7)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(answers) - 0.5, -0.5)
    axes.set_yticks(range(len(answers)), [("✓ " if a.true else "") + _shortened(a.name) for a in answers], fontsize=9)
    for label, answer in zip(axes.get_yticklabels(), answers, strict=True):
        label.set_fontweight("bold" if answer.true else "normal")
        label.set_color(INK)
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    heading = "Highest probabilities (✓ true label)"
    figure.text((width / 2 + 5) / width, (panel - 1.6 * _LINE) / height, heading, fontsize=10, weight="bold")
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(lead_sets), fontsize=9, borderaxespad=0.1,
        handlelength=1.0, handletextpad=0.4, columnspacing=1.0,
    )  # fmt: skip
