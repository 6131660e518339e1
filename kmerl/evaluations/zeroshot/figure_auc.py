"""Zero-shot AUC per task, one panel per lead set, with intervals."""

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmerl.evaluation.schemas import AVERAGE
from kmerl.plots.style import GREY, INK, PALE, chance, colours_of, heading, key, look, new_figure, spread
from kmerl.results.names import title
from kmerl.results.published import Published
from kmerl.results.scores import RunScores, data_of, defined, tasks_of

_WIDTH, _PANEL, _HEAD, _FOOT = 270.0, 58.0, 23.0, 12.0  # mm
_MOST_NUMBERED = 4  # runs; the numbers of more would overlap
_MOST_IN_ROW = 6  # entries of the legend
_PUBLISHED = 1.75  # width of the published column, in tasks


def zeroshot_figure(
    runs: Sequence[RunScores],
    published: Sequence[Published],
    lead_counts: Mapping[str, int],
    confidence: float,
    colours: Mapping[str, tuple[str, str]] | None = None,
) -> Figure:
    """One panel per lead set: tasks and their average, a dot with its interval per run, chance at 0.5.

    Args:
        runs: at least one; drawn as asked in its own way by plain names.
        published: averages; drawn in a column of their own, in the panel of as many leads.
        lead_counts: lead set -> number of its leads, in the order drawn.
        confidence: of the intervals.
        colours: run -> colour and marker; drawn from the runs' order if not given.
    """
    with look():
        colours = colours or colours_of(run.name for run in runs)
        tasks = [*tasks_of(runs), AVERAGE]
        height = _HEAD + _PANEL * len(lead_counts) + _FOOT
        figure = new_figure(_WIDTH, height)
        panels = figure.subplots(len(lead_counts), 1, squeeze=False, sharex=True)[:, 0]
        figure.subplots_adjust(
            left=17 / _WIDTH, right=1 - 3 / _WIDTH, top=1 - (_HEAD + 6) / height, bottom=_FOOT / height, hspace=0.2
        )
        low = _lowest(runs, published)
        for axes, (leads, count) in zip(panels, lead_counts.items(), strict=True):
            chance(axes)
            axes.axvspan(len(tasks) - 1.5, len(tasks) - 0.5, color=PALE, linewidth=0, zorder=0)
            for i, run in enumerate(runs):
                shift = (i - (len(runs) - 1) / 2) * min(0.27, 0.84 / len(runs))
                _draw_run(axes, run, leads, tasks, shift, colours[run.name], len(runs) <= _MOST_NUMBERED)
            _draw_published(axes, [one for one in published if one.leads == count], len(tasks) - 0.3, 1 - low)
            axes.set_ylim(low, 1.0)
            axes.set_xlim(-0.5, len(tasks) - 0.5 + _PUBLISHED)
            axes.set_ylabel("macro AUC")
            axes.set_title(f"Shown: {leads}")
            axes.tick_params(axis="x", length=0)
        names = [title(task).replace("PTB-XL ", "PTB-XL\n") for task in tasks]
        panels[-1].set_xticks(
            [*range(len(tasks)), len(tasks) - 0.5 + _PUBLISHED / 2],
            [*names, "published, recorded ECGs:\naverage of six tasks"],
        )
        _heading(figure, runs, confidence, colours)
        return figure


def _heading(
    figure: Figure, runs: Sequence[RunScores], confidence: float, colours: Mapping[str, tuple[str, str]]
) -> None:
    handles = [key(run.name, color=colours[run.name][0], marker=colours[run.name][1]) for run in runs]
    handles.append(key(f"{confidence:.0%} interval, patients", color=GREY, linestyle="-", linewidth=1.6))
    handles.append(key("chance", color=GREY, linestyle=":"))
    heading(
        figure,
        f"Zero-shot classification, {data_of(runs)}",
        handles,
        -(-len(handles) // 2) if len(handles) > _MOST_IN_ROW else 0,
    )


def _lowest(runs: Sequence[RunScores], published: Sequence[Published]) -> float:
    """The AUC axis begins below the lowest interval, chance included."""
    ends = [0.45, *(one.auc for one in published)]
    for run in runs:
        lowest = run.asked().select(pl.min_horizontal(pl.col("low", "value").fill_nan(None)))
        ends += lowest.to_series().drop_nulls().to_list()
    return max(0.0, min(ends) - 0.02)


def _draw_run(
    axes: Axes,
    run: RunScores,
    leads: str,
    tasks: Sequence[str],
    shift: float,
    colour: tuple[str, str],
    numbered: bool,
) -> None:
    """Dots and whiskers of one run."""
    for row in run.asked(leads=leads).filter(pl.col("value").is_not_nan()).iter_rows(named=True):
        x = tasks.index(row["dataset"]) + shift
        axes.plot([x, x], [row["low"], row["high"]], color=colour[0], linewidth=1.8)
        axes.plot(x, row["value"], colour[1], color=colour[0], markersize=6)
        if numbered:
            top = row["high"] if defined(row["high"]) else row["value"]
            axes.annotate(
                f"{row['value']:.2f}", (x, top), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=7.5,
                color=INK,
            )  # fmt: skip


def _draw_published(axes: Axes, published: Sequence[Published], x: float, height: float) -> None:
    """Short dashed lines with their names, in a column that holds nothing of ours."""
    places = spread([one.auc for one in published], height * 0.085)
    for one, place in zip(published, places, strict=True):
        axes.plot([x, x + 0.25], [one.auc] * 2, color=INK, linestyle=(0, (3, 1.5)), linewidth=1.6)
        axes.text(x + 0.32, place, f"{one.method}: {one.auc:.3f}", va="center", fontsize=8)
    if not published:
        middle = x + _PUBLISHED / 2 - 0.2
        where = axes.get_xaxis_transform()
        axes.text(middle, 0.5, "none published", transform=where, fontsize=8, color=GREY, ha="center")
