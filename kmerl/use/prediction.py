"""The answers about one record."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.escapes import one_line, printable
from kmerl.leads import LEADS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 20  # characters of probability 1
_WAYS = {
    "query": "the query network", "contrastive": "the cosine of ECG and name",
    "average": "the mean of query network and cosine", "mixture": "the training queries nearest to each name",
}  # fmt: skip


@dataclass(frozen=True)
class Prediction:
    """Probabilities of classes, what was used for them, and what was doubtful.

    Attributes:
        source: the file, or ``signal``.
        classes: C names as asked.
        probabilities: (C,) aggregated over windows.
        per_window: (W, C).
        windows: (start, stop) of each window used, s.
        leads: leads used, in the order of ``LEADS``.
        seconds, source_fs: length of the record, s, and its sampling rate, Hz.
        fs: of the run, Hz.
        first: (L, S) the first window as the model saw it, before normalisation, mV, rows as ``leads``.
        way, context, aggregate: how it was asked.
        run: which model, in words; says what it was trained on.
        warnings: what is doubtful, one line each.
    """

    source: str
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    per_window: NDArray[np.float32]
    windows: tuple[tuple[float, float], ...]
    leads: tuple[str, ...]
    seconds: float
    source_fs: float
    fs: float
    first: NDArray[np.float32]
    way: str
    context: str
    aggregate: str
    run: str
    warnings: tuple[str, ...]

    @property
    def table(self) -> pl.DataFrame:
        """``class`` and ``probability``, highest first."""
        frame = pl.DataFrame({"class": list(self.classes), "probability": self.probabilities})
        return frame.sort("probability", descending=True, maintain_order=True)

    def __getitem__(self, name: str) -> float:
        """The probability of one class."""
        return float(self.probabilities[self.classes.index(name)])

    def used(self) -> list[str]:
        """What the answers rest on, in words."""
        leads = f"{'lead' if len(self.leads) == 1 else 'leads'} {', '.join(self.leads)}"
        leads = "all 12 leads" if len(self.leads) == len(LEADS) else leads
        rate = f"at {self.source_fs:g} Hz" + ("" if self.source_fs == self.fs else f", resampled to {self.fs:g} Hz")
        lines = [f"{printable(self.source)}: {self.seconds:.4g} s {rate}; {leads}"]
        if len(self.windows) > 1:
            length = self.windows[0][1] - self.windows[0][0]
            lines.append(f"{len(self.windows)} windows of {length:.3g} s, {self.aggregate} of their probabilities")
        return [*lines, f"{self.run}; asked by {_WAYS[self.way]}"]

    def text(self, top: int | None = None) -> str:
        """The highest ``top`` probabilities as a readable table, all by default."""
        table = self.table.head(top) if top else self.table
        shown = [one_line(name) for name in table["class"]]
        width = max(len("class"), *map(len, shown))
        lines = [*self.used(), "", f"{'class':<{width}}  probability"]
        for name, probability in zip(shown, table["probability"], strict=True):
            lines.append(f"{name:<{width}}  {probability:11.3f}  {'#' * round(probability * _BAR)}".rstrip())
        if table.height < len(self.classes):
            lines.append(f"({table.height} of {len(self.classes)} classes)")
        return "\n".join(lines)

    def __str__(self) -> str:
        return "\n".join([self.text(), *(f"warning: {printable(line)}" for line in self.warnings)])

    def plot(self, top: int = 10) -> "Figure":
        """The first window on ECG paper, with the highest probabilities and the warnings."""
        from kmerl.use.plot import figure  # matplotlib takes a second to import

        return figure(self, top)


def aggregate(per_window: NDArray[np.float32], rule: str) -> NDArray[np.float64]:
    """(W, C) -> (C,) by ``mean`` or ``max``."""
    return np.asarray(per_window.astype(np.float64).max(0) if rule == "max" else per_window.mean(0, dtype=np.float64))


def trained_on(archive: str, origin: str, records: int) -> str:
    """What a model learnt from, in words, simulated data above all."""
    if origin == "simulated":
        return f"trained on SIMULATED data ({archive}, {records:,} records)"
    return f"trained on {archive} ({records:,} records)"


def distinct(names: Sequence[str]) -> list[str]:
    """Names without repetition, in their order."""
    return list(dict.fromkeys(names))
