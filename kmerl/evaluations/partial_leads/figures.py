"""Zero-shot AUC with 1 to 12 leads and with every lead alone (paper section 3.5)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmerl.documents import Caption
from kmerl.evaluation.schemas import AVERAGE
from kmerl.evaluations.partial_leads.schemas import NESTED, SINGLE
from kmerl.evaluations.partial_leads.scores import scopes_of, sets_of
from kmerl.plots.drawn import Drawn
from kmerl.plots.style import GREY, INK, chance, colours_of, heading, key, look, new_figure, spread
from kmerl.results import published
from kmerl.results.names import SCOPES
from kmerl.results.published import Published
from kmerl.results.scores import RunScores, data_of, defined

_WIDTH, _HEIGHT = 270.0, 122.0  # mm
_LINES: tuple[Any, ...] = ("-", (0, (4, 2)))  # of the first and the second scope
_FACES = (None, "white")  # of their markers; None is the run's colour


def partial_figure(
    runs: Sequence[RunScores],
    published: Sequence[Published],
    confidence: float,
    colours: Mapping[str, tuple[str, str]] | None = None,
) -> Figure:
    """Averages over the tasks: left with leads added one by one, right with single leads (if there are such scores).

    Args:
        runs: at least one. Where the scope of normalisation changes scores, the second one is dashed and hollow.
        published: averages of six tasks; drawn beside our lines at their number of leads.
        confidence: of the intervals.
        colours: run -> colour and marker; drawn from the runs' order if not given.
    """
    with look():
        colours = colours or colours_of(run.name for run in runs)
        figure = new_figure(_WIDTH, _HEIGHT)
        single = any(sets_of(run, SINGLE) for run in runs)
        panels = figure.subplots(1, 1 + single, squeeze=False, sharey=True, width_ratios=[1.25, 1][: 1 + single])[0]
        figure.subplots_adjust(
            left=18 / _WIDTH, right=1 - 3 / _WIDTH, top=1 - 33 / _HEIGHT, bottom=17 / _HEIGHT, wspace=0.06
        )
        nested = sets_of(runs[0], NESTED)
        for run in runs:
            _draw_nested(panels[0], run, colours[run.name])
        _draw_published(panels[0], published, len(nested))
        added = [f"{'+' if i else ''}{_new(nested, i)}" for i in range(len(nested))]
        panels[0].set_xticks(
            range(1, len(nested) + 1), [f"{one['count']}\n{new}" for one, new in zip(nested, added, strict=True)]
        )
        panels[0].set_xlim(-0.5 if published else 0.5, len(nested) + (3.4 if published else 0.5))
        panels[0].tick_params(axis="x", labelsize=8.5)
        panels[0].set_xlabel("number of leads, the last one added")
        panels[0].set_title("Leads added one by one")
        panels[0].set_ylabel("macro AUC, average over the tasks")
        if single:
            alone = sets_of(runs[0], SINGLE)
            for i, run in enumerate(runs):
                _draw_single(panels[1], run, (i - (len(runs) - 1) / 2) * min(0.24, 0.8 / len(runs)), colours[run.name])
            panels[1].set_xticks(range(len(alone)), [one["names"][0] for one in alone])
            panels[1].set_xlim(-0.6, len(alone) - 0.4)
            panels[1].set_xlabel("the only lead shown")
            panels[1].set_title("One lead alone")
        for axes in panels:
            chance(axes)
        heading(
            figure,
            f"Zero-shot classification with some of the leads, {data_of(runs)}",
            *_legend(runs, published, confidence, colours),
        )
        return figure


def _legend(
    runs: Sequence[RunScores], published: Sequence[Published], confidence: float, colours: Mapping[str, Any]
) -> tuple[list[Artist], int]:
    handles: list[Artist] = [
        key(run.name, color=colours[run.name][0], marker=colours[run.name][1], linestyle="-") for run in runs
    ]
    scopes: Sequence[str] = next((scopes_of(run) for run in runs if len(scopes_of(run)) > 1), [])
    for i, scope in enumerate(scopes):
        text = f"normalised over {SCOPES.get(scope, scope)}"
        handles.append(key(text, color=GREY, linestyle=_LINES[i], marker="o", markerfacecolor=_FACES[i] or GREY))
    handles.append(key(f"{confidence:.0%} interval, patients", color=GREY, linestyle="-", linewidth=6, alpha=0.35))
    handles.append(key("chance", color=GREY, linestyle=":"))
    if published:
        handles.append(
            key("published, six tasks, recorded ECGs", color=INK, marker="D", markerfacecolor="white", markersize=6)
        )
    return handles, len(handles) if len(handles) <= 5 else -(-len(handles) // 2)


def _new(sets: Sequence[Mapping[str, Any]], i: int) -> str:
    before = {*sets[i - 1]["names"]} if i else set()
    return ", ".join(lead for lead in sets[i]["names"] if lead not in before)


def _draw_nested(axes: Axes, run: RunScores, colour: tuple[str, str]) -> None:
    """A line with its band per scope."""
    for i, scope in enumerate(scopes_of(run)):
        rows = [
            row | {"x": one["count"]}
            for one in sets_of(run, NESTED)
            if (row := run.row(dataset=AVERAGE, leads=one["leads"], scope=scope)) and defined(row["value"])
        ]
        x, low, high, value = ([row[name] for row in rows] for name in ("x", "low", "high", "value"))
        axes.fill_between(x, low, high, color=colour[0], alpha=0.07 if i else 0.14, linewidth=0)
        axes.plot(
            x, value, color=colour[0], marker=colour[1], markersize=5.5, linestyle=_LINES[i], linewidth=1.6,
            label=f"{run.name}, {scope}", markerfacecolor=_FACES[i] or colour[0],
        )  # fmt: skip


def _draw_single(axes: Axes, run: RunScores, shift: float, colour: tuple[str, str]) -> None:
    """A dot with its whisker per lead and scope."""
    for i, scope in enumerate(scopes_of(run)):
        for place, one in enumerate(sets_of(run, SINGLE)):
            row = run.row(dataset=AVERAGE, leads=one["leads"], scope=scope)
            if row and defined(row["value"]):
                x, face = place + shift + i * 0.07, _FACES[i] or colour[0]
                axes.plot([x, x], [row["low"], row["high"]], color=colour[0], linewidth=1.4, linestyle=_LINES[i])
                axes.plot(x, row["value"], colour[1], color=colour[0], markersize=5.5, markerfacecolor=face)


def _draw_published(axes: Axes, published: Sequence[Published], most: int) -> None:
    """Hollow diamonds with their names, left of the first and right of the last number of leads."""
    for leads, x, side in ((1, 0.3, -1), (most, most + 0.6, 1)):
        group = [one for one in published if one.leads == leads]
        places = spread([one.auc for one in group], 0.022)
        for one, place in zip(group, places, strict=True):
            axes.plot(x, one.auc, "D", color=INK, markerfacecolor="white", markersize=5.5)
            if side > 0:
                axes.text(x + 0.3, place, f"{one.method} {one.auc:.3f}", fontsize=7.5, va="center")
            else:
                text = f"{one.method}\n{one.auc:.3f}"
                axes.annotate(text, (x, place), (0, 5), textcoords="offset points", fontsize=7.5, ha="center")


def figures(runs: Sequence[RunScores], params: Any, colours: Mapping[str, tuple[str, str]]) -> Iterator[Drawn]:
    """AUC with 1 to 12 leads, and with every single lead.

    Args:
        runs: at least one.
        params: the sections evaluation and partial_leads.
        colours: run -> colour and marker.
    """
    yield Drawn(
        Caption(
            "partial_leads_auc",
            "partial",
            "Zero-shot AUC with one to twelve leads, and with single leads",
            "Averages over the tasks. On the left leads are added one by one, on the right every lead is alone. A "
            "method that copes with missing leads draws a flat line. Where the scope of the normalisation changes "
            "the scores, the second scope is dashed and hollow. Published averages are marked as such.",
        ),
        partial_figure(runs, published.zeroshot(), params.evaluation.confidence, colours),
    )
