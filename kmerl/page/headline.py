"""Methods against each other in one glance: averages over all tasks, and paired differences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kmerl.errors import UserError
from kmerl.page.results import read_csv

_FROM, _TO = 0.4, 1.0  # of the axis on which intervals are drawn; chance is 0.5
_AVERAGE, _MACRO = "average", "macro_auc"


@dataclass(frozen=True)
class Estimate:
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
    estimate: Estimate


@dataclass(frozen=True)
class Difference:
    """A run of the first method minus a run of another, the same patients resampled; ``verdict`` says it in words."""

    one: str
    other: str
    estimate: Estimate
    verdict: str


@dataclass(frozen=True)
class Headline:
    """What one lead set shows."""

    leads: str
    scores: Sequence[Score]
    differences: Sequence[Difference]


def headlines(tables: Path, methods: Mapping[str, str], lead_sets: Sequence[str]) -> list[Headline]:
    """One for each lead set that has scores; none where the tables of scores are missing.

    Args:
        tables: folder with zeroshot_auc.csv and comparisons_auc.csv.
        methods: run -> how its method is called; that of the first run is compared with the others.
        lead_sets: in the order shown.

    Raises:
        UserError: a table has other columns than expected.
    """
    scores = [row for row in _rows(tables / "zeroshot_auc.csv") if row["run"] in methods and _averaged(row)]
    pairs = [row for row in _rows(tables / "comparisons_auc.csv") if row["kind"] == "runs" and _averaged(row)]
    base = next(iter(methods.values()), None)
    found = []
    for leads in lead_sets:
        of_runs = [
            Score(row["run"], methods[row["run"]], methods[row["run"]] == base, estimate)
            for row in scores
            if row["leads"] == leads and (estimate := _estimate(row, "value"))
        ]
        between = [one for row in pairs if row["leads"] == leads and (one := _difference(row, methods))]
        if of_runs:
            found.append(Headline(leads, of_runs, between))
    return found


def _difference(row: Mapping[str, str], methods: Mapping[str, str]) -> Difference | None:
    """A run of the first method minus one of another whichever came first; None if the pair is of other methods."""
    one, other = row["run"], row["other_run"]
    estimate, base = _estimate(row, "difference"), next(iter(methods.values()), None)
    if estimate and methods.get(other) == base:
        one, other = other, one
        estimate = Estimate(-estimate.value, -estimate.high, -estimate.low)
    against = methods.get(other)
    if not estimate or methods.get(one) != base or against in (base, None):
        return None
    if estimate.low > 0:
        verdict = f"{base} is higher"
    elif estimate.high < 0:
        verdict = f"{against} is higher"
    else:
        verdict = "no clear difference"
    return Difference(one, other, estimate, verdict)


def _averaged(row: Mapping[str, str]) -> bool:
    return row["dataset"] == _AVERAGE and row["metric"] == _MACRO


def _estimate(row: Mapping[str, str], column: str) -> Estimate | None:
    if not row[column]:
        return None
    value = float(row[column])
    return Estimate(value, float(row["low"] or value), float(row["high"] or value))


_COLUMNS = {
    "zeroshot_auc.csv": {"run", "dataset", "leads", "metric", "value", "low", "high"},
    "comparisons_auc.csv": {"kind", "run", "other_run", "dataset", "leads", "metric", "difference", "low", "high"},
}


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table as dictionaries; none if there is no such file."""
    if not path.exists():
        return
    header, rows = read_csv(path)
    missing = _COLUMNS[path.name] - {*header}
    if missing:
        raise UserError(f"{path}: no column {min(missing)!r}; run the stage tables again")
    yield from (dict(zip(header, row, strict=True)) for row in rows)
