"""Zero-shot AUC of seen classes, the same classes by other names, and renamed ones, in every way of asking."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmerl.evaluation.schemas import AVERAGE
from kmerl.plots.style import GREY, chance, colours_of, heading, key, look, new_figure
from kmerl.results.names import GROUPS, OTHER, RENAMED, SEEN, WAYS
from kmerl.results.scores import RunScores, data_of, defined

_SHOWN: dict[str, tuple[str, dict[str, Any]]] = {
    SEEN: ("seen classes, by the names known from training", {"marker": "o"}),
    OTHER: ("the same classes, by other names", {"marker": "o", "markerfacecolor": "white"}),
    RENAMED: ("classes whose names training did not know", {"marker": "^"}),
}
_WIDTH, _ROW, _HEAD, _FOOT, _LEFT = 270.0, 12.0, 32.0, 14.0, 52.0  # mm


def queries_figure(
    runs: Sequence[RunScores], confidence: float, colours: Mapping[str, tuple[str, str]] | None = None
) -> Figure:
    """One panel per lead set; one row per run and way, one dot with its interval per group of classes.

    Args:
        runs: at least one.
        confidence: of the intervals.
        colours: run -> colour and marker; drawn from the runs' order if not given.
    """
    with look():
        colours = colours or colours_of(run.name for run in runs)
        asked = [(run, way) for run in runs for way in run.scores["way"].unique(maintain_order=True)]
        lead_sets = list(dict.fromkeys(leads for run in runs for leads in run.lead_sets))
        height = _HEAD + _ROW * len(asked) + _FOOT
        figure = new_figure(_WIDTH, height)
        panels = figure.subplots(1, len(lead_sets), squeeze=False, sharex=True, sharey=True)[0]
        figure.subplots_adjust(
            left=_LEFT / _WIDTH, right=1 - 4 / _WIDTH, top=1 - _HEAD / height, bottom=_FOOT / height, wspace=0.07
        )
        for axes, leads in zip(panels, lead_sets, strict=True):
            chance(axes, horizontal=False)
            for place, (run, way) in enumerate(asked):
                _draw(axes, run, way, leads, place, colours[run.name][0])
            _rule(axes, [run.name for run, _ in asked])
            axes.set_title(f"Shown: {leads}")
            axes.set_xlabel("macro AUC, average over the tasks")
            axes.set_ylim(len(asked) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
        labels = [f"{run.name}\n{WAYS.get(way, way)}" for run, way in asked]
        panels[0].set_yticks(range(len(asked)), labels, fontsize=9)
        for label, (run, way) in zip(panels[0].get_yticklabels(), asked, strict=True):
            label.set_fontweight("bold" if way == run.way else "normal")
        handles = [key(text, color=GREY, **style) for text, style in _SHOWN.values()]
        handles.append(key(f"{confidence:.0%} interval, patients", color=GREY, linestyle="-", linewidth=1.6))
        handles.append(key("chance", color=GREY, linestyle=":"))
        handles.append(key("bold: the run's own way", color="none"))
        heading(figure, f"Classes asked by known, other and unknown names, {data_of(runs)}", handles, 3)
        return figure


def _draw(axes: Axes, run: RunScores, way: str, leads: str, place: int, colour: str) -> None:
    for i, (group, (_, style)) in enumerate(_SHOWN.items()):
        metric, names = GROUPS[group]
        row = run.row(metric, dataset=AVERAGE, leads=leads, way=way, names=names)
        if row and defined(row["value"]):
            y = place + (i - 1) * 0.24
            axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.6)
            axes.plot(row["value"], y, color=colour, markersize=6, linestyle="none", **style)


def _rule(axes: Axes, names: Sequence[str]) -> None:
    """A thin line between runs."""
    for place in range(1, len(names)):
        if names[place] != names[place - 1]:
            axes.axhline(place - 0.5, color=GREY, linewidth=0.5, alpha=0.6)
