"""Zero-shot AUC per task and lead set, with intervals."""

from collections.abc import Mapping, Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kmerl.evaluation.schemas import AVERAGE, MACRO
from kmerl.evaluation.tables import Published, RunScores, title
from kmerl.plots.style import COLOURS, GREY, INK, MARKERS, look, new_figure

_SPREAD = 0.25  # between the lead sets of one task, in tasks
_PER_RUN = 78.0  # mm
_LABEL_GAP = 0.029  # AUC between two labels of published figures


def zeroshot_figure(
    runs: Sequence[RunScores], published: Sequence[Published], lead_counts: Mapping[str, int], confidence: float
) -> Figure:
    """One panel per run: tasks and their average, a dot with its interval per lead set, chance at 0.5.

    Args:
        runs: at least one.
        published: averages over other tasks; drawn in a column of their own, beside the average.
        lead_counts: lead set -> number of its leads, in the order drawn; gives the published figures their colours.
        confidence: of the intervals.
    """
    with look():
        head = 24.0
        figure = new_figure(230, head + _PER_RUN * len(runs) + 8)
        panels = figure.subplots(len(runs), 1, squeeze=False, sharex=True)[:, 0]
        height = figure.get_size_inches()[1] * 25.4
        figure.subplots_adjust(left=0.07, right=0.985, top=1 - head / height, bottom=11 / height, hspace=0.25)
        low, high = _limits(runs, published)
        for axes, run in zip(panels, runs, strict=True):
            tasks = _draw_run(axes, run, list(lead_counts))
            _draw_published(axes, published, lead_counts, len(tasks))
            axes.set_ylim(low, high)
            axes.set_xlim(-0.5, len(tasks) + 1.32)
            axes.set_ylabel("macro AUC")
            names = [title(task).replace("PTB-XL ", "PTB-XL\n") for task in tasks]
            axes.set_xticks([*range(len(tasks)), len(tasks) + 0.35], [*names, "Published: six tasks,\nrecorded ECGs"])
            axes.tick_params(axis="x", length=0)
            axes.set_title(f"{run.name}: {run.data} data" if len(runs) > 1 else "", fontsize=10)
        _head(figure, runs, list(lead_counts), confidence, height)
        return figure


def _head(
    figure: Figure, runs: Sequence[RunScores], lead_sets: Sequence[str], confidence: float, height: float
) -> None:
    data = "; ".join(dict.fromkeys(f"{run.data} data" for run in runs))
    figure.text(0.012, 1 - 7 / height, f"Zero-shot classification, {data}", fontsize=13, weight="bold")
    handles = [
        Line2D([], [], color=COLOURS[i], marker=MARKERS[i], linestyle="none", markersize=7, label=leads)
        for i, leads in enumerate(lead_sets)
    ]
    handles.append(Line2D([], [], color=GREY, linewidth=1.6, label=f"{confidence:.0%} interval"))
    handles.append(Line2D([], [], color=GREY, linestyle=":", label="chance"))
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.003, 1 - 8.5 / height), ncols=len(handles),
        handletextpad=0.5, columnspacing=1.6,
    )  # fmt: skip


def _limits(runs: Sequence[RunScores], published: Sequence[Published]) -> tuple[float, float]:
    """The AUC axis: from below the lowest interval, chance included, to 1."""
    ends = [0.45, *(row.auc for row in published)]
    for run in runs:
        ends += run.macro(MACRO).select(pl.min_horizontal("low", "value"))["low"].drop_nans().to_list()
    return max(0.0, min(ends) - 0.02), 1.0


def _draw_run(axes: Axes, run: RunScores, lead_sets: Sequence[str]) -> list[str]:
    """Dots and whiskers; returns the tasks in their order, the average last."""
    rows = run.macro(MACRO)
    tasks = sorted(rows["dataset"].unique(maintain_order=True), key=lambda task: task == AVERAGE)
    defined = rows.filter(pl.col("value").is_not_nan())
    axes.axhline(0.5, color=GREY, linestyle=":", linewidth=1)
    axes.axvspan(len(tasks) - 1.5, len(tasks) - 0.5, color="#f1f1f1", linewidth=0)
    for i, leads in enumerate(lead_sets):
        shift = (i - (len(lead_sets) - 1) / 2) * min(_SPREAD, 0.8 / len(lead_sets))
        for x, task in enumerate(tasks):
            for row in defined.filter(pl.col("dataset") == task, pl.col("leads") == leads).iter_rows(named=True):
                colour = COLOURS[i % len(COLOURS)]
                axes.plot([x + shift] * 2, [row["low"], row["high"]], color=colour, linewidth=1.8)
                axes.plot(x + shift, row["value"], MARKERS[i % len(MARKERS)], color=colour, markersize=6.5)
                top = row["high"] if row["high"] == row["high"] else row["value"]  # NaN without an interval
                axes.annotate(
                    f"{row['value']:.2f}", (x + shift, top), xytext=(0, 3), textcoords="offset points", ha="center",
                    fontsize=8, color=INK,
                )  # fmt: skip
    return tasks


def _draw_published(axes: Axes, published: Sequence[Published], lead_counts: Mapping[str, int], x: int) -> None:
    """Short dashed lines with their names, in a column that holds nothing of ours."""
    colour_of = {count: COLOURS[i % len(COLOURS)] for i, count in enumerate(lead_counts.values())}
    at = 2.0
    for row in sorted(published, key=lambda row: -row.auc):
        colour = colour_of.get(row.leads, INK)
        axes.plot([x - 0.42, x - 0.14], [row.auc] * 2, color=colour, linestyle=(0, (3, 1.5)), linewidth=1.8)
        at = min(at - _LABEL_GAP, row.auc)
        axes.text(x - 0.1, at, f"{row.method}, {row.lead_set}: {row.auc:.3f}", va="center", fontsize=8)
