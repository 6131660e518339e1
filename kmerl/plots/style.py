"""One look for all figures, and files that are the same bytes for the same figure."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

MM_PER_INCH = 25.4
INK, GREY = "#1a1a1a", "#6b6b6b"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Told apart by colour-blind eyes (Okabe and Ito, 2008); blue and vermilion first, as they also differ in grey."""
MARKERS = ("o", "s", "^", "D", "v", "P")

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


def save(figure: Figure, stem: Path, dpi: int) -> None:
    """Write ``stem.png`` and ``stem.svg`` at the figure's own size, without dates and versions."""
    with look():
        pixels = BytesIO()
        figure.savefig(pixels, format="png", dpi=dpi)
        with Image.open(pixels) as image:
            few = image.convert("RGB").quantize(_PNG_COLOURS, dither=Image.Dither.NONE)
            few.save(stem.with_name(stem.name + ".png"), optimize=True, dpi=(dpi, dpi))
        figure.savefig(stem.with_name(stem.name + ".svg"), metadata={"Date": None, "Creator": None})
