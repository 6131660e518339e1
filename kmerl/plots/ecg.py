"""An ECG on its paper, in true proportions: 25 mm are 1 s, 10 mm are 1 mV."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from kmerl.errors import UserError
from kmerl.escapes import one_line
from kmerl.leads import LEADS, canonical
from kmerl.plots.style import GREY, INK, MM_PER_INCH, look, new_figure

SPEED, GAIN = 25.0, 10.0  # mm/s and mm/mV, the standard settings
RHYTHM = "II"
_GRID = {1: ("#f6cfcb", 0.35), 5: ("#e59d96", 0.6)}  # mm -> colour, width in points
_LEFT, _RIGHT, _FOOT, _NAME = 15.0, 5.0, 5.0, 5.0  # mm: calibration pulse, margins, height of a lead's name
_LIMIT = 3.0  # mV; farther excursions are cut so that one artefact does not stretch the sheet
_FINE = 10.0  # points drawn per mm at most; a pen is no finer
_MARK, _MARK_PAPER = "#8a3500", "#ffe3c2"


@dataclass(frozen=True)
class Strip:
    """One lead for some time: ``trace`` is (S,) mV about its median, None where the lead was not recorded."""

    lead: str
    left: float  # mm from the sheet's left edge
    row: int
    trace: NDArray[np.float64] | None
    width: float  # mm


@dataclass(frozen=True)
class Sheet:
    """A laid out ECG.

    Attributes:
        strips: what is drawn.
        baselines: of each row, mm above the sheet's bottom, multiples of 5.
        tops: upper end of each row, mm above the sheet's bottom.
        width, height: mm, multiples of 5.
        fs: samples per second.
    """

    strips: tuple[Strip, ...]
    baselines: tuple[float, ...]
    tops: tuple[float, ...]
    width: float
    height: float
    fs: float


def lay_out(
    signal_mv: NDArray[np.floating],
    leads: Sequence[str],
    fs: float,
    twelve: bool = False,
    full: Sequence[str] = (RHYTHM,),
) -> Sheet:
    """Where each lead goes: one row each for up to three leads, two columns for up to six, else the standard 3 x 4.

    Columns show successive times, as a recorder does; with columns come rhythm strips of the whole time. In the
    3 x 4 layout every lead keeps its standard place.

    Args:
        signal_mv: (L, S) in mV.
        leads: names of the L leads, in any spelling and order.
        fs: samples per second.
        twelve: leave a place for each of the twelve leads, however few there are.
        full: leads of the rhythm strips, where there are columns; the first that is there if none of them is.

    Raises:
        UserError: leads and signals do not match, a lead is unknown or named twice, or ``fs`` is not positive.
    """
    signal = np.atleast_2d(np.asarray(signal_mv, np.float64))
    names = [canonical(lead) for lead in leads]
    if signal.ndim != 2 or len(signal) != len(names) or not names or not signal.size:
        raise UserError(f"ECG of shape {signal.shape} for {len(names)} leads; give one row of samples per lead name")
    if len(set(names)) != len(names):
        raise UserError(f"leads {names} name one lead twice; keep one of them")
    if not fs > 0:
        raise UserError(f"sampling rate {fs} Hz; give samples per second, e.g. 500")
    traces = {name: _centred(one) for name, one in zip(names, signal, strict=True)}
    seconds = signal.shape[1] / fs
    columns = 4 if twelve or len(names) > 6 else 2 if len(names) > 3 else 1
    shown = list(LEADS) if columns == 4 else [lead for lead in LEADS if lead in traces]
    rows = math.ceil(len(shown) / columns)
    part = seconds / columns
    strips = [
        Strip(
            lead, _LEFT + i // rows * part * SPEED, i % rows, _part(traces.get(lead), i // rows, columns), part * SPEED
        )
        for i, lead in enumerate(shown)
    ]
    if columns > 1:
        rhythms = [lead for lead in full if lead in traces] or names[:1]
        strips += [Strip(lead, _LEFT, rows + i, traces[lead], seconds * SPEED) for i, lead in enumerate(rhythms)]
    baselines, tops, height = _rows(strips)
    width = math.ceil((_LEFT + seconds * SPEED + _RIGHT) / 5) * 5.0
    return Sheet(tuple(strips), baselines, tops, width, height, fs)


def draw(
    figure: Figure, sheet: Sheet, left_mm: float, bottom_mm: float, marks: Mapping[str, str] | None = None
) -> Axes:
    """Put a sheet on a figure at a place given in mm; the axes' unit is the mm of paper.

    Args:
        figure: to draw on.
        sheet: what to draw.
        left_mm: of the sheet's left edge.
        bottom_mm: of its lower edge.
        marks: lead -> a few words beside its name (or none); such a lead is drawn on paper of another colour.
    """
    width, height = (size * MM_PER_INCH for size in figure.get_size_inches())
    axes = figure.add_axes((left_mm / width, bottom_mm / height, sheet.width / width, sheet.height / height))
    axes.set_xlim(0, sheet.width)
    axes.set_ylim(0, sheet.height)
    axes.set_axis_off()
    for step, (colour, line) in _GRID.items():
        axes.add_patch(_grid(sheet, step, colour, line))
    for baseline in sheet.baselines:
        pulse = [(3, 0), (5, 0), (5, GAIN), (10, GAIN), (10, 0), (12, 0)]  # 1 mV for 0.2 s
        axes.plot([x for x, _ in pulse], [baseline + y for _, y in pulse], color=INK, linewidth=0.8)
    for strip in sheet.strips:
        _draw_strip(axes, strip, sheet, (marks or {}).get(strip.lead))
    axes.text(_LEFT, 1.2, f"{SPEED:g} mm/s   {GAIN:g} mm/mV", fontsize=8, color=GREY)
    return axes


def ecg_paper(
    signal_mv: NDArray[np.floating],
    leads: Sequence[str],
    fs: float,
    title: str = "",
    marks: Mapping[str, str] | None = None,
    twelve: bool = False,
    full: Sequence[str] = (RHYTHM,),
) -> Figure:
    """An ECG of any leads as a figure of its own, of the paper's true size.

    Args:
        signal_mv: (L, S) in mV, or (S,) for one lead. Each trace is drawn about its median.
        leads: names of the L leads, in any spelling and order.
        fs: samples per second.
        title: printed above the paper.
        marks: as in :func:`draw`.
        twelve: as in :func:`lay_out`.
        full: as in :func:`lay_out`.

    Raises:
        UserError: as :func:`lay_out`.

    Example:
        ``ecg_paper(signal, ["I"], 500).savefig("ecg.pdf")``; printed at 100% it can be measured with a ruler.
    """
    with look():
        sheet = lay_out(signal_mv, leads, fs, twelve, full)
        head = 8.0 if title else 0.0
        figure = new_figure(sheet.width, sheet.height + head)
        draw(figure, sheet, 0, 0, marks)
        if title:
            place = 3 / sheet.width, 1 - 5.5 / (sheet.height + head)
            figure.text(*place, one_line(title), fontsize=11, weight="bold", parse_math=False)
    return figure


def _centred(trace: NDArray[np.float64]) -> NDArray[np.float64]:
    """About its median, NaN where nothing was recorded."""
    known = np.isfinite(trace)
    return trace - np.median(trace[known]) if known.any() else trace


def _part(trace: NDArray[np.float64] | None, column: int, columns: int) -> NDArray[np.float64] | None:
    if trace is None:
        return None
    edges = [round(len(trace) * i / columns) for i in (column, column + 1)]
    return trace[edges[0] : edges[1]]


def _rows(strips: Sequence[Strip]) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Baselines, upper ends and the sheet's height: every row as high as its traces need, so that none overlap."""
    up: dict[int, float] = {}
    down: dict[int, float] = {}
    for strip in strips:
        known = np.zeros(1) if strip.trace is None else strip.trace[np.isfinite(strip.trace)]
        high, low = (float(f(known, initial=0)) * GAIN for f in (np.max, np.min))
        up[strip.row] = max(up.get(strip.row, GAIN), min(high, _LIMIT * GAIN))
        down[strip.row] = max(down.get(strip.row, 3.0), min(-low, _LIMIT * GAIN))
    baselines: dict[int, float] = {}
    tops: dict[int, float] = {}
    bottom = _FOOT
    for row in sorted(up, reverse=True):
        baselines[row] = math.ceil((bottom + down[row] + 0.5) / 5) * 5.0
        bottom = baselines[row] + up[row] + _NAME
        tops[row] = bottom
    order = sorted(up)
    return tuple(baselines[r] for r in order), tuple(tops[r] for r in order), math.ceil(bottom / 5) * 5.0


def _draw_strip(axes: Axes, strip: Strip, sheet: Sheet, mark: str | None) -> None:
    baseline, place = sheet.baselines[strip.row], (strip.left + 1, sheet.tops[strip.row] - 3.6)
    axes.text(*place, strip.lead, fontsize=10, weight="bold")
    if mark is not None:
        _mark(axes, strip, sheet, mark)
    if strip.trace is None:
        axes.text(strip.left + 8, baseline, "not recorded" if mark is None else "not used", fontsize=9, color=GREY)
        return
    time, value = _thinned(strip.trace, sheet.fs)
    y = baseline + np.clip(value, -_LIMIT, _LIMIT) * GAIN
    axes.plot(strip.left + time * SPEED, y, color=INK, linewidth=0.7, solid_joinstyle="round")
    axes.plot([strip.left] * 2, [baseline - 2, baseline + 2], color=INK, linewidth=0.7)


def _mark(axes: Axes, strip: Strip, sheet: Sheet, text: str) -> None:
    """Colour the paper under a strip, and write some words beside its lead's name."""
    low = sheet.tops[strip.row + 1] if strip.row + 1 < len(sheet.tops) else _FOOT
    size = strip.width, sheet.tops[strip.row] - low
    axes.add_patch(Rectangle((strip.left, low), *size, color=_MARK_PAPER, linewidth=0, zorder=0.5))
    axes.text(strip.left + 10, sheet.tops[strip.row] - 3.6, text, fontsize=8, color=_MARK, parse_math=False)


def _thinned(trace: NDArray[np.float64], fs: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in s and values; of every few samples the least and the greatest, so that no peak is lost."""
    few = 2 * int(fs / (SPEED * _FINE))
    time = np.arange(len(trace)) / fs
    if few < 3:
        return time, trace
    whole = len(trace) // few * few
    blocks = np.nan_to_num(trace[:whole]).reshape(-1, few)
    ends = np.sort(np.stack([blocks.argmin(1), blocks.argmax(1)], 1), 1) + np.arange(0, whole, few)[:, None]
    kept = np.unique(np.concatenate([ends.ravel(), np.arange(whole, len(trace))]))
    return time[kept], trace[kept]


def _grid(sheet: Sheet, step: int, colour: str, line: float) -> PathPatch:
    """All lines of one spacing as one path, which keeps an SVG small."""
    points: list[tuple[float, float]] = []
    for x in np.arange(0, sheet.width + step / 2, step):
        points += [(x, 0), (x, sheet.height)]
    for y in np.arange(0, sheet.height + step / 2, step):
        points += [(0, y), (sheet.width, y)]
    codes = [Outline.MOVETO, Outline.LINETO] * (len(points) // 2)
    return PathPatch(Outline(points, codes), edgecolor=colour, facecolor="none", linewidth=line, snap=False)
