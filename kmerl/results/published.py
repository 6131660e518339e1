"""Figures printed in papers, on recorded ECGs; they stand beside ours in rows of their own."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from kmerl.results.names import lead_count

SIX = "average of six tasks"
_ZEROSHOT, _PROBES = "zeroshot_auc.csv", "linear_probe_auc.csv"


@dataclass(frozen=True)
class Published:
    """One published figure.

    Attributes:
        method: as the paper calls it.
        dataset: a task, or :data:`SIX`.
        leads: how many.
        auc: within 0..1.
        source: paper and table.
        share: of the training split that a linear probe saw; None for zero-shot.
    """

    method: str
    dataset: str
    leads: int
    auc: float
    source: str
    share: float | None = None

    @property
    def lead_set(self) -> str:
        """How the figure's number of leads is written."""
        return lead_count(self.leads)


def zeroshot() -> list[Published]:
    """Zero-shot macro AUC; the papers' tables hold averages over the six tasks only."""
    return [
        Published(r["method"], r["dataset"], int(r["leads"]), float(r["auc"]), r["source"]) for r in _rows(_ZEROSHOT)
    ]


def probes() -> list[Published]:
    """Macro AUC of linear probes per task, and their mean over the six tasks (not printed in the paper)."""
    single = [
        Published(r["method"], r["dataset"], int(r["leads"]), float(r["auc"]), r["source"], float(r["share"]))
        for r in _rows(_PROBES)
    ]
    groups: dict[tuple[str, float | None], list[Published]] = {}
    for one in single:
        groups.setdefault((one.method, one.share), []).append(one)
    return single + [_mean(group) for group in groups.values()]


def _mean(group: Sequence[Published]) -> Published:
    one = group[0]
    mean = float(np.mean([each.auc for each in group]))
    return Published(one.method, SIX, one.leads, mean, f"mean of {one.source}", one.share)


def _rows(name: str) -> list[dict[str, str]]:
    with files("kmerl.results").joinpath("published", name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
