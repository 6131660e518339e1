"""Methods against each other in one glance: averages over all tasks, and paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kmerl.documents import known
from kmerl.evaluation.schemas import AVERAGE, MACRO

_FROM, _TO = 0.4, 1.0  # of the axis on which intervals are drawn; chance is 0.5


@dataclass(frozen=True)
class Drawn:
    """A value with its interval; ``low`` and ``high`` are equal to it where none is known."""

    value: float
    low: float
    high: float

    def place(self, number: float) -> float:
        """Where a number lies on the axis, in percent of its length."""
        return round(100 * (min(max(number, _FROM), _TO) - _FROM) / (_TO - _FROM), 2)

    @property
    def bar(self) -> tuple[float, float, float]:
        """Beginning and width of the interval and place of the value, in percent of the axis."""
        low, high = self.place(self.low), self.place(self.high)
        return low, round(high - low, 2), self.place(self.value)


@dataclass(frozen=True)
class Score:
    """A run's average over all tasks; ``ours``: it is of the method that the others are compared with."""

    run: str
    method: str
    ours: bool
    estimate: Drawn


@dataclass(frozen=True)
class Difference:
    """A run of the first method minus a run of another, the same patients resampled; ``verdict`` says it in words."""

    one: str
    other: str
    estimate: Drawn
    verdict: str


@dataclass(frozen=True)
class Headline:
    """What one lead set shows."""

    leads: str
    scores: Sequence[Score]
    differences: Sequence[Difference]


def headlines(
    scores: pl.DataFrame, pairs: pl.DataFrame, methods: Mapping[str, str], lead_sets: Sequence[str]
) -> list[Headline]:
    """One for each lead set that has scores.

    Args:
        scores: columns run, dataset, leads, metric, value, low, high.
        pairs: of runs; columns kind, run, other_run, dataset, leads, metric, difference, low, high.
        methods: run -> how its method is called; that of the first run is compared with the others.
        lead_sets: in the order shown.
    """
    base = next(iter(methods.values()), None)
    averages = scores.filter(pl.col("run").is_in([*methods]), dataset=AVERAGE, metric=MACRO)
    between = pairs.filter(kind="runs", dataset=AVERAGE, metric=MACRO)
    found = []
    for leads in lead_sets:
        of_runs = [
            Score(row["run"], methods[row["run"]], methods[row["run"]] == base, drawn)
            for row in averages.filter(leads=leads).iter_rows(named=True)
            if (drawn := _drawn(row, "value"))
        ]
        rows = between.filter(leads=leads).iter_rows(named=True)
        if of_runs:
            found.append(Headline(leads, of_runs, [one for row in rows if (one := _difference(row, methods))]))
    return found


def _difference(row: Mapping[str, Any], methods: Mapping[str, str]) -> Difference | None:
    """A run of the first method minus one of another whichever came first; None if the pair is of other methods."""
    one, other = row["run"], row["other_run"]
    drawn, base = _drawn(row, "difference"), next(iter(methods.values()), None)
    if drawn and methods.get(other) == base:
        one, other = other, one
        drawn = Drawn(-drawn.value, -drawn.high, -drawn.low)
    against = methods.get(other)
    if not drawn or methods.get(one) != base or against in (base, None):
        return None
    if drawn.low > 0:
        verdict = f"{base} is higher"
    elif drawn.high < 0:
        verdict = f"{against} is higher"
    else:
        verdict = "no clear difference"
    return Difference(one, other, drawn, verdict)


def _drawn(row: Mapping[str, Any], column: str) -> Drawn | None:
    value, low, high = (known(row[name]) for name in (column, "low", "high"))
    return None if value is None else Drawn(value, value if low is None else low, value if high is None else high)
