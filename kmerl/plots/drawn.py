"""A figure with what stands under it on the page."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from kmerl.documents import Caption


@dataclass(frozen=True)
class Drawn:
    """A figure and its caption."""

    caption: Caption
    figure: Figure
