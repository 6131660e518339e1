"""One look for all figures, and files that are the same bytes for the same figure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from kmerl.escapes import one_line

MM_PER_INCH = 25.4
INK, GREY, PALE = "#1a1a1a", "#6b6b6b", "#f1f1f1"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Told apart by colour-blind eyes (Okabe and Ito, 2008); blue and vermilion first, as they also differ in grey."""
MARKERS = ("o", "s", "^", "D", "v", "P")

_NO_XML = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")  # characters that XML cannot hold
_PNG_COLOURS = 255  # a third of the size, and no eye sees it

_LOOK: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is there on every machine
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "text.parse_math": False,  # a name may hold dollars
    "svg.hashsalt": "kmerl",  # else ids in the SVG are random
    "svg.fonttype": "path",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,  # of a pixel, or of a point in an SVG: a tenth of a mm
}


@contextmanager
def look() -> Iterator[None]:
    """The look of the figures made and saved within, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        yield


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """An empty white figure of exactly this size, drawn without a display."""
    figure = Figure(figsize=(width_mm / MM_PER_INCH, height_mm / MM_PER_INCH), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def colours_of(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for every run, the same in all figures that are given the same names."""
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(dict.fromkeys(names))}


def heading(figure: Figure, text: str, handles: Sequence[Artist] = (), columns: int = 0) -> None:
    """The figure's title at its upper left, and below it one legend for all panels, in rows of ``columns``."""
    height = figure.get_size_inches()[1] * MM_PER_INCH
    width = figure.get_size_inches()[0] * MM_PER_INCH
    figure.text(3 / width, 1 - 7 / height, one_line(text), fontsize=13, weight="bold")
    if handles:
        figure.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(1.5 / width, 1 - 8.5 / height), borderaxespad=0.2,
            ncols=columns or len(handles), handletextpad=0.5, columnspacing=1.6, fontsize=9,
        )  # fmt: skip


def key(label: str, **look_of: Any) -> Line2D:
    """An entry of a legend."""
    given: dict[str, Any] = {"linestyle": "none", "markersize": 7} | look_of
    return Line2D([], [], label=one_line(label), **given)


def chance(axes: Axes, horizontal: bool = True) -> None:
    """The line of a classifier that knows nothing, AUC 0.5."""
    (axes.axhline if horizontal else axes.axvline)(0.5, color=GREY, linestyle=":", linewidth=1, zorder=0.5)


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Places for labels near ``values``, in their order, at least ``gap`` apart; the uppermost stays."""
    places = list(values)
    order = sorted(range(len(places)), key=lambda i: -values[i])
    for above, below in pairwise(order):
        places[below] = min(places[below], places[above] - gap)
    return places


def save(figure: Figure, stem: Path, dpi: int) -> None:
    """Write ``stem.png`` and ``stem.svg``; see :func:`png` and :func:`svg`."""
    stem.with_name(stem.name + ".png").write_bytes(png(figure, dpi))
    stem.with_name(stem.name + ".svg").write_bytes(svg(figure))


def png(figure: Figure, dpi: int, colours: int = _PNG_COLOURS) -> bytes:
    """A figure at its own size as PNG of at most so many colours, without dates and versions."""
    pixels, small = BytesIO(), BytesIO()
    with look():
        figure.savefig(pixels, format="png", dpi=dpi)
    with Image.open(pixels) as image:
        few = image.convert("RGB").quantize(colours, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True, dpi=(dpi, dpi))
    return small.getvalue()


def svg(figure: Figure) -> bytes:
    """A figure as SVG, without dates and versions."""
    text = BytesIO()
    with look():
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}".encode(), text.getvalue())
