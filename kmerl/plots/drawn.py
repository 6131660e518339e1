"""A figure with what stands under it on the page."""

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        name: of its files.
        section: id of the page's section that it stands in.
        title, caption: plain text.
        figure: itself.
        wide: whether it needs more than a phone's width to be readable.
    """

    name: str
    section: str
    title: str
    caption: str
    figure: Figure
    wide: bool = False

    def told(self) -> dict[str, object]:
        """All but the figure."""
        return {name: value for name, value in vars(self).items() if name != "figure"}
