"""Loss and validation curves of pretraining runs, and how strongly each loss pulls at the encoder."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from kmerl.history import curve
from kmerl.plots.style import GREY, chance, colours_of, heading, key, look, new_figure

CAPTION = (
    "The losses of each run over its steps, and what its method is validated by; for methods that can be asked, the "
    "AUC of the training queries on validation records. Last, the norm of each loss's gradient, with its weight, at "
    "the encoder, of one batch at every validation: which loss teaches it."
)
_GRADIENT = "gradient_"
_TERMS = ("-", "--", ":", "-.")  # lines of the losses of one run
_WINDOW = 0.04  # of a run's steps, averaged for the bold line
_WIDTH, _TOP, _ROW, _BETWEEN, _BOTTOM = 270.0, 27.0, 59.0, 24.0, 14.0  # mm
_COLUMNS = 3
_NOTE = 24  # characters of a line beside a panel's title


def training_figure(
    histories: Mapping[str, pl.DataFrame],
    curves: Mapping[str, str],
    title: str,
    colours: Mapping[str, tuple[str, str]] | None = None,
) -> Figure:
    """A panel for each loss and each value of validation over steps, and one of all gradients; one colour per run.

    Args:
        histories: run -> rows of ``kmerl.history.HISTORY``; steps may be logged at any interval. Runs without
            a step are left out.
        curves: names of values of their methods -> titles; what no run has gets no panel.
        title: the figure's title.
        colours: run -> colour and marker; drawn from the runs' order if not given.
    """
    with look():
        colours = colours or colours_of(histories)
        trained = {run: history for run, history in histories.items() if history.height}
        logged = {name for history in trained.values() for name in history["name"].unique()}
        measured = [name for name in curves if logged & {name, f"valid_{name}"}]
        panels = {name: curves[name] for name in sorted(measured, key=lambda name: name not in logged)}  # losses first
        pulls = [name for name in curves if f"{_GRADIENT}{name}" in logged]
        figure, grid = _grid(len(panels) + bool(pulls))
        for axes, (name, heads) in zip(grid, panels.items(), strict=False):
            missing = [run for run, history in trained.items() if not _draw(axes, history, name, *colours[run])]
            if missing:
                text = "\n".join(textwrap.wrap(f"without {', '.join(missing)}", _NOTE))
                axes.text(1, 1.02, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=7, color=GREY)
            axes.set_title(heads)
            axes.set_xlabel("step")
            axes.margins(y=0.08)
            _leave_out_spikes(axes, [curve(history, name)["value"] for history in trained.values()])
            axes.set_xlim(left=0)
            if name == "auc":
                chance(axes)
        if pulls:
            _draw_gradients(grid[-1], trained, {name: curves[name] for name in pulls}, colours)
        handles = [key(run, color=colours[run][0], marker=colours[run][1], linestyle="-") for run in trained]
        handles.append(key("training, running mean", color=GREY, linestyle="-", linewidth=1.8))
        handles.append(key("validation", color=GREY, linestyle="--", marker="o"))
        handles.append(key("chance", color=GREY, linestyle=":"))
        heading(figure, title, handles)
        return figure


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with places for so many panels, row by row."""
    rows = max(1, math.ceil(count / _COLUMNS))
    height = _TOP + rows * (_ROW + _BETWEEN) - _BETWEEN + _BOTTOM
    figure = new_figure(_WIDTH, height)
    panels = list(figure.subplots(rows, min(max(1, count), _COLUMNS), squeeze=False).flat)
    for axes in panels[count:]:
        axes.remove()
    figure.subplots_adjust(
        left=16 / _WIDTH, right=1 - 4 / _WIDTH, top=1 - _TOP / height, bottom=_BOTTOM / height, wspace=0.24,
        hspace=_BETWEEN / _ROW,
    )  # fmt: skip
    return figure, panels[:count]


def _leave_out_spikes(axes: Axes, losses: Sequence[pl.Series]) -> None:
    """Let the axis end where 99.5% of the logged losses lie, so that the first few do not press the rest together."""
    tops = [known.quantile(0.995) for loss in losses if len(known := loss.drop_nulls().drop_nans())]
    highest = max((top for top in tops if top is not None), default=None)
    if highest is not None and highest < axes.get_ylim()[1] / 1.2:
        axes.set_ylim(top=1.15 * highest)


def _draw(axes: Axes, history: pl.DataFrame, name: str, colour: str, marker: str) -> bool:
    """Every logged value of training, thin, and their running mean; validated values with markers.

    Returns:
        Whether the run has any.
    """
    train, valid = _known(history, name), _known(history, f"valid_{name}")
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


def _draw_gradients(
    axes: Axes,
    trained: Mapping[str, pl.DataFrame],
    terms: Mapping[str, str],
    colours: Mapping[str, tuple[str, str]],
) -> None:
    """Norms of gradients at the encoder, a line for each loss of each run."""
    lines = {name: _TERMS[i % len(_TERMS)] for i, name in enumerate(terms)}
    for run, history in trained.items():
        colour, marker = colours[run]
        for name, line in lines.items():
            step, norm = _known(history, f"{_GRADIENT}{name}").T
            axes.plot(step, norm, color=colour, marker=marker, markersize=4, linestyle=line, linewidth=1.2)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))  # a power is a formula, and none is read
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Gradient at encoder")
    axes.set_xlabel("step")
    axes.margins(y=0.3)
    axes.set_xlim(left=0)
    axes.legend(
        handles=[key(title, color=GREY, linestyle=lines[name]) for name, title in terms.items()],
        loc="best", fontsize=7, handlelength=2.4,
    )  # fmt: skip


def _known(history: pl.DataFrame, name: str) -> np.ndarray:
    """(n, 2) steps and values."""
    known = curve(history, name).drop_nulls().filter(pl.col("value").is_finite())
    return known.to_numpy().astype(np.float64)
