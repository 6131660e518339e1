"""AUC of linear probes against the share of the training split that they saw."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmerl.documents import Caption
from kmerl.evaluation.schemas import AVERAGE
from kmerl.evaluations.linear_probe.scores import (
    baselines_first,
    kinds_of,
    lead_counts,
    other_scopes,
    pretrained,
    shares_of,
)
from kmerl.plots.drawn import Drawn
from kmerl.plots.style import GREY, INK, chance, colours_of, heading, key, look, new_figure, spread
from kmerl.results import published
from kmerl.results.names import PROBES, share_name, title
from kmerl.results.published import SIX, Published
from kmerl.results.scores import RunScores, data_of, defined, tasks_of

_WIDTH, _LARGE, _SMALL, _HEAD, _FOOT = 270.0, 82.0, 44.0, 30.0, 14.0  # mm
_BARE = ((INK, "X"), (GREY, "P"))
_BESIDE = 0.22  # of published figures, right of a share
_DODGE = 0.05  # of the way to the next share, between features
Look = Mapping[str, tuple[str, str]]


def probes_figure(
    runs: Sequence[RunScores],
    published: Sequence[Published],
    lead_counts: Mapping[str, int],
    confidence: float,
    colours: Look | None = None,
) -> Figure:
    """Above the average, one panel per lead set; below every task, one row of panels per lead set.

    Of several kinds of probes the first is drawn, of several scopes too; an averaged point has a second, paler bar, the
    deviation over draws.

    Args:
        runs: features, at least one; those without pretraining are black or grey and dashed.
        published: linear probes of papers; their averages are drawn right of ours, in the panel of as many leads.
        lead_counts: lead set -> number of its leads.
        confidence: of the intervals.
        colours: features -> colour and marker; drawn from their order if not given.
    """
    with look():
        colours = styles(runs, colours or colours_of(run.name for run in runs))
        kind = kinds_of(runs)[0]
        runs = [replace(run, scores=run.scores.filter(kind=kind)) for run in runs]
        elsewhere = {name for run in runs for name in other_scopes(run)}
        shares, tasks = shares_of(runs), tasks_of(runs)
        lead_sets = list(dict.fromkeys(name for run in runs for name in run.lead_sets if name not in elsewhere))
        rows = len(lead_sets)
        height = _HEAD + _LARGE + _SMALL * rows + _FOOT
        figure = new_figure(_WIDTH, height)
        outer = figure.add_gridspec(
            2, 1, left=18 / _WIDTH, right=1 - 3 / _WIDTH, top=1 - _HEAD / height, bottom=_FOOT / height,
            height_ratios=[_LARGE - 16, _SMALL * rows], hspace=20 / (height / 2),
        )  # fmt: skip
        above = outer[0].subgridspec(1, rows, wspace=0.07).subplots(squeeze=False, sharey=True)[0]
        below = outer[1].subgridspec(rows, len(tasks), wspace=0.08, hspace=0.16).subplots(squeeze=False, sharey=True)
        for i, leads in enumerate(lead_sets):
            _draw(above[i], runs, AVERAGE, leads, shares, colours, large=True)
            above[i].set_title(f"Average over the tasks, shown: {leads}")
            shown = [one for one in published if one.leads == lead_counts.get(leads) and one.dataset == SIX]
            _draw_published(above[i], shown, shares)
            for axes, task in zip(below[i], tasks, strict=True):
                _draw(axes, runs, task, leads, shares, colours, large=False)
                axes.set_title(title(task) if not i else "", fontsize=9.5)
                if i < rows - 1:
                    axes.set_xticklabels([])
            below[i][0].set_ylabel(f"shown: {leads}\nmacro AUC", fontsize=9)
        above[0].set_ylabel("macro AUC")
        handles, columns = _legend(runs, bool(published), confidence, colours)
        heading(figure, f"Linear probes: {PROBES.get(kind, kind)}, {data_of(runs)}", handles, columns)
        figure.text(0.5, 3 / height, "share of the training split", ha="center")
        return figure


def styles(runs: Sequence[RunScores], colours: Look) -> dict[str, tuple[str, str]]:
    """Colours of the features, black and grey for those without pretraining."""
    bare = [run.name for run in runs if not pretrained(run)]
    return {
        run.name: _BARE[bare.index(run.name) % len(_BARE)] if run.name in bare else colours[run.name] for run in runs
    }


def _legend(runs: Sequence[RunScores], printed: bool, confidence: float, colours: Look) -> tuple[list[Any], int]:
    handles = []
    for run in baselines_first(runs):
        colour, marker = colours[run.name]
        text = run.name if pretrained(run) else f"{run.name} (no pretraining)"
        handles.append(key(text, color=colour, marker=marker, linestyle=_line(run)))
    handles.append(key(f"{confidence:.0%} interval", color=GREY, linestyle="-", linewidth=1.6))
    handles.append(key("± over draws", color=GREY, linestyle="-", linewidth=6, alpha=0.35))
    handles.append(key("chance", color=GREY, linestyle=":"))
    if printed:
        text = "published (six tasks, recorded ECGs)"
        handles.append(key(text, color=INK, marker="D", markerfacecolor="white", markersize=5.5))
    return handles, -(-len(handles) // 2)


def _line(run: RunScores) -> Any:
    return "-" if pretrained(run) else (0, (3, 1.5))


def _draw(
    axes: Axes, runs: Sequence[RunScores], dataset: str, leads: str, shares: Sequence[float], colours: Look, large: bool
) -> None:
    """One line per features; shares stand at equal distances."""
    chance(axes)
    for i, run in enumerate(runs):
        found = {row["share"]: row for row in run.rows(dataset=dataset, leads=leads).iter_rows(named=True)}
        places = [(x, found[share]) for x, share in enumerate(shares) if share in found]
        shift = (i - (len(runs) - 1) / 2) * _DODGE * (1 if large else 1.6)
        points = [(x + shift, row) for x, row in places if defined(row["value"])]
        colour, marker = colours[run.name]
        for x, row in points:
            axes.plot([x, x], [row["low"], row["high"]], color=colour, linewidth=1.5 if large else 1.0)
            if large and defined(row["spread"]):
                ends = [row["value"] - row["spread"], row["value"] + row["spread"]]
                axes.plot([x, x], ends, color=colour, linewidth=6, alpha=0.35, solid_capstyle="butt")
        axes.plot(
            [x for x, _ in points], [row["value"] for _, row in points], color=colour, marker=marker,
            markersize=6 if large else 3.5, linewidth=1.5 if large else 1.0, linestyle=_line(run), label=run.name,
        )  # fmt: skip
    axes.set_xticks(range(len(shares)), [share_name(share) for share in shares])
    axes.set_xlim(-0.35, len(shares) - 0.65 + (0.0 if large else 0.1))
    axes.tick_params(labelsize=10 if large else 8)


def _draw_published(axes: Axes, published: Sequence[Published], shares: Sequence[float]) -> None:
    """Hollow diamonds right of ours, a thin line through those of one method, names at the last share."""
    methods = list(dict.fromkeys(one.method for one in published))
    last: dict[str, float] = {}
    for method in methods:
        found = {one.share: one.auc for one in published if one.method == method}
        points = [(x + _BESIDE, found[share]) for x, share in enumerate(shares) if share in found]
        axes.plot(*zip(*points, strict=True), color=GREY, linewidth=0.6, linestyle=":", zorder=1)
        for x, auc in points:
            axes.plot(x, auc, "D", color=INK, markerfacecolor="white", markersize=5)
        last |= {method: found[shares[-1]]} if shares[-1] in found else {}
    for (method, auc), place in zip(last.items(), spread(list(last.values()), 0.032), strict=True):
        axes.text(len(shares) - 1 + _BESIDE + 0.07, place, f"{method} {auc:.3f}", fontsize=7.5, va="center")
    if published:
        axes.set_xlim(-0.35, len(shares) + 0.12)


def figures(runs: Sequence[RunScores], params: Any, colours: Mapping[str, tuple[str, str]]) -> Iterator[Drawn]:
    """AUC by share of training records.

    Args:
        runs: at least one.
        params: the sections evaluation and linear_probe.
        colours: run -> colour and marker.
    """
    yield Drawn(
        Caption(
            "linear_probe_auc",
            "probe",
            "Linear probes by share of training records",
            "Macro AUC of a linear classifier on frozen features (the first kind of probe; the table has all) "
            "against the share of the training split that it saw: the average over tasks above, every task below. A "
            "share below 100% is drawn several times: the points are means over draws, the pale bars the deviation. "
            "Features without pretraining, random convolutions and the untrained encoder, are black or grey and "
            "dashed: pretraining is worth what lies above them.",
        ),
        probes_figure(runs, published.probes(), lead_counts(runs), params.evaluation.confidence, colours),
    )
