"""Loss and validation curves of pretraining runs."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmerl.plots.style import COLOURS, GREY, MARKERS, look, new_figure

_PANELS = {
    "contrastive": ("ECG-report loss", "contrastive", None),
    "query": ("ECG-entity loss", "query", "valid_query"),
    "valid_auc": ("Entities, validation", None, "valid_auc"),
}
_WINDOW = 0.04  # of a run's steps, averaged for the bold line


def training_figure(histories: Mapping[str, pl.DataFrame], heading: str) -> Figure:
    """Three panels: both losses and the validation AUC over steps, one colour per run.

    Args:
        histories: run -> rows of ``kmerl.training.history.HISTORY``; steps may be logged at any interval.
        heading: the figure's title.
    """
    with look():
        figure = new_figure(260, 92)
        figure.text(0.012, 0.92, heading, fontsize=13, weight="bold")
        for axes, (name, train, valid) in zip(figure.subplots(1, 3), _PANELS.values(), strict=True):
            for i, (run, history) in enumerate(histories.items()):
                if train:
                    _draw_training(axes, history, train, COLOURS[i % len(COLOURS)], run)
                if valid:
                    _draw_validation(axes, history, valid, i, run)
            axes.set_title(name)
            axes.set_xlabel("step")
            axes.set_ylabel("macro AUC" if train is None else "loss")
            axes.margins(y=0.08)
            axes.set_xlim(left=0)
        figure.axes[2].axhline(0.5, color=GREY, linestyle=":", linewidth=1)
        figure.axes[2].annotate("chance", (1, 0.5), xycoords=("axes fraction", "data"), xytext=(-2, 3),
                                textcoords="offset points", ha="right", fontsize=8, color=GREY)  # fmt: skip
        for axes in figure.axes:
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=8, loc="best")
        figure.subplots_adjust(left=0.06, right=0.985, top=0.79, bottom=0.15, wspace=0.26)
        return figure


def _draw_training(axes: Axes, history: pl.DataFrame, column: str, colour: str, run: str) -> None:
    """Every logged value, thin, and their running mean."""
    known = history.select("step", column).drop_nulls().filter(pl.col(column).is_finite())
    step, value = known["step"].to_numpy(), known[column].to_numpy()
    axes.plot(step, value, color=colour, alpha=0.3, linewidth=0.7)
    if len(value):
        width = max(1, round(len(value) * _WINDOW))
        mean = np.convolve(value, np.ones(width) / width, mode="valid")
        axes.plot(
            step[width // 2 :][: len(mean)], mean, color=colour, linewidth=1.8, label=f"{run}, training (running mean)"
        )


def _draw_validation(axes: Axes, history: pl.DataFrame, column: str, i: int, run: str) -> None:
    known = history.select("step", column).drop_nulls().filter(pl.col(column).is_finite())
    axes.plot(
        known["step"].to_numpy(), known[column].to_numpy(), color=COLOURS[i % len(COLOURS)],
        marker=MARKERS[i % len(MARKERS)], markersize=6, linestyle="--", linewidth=1.2, markeredgecolor="white",
        label=f"{run}, validation",
    )  # fmt: skip
