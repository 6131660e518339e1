"""Loss and validation curves of pretraining runs."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kmerl.plots.style import GREY, chance, colours_of, heading, key, look, new_figure

_PANELS = {
    "ECG-report loss": ("contrastive", None),
    "ECG-entity loss": ("query", "valid_query"),
    "Entities, validation": (None, "valid_auc"),
}
"""Title -> columns of the history: in training, in validation."""
_WINDOW = 0.04  # of a run's steps, averaged for the bold line
_WIDTH, _HEIGHT = 270.0, 100.0  # mm
_NOTE = 24  # characters of a line beside a panel's title


def training_figure(
    histories: Mapping[str, pl.DataFrame], title: str, colours: Mapping[str, tuple[str, str]] | None = None
) -> Figure:
    """Three panels: both losses and the validation AUC over steps, one colour per run.

    Args:
        histories: run -> rows of ``kmerl.history.HISTORY``; steps may be logged at any interval. Runs without
            a step are left out.
        title: the figure's title.
        colours: run -> colour and marker; drawn from the runs' order if not given.
    """
    with look():
        colours = colours or colours_of(histories)
        trained = {run: history for run, history in histories.items() if history.height}
        figure = new_figure(_WIDTH, _HEIGHT)
        for axes, (name, columns) in zip(figure.subplots(1, 3), _PANELS.items(), strict=True):
            missing = [run for run, history in trained.items() if not _draw(axes, history, columns, *colours[run])]
            if missing:
                text = "\n".join(textwrap.wrap(f"without {', '.join(missing)}", _NOTE))
                axes.text(1, 1.02, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=7, color=GREY)
            axes.set_title(name)
            axes.set_xlabel("step")
            axes.set_ylabel("loss" if columns[0] else "macro AUC")
            axes.margins(y=0.08)
            _leave_out_spikes(axes, [history[columns[0]] for history in trained.values()] if columns[0] else [])
            axes.set_xlim(left=0)
        chance(figure.axes[2])
        handles = [key(run, color=colours[run][0], marker=colours[run][1], linestyle="-") for run in trained]
        handles.append(key("training, running mean", color=GREY, linestyle="-", linewidth=1.8))
        handles.append(key("validation", color=GREY, linestyle="--", marker="o"))
        handles.append(key("chance", color=GREY, linestyle=":"))
        heading(figure, title, handles)
        figure.subplots_adjust(
            left=16 / _WIDTH, right=1 - 4 / _WIDTH, top=1 - 27 / _HEIGHT, bottom=14 / _HEIGHT, wspace=0.24
        )
        return figure


def _leave_out_spikes(axes: Axes, losses: Sequence[pl.Series]) -> None:
    """Let the axis end where 99.5% of the logged losses lie, so that the first few do not press the rest together."""
    tops = [known.quantile(0.995) for loss in losses if len(known := loss.drop_nulls().drop_nans())]
    highest = max((top for top in tops if top is not None), default=None)
    if highest is not None and highest < axes.get_ylim()[1] / 1.2:
        axes.set_ylim(top=1.15 * highest)


def _draw(axes: Axes, history: pl.DataFrame, columns: tuple[str | None, str | None], colour: str, marker: str) -> bool:
    """Every logged value of training, thin, and their running mean; validated values with markers.

    Returns:
        Whether the run has any.
    """
    train, valid = (_known(history, column) for column in columns)
    if len(train):
        step, value = train.T
        axes.plot(step, value, color=colour, alpha=0.25, linewidth=0.6)
        width = max(1, round(len(value) * _WINDOW))
        mean = np.convolve(value, np.ones(width) / width, mode="valid")
        axes.plot(step[width // 2 :][: len(mean)], mean, color=colour, linewidth=1.8)
    if len(valid):
        axes.plot(
            valid[:, 0], valid[:, 1], color=colour, marker=marker, markersize=6, linestyle="--", linewidth=1.2,
            markeredgecolor="white",
        )  # fmt: skip
    return bool(len(train) or len(valid))


def _known(history: pl.DataFrame, column: str | None) -> np.ndarray:
    """(n, 2) steps and values."""
    if column is None:
        return np.empty((0, 2))
    known = history.select("step", column).drop_nulls().filter(pl.col(column).is_finite())
    return known.to_numpy().astype(np.float64)
