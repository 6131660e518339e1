"""What evaluation wrote of one run: scores, their resampled counterparts, and where they come from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.archives.classes import archive_of
from kmerl.artifacts import read_metadata, read_table
from kmerl.errors import UserError
from kmerl.evaluation.probe_schemas import PROBE_RESAMPLES, PROBE_SCORES
from kmerl.evaluation.schemas import AVERAGE, LEAD_SETS, MACRO, RESAMPLES, SCORES, SEEN

QUERY, CONTRASTIVE = "query", "contrastive"


@dataclass(frozen=True)
class RunScores:
    """The scores of one run, or of the probes on one set of features.

    Attributes:
        name: of the run or of the features.
        scores: columns of ``kmerl.evaluation.schemas.SCORES`` or ``kmerl.evaluation.probe_schemas.PROBE_SCORES``.
        resamples: the macro metrics of ``scores`` under each resample of patients; the r-th is the same for all runs.
        metadata: ``archives`` {archive: origin}, ``trained_on`` {archive, origin, ...} or None, and ``method``.
    """

    name: str
    scores: pl.DataFrame
    resamples: pl.DataFrame
    metadata: Mapping[str, Any]

    @property
    def archives(self) -> Mapping[str, str]:
        """Archive -> origin of its records.

        Raises:
            UserError: the scores do not say.
        """
        archives = self.metadata.get("archives")
        if not isinstance(archives, Mapping) or not archives or "trained_on" not in self.metadata:
            raise UserError(f"scores of {self.name} do not say what data they are from; run their stage again")
        return archives

    @property
    def trained_on(self) -> Mapping[str, Any] | None:
        """What the encoder was pretrained on; None if it was not."""
        value: Mapping[str, Any] | None = self.metadata.get("trained_on")
        return value

    @property
    def origin(self) -> str:
        """Of all evaluated records, e.g. ``simulated`` or ``recorded and simulated``."""
        return " and ".join(sorted({*self.archives.values()}))

    @property
    def data(self) -> str:
        """:meth:`data_of` all tasks together."""
        return self.data_of(AVERAGE)

    def data_of(self, dataset: str) -> str:
        """What the numbers of a task come from, e.g. ``recorded (trained on simulated)``.

        Raises:
            UserError: the scores do not say.
        """
        tested = self.origin if dataset == AVERAGE else self.archives.get(archive_of(dataset), self.origin)
        trained = (self.trained_on or {}).get("origin", tested)
        return tested if tested == trained else f"{tested} (trained on {trained})"

    @property
    def way(self) -> str:
        """How this run is asked unless another way is named: by its query network, if it has one."""
        ways = self.scores["way"].unique(maintain_order=True).to_list()
        return QUERY if QUERY in ways else str(ways[0])

    @property
    def names(self) -> str:
        """By which names it is asked unless others are named: by the plain ones, if it was."""
        names = self.scores["names"].unique(maintain_order=True).to_list()
        return "name" if "name" in names else str(names[0])

    @property
    def tasks(self) -> list[str]:
        """In the order evaluated, without the average."""
        return [one for one in self.scores["dataset"].unique(maintain_order=True) if one != AVERAGE]

    @property
    def lead_sets(self) -> list[str]:
        """In the order evaluated."""
        return self.scores["leads"].unique(maintain_order=True).to_list()

    def rows(self, metric: str = MACRO, **where: Any) -> pl.DataFrame:
        """The scores of one metric whose columns have the values ``where``."""
        return self.scores.filter(pl.col("metric") == metric, **where)

    def asked(self, metric: str = MACRO, **where: Any) -> pl.DataFrame:
        """:meth:`rows` asked in this run's own way, by plain names."""
        return self.rows(metric, way=self.way, names=self.names, **where)

    def row(self, metric: str = MACRO, **where: Any) -> dict[str, Any] | None:
        """The one row of the scores with these values, None if there is none."""
        found = self.rows(metric, **where)
        return found.row(0, named=True) if found.height else None

    def resampled(self, metric: str = MACRO, **where: Any) -> NDArray[np.float64] | None:
        """(R,) the metric under every resample of patients, None if there is none with these values."""
        found = self.resamples.filter(pl.col("metric") == metric, **where)
        return found["values"][0].to_numpy().astype(np.float64) if found.height else None


@dataclass(frozen=True)
class ZeroshotScores(RunScores):
    """Zero-shot scores in the scope of normalisation that results are in.

    Attributes:
        seen: the columns of ``kmerl.evaluation.schemas.SEEN``.
        elsewhere: scores in other scopes, of lead sets where these make a difference.
    """

    seen: pl.DataFrame
    elsewhere: pl.DataFrame

    @property
    def scope(self) -> str:
        """What normalisation saw."""
        return str(self.scores["scope"][0])

    @property
    def seen_codes(self) -> set[tuple[str, str]]:
        """(task, code) of the classes that the run was trained to know by their plain names."""
        return {*self.seen.filter("seen").select("task", "code").iter_rows()}


@dataclass(frozen=True)
class PartialScores(RunScores):
    """Scores with some of the leads; ``sets`` has the columns of ``kmerl.evaluation.schemas.LEAD_SETS``."""

    sets: pl.DataFrame

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The lead sets of a kind, ``nested`` or ``single``, as evaluated."""
        return self.sets.filter(pl.col("kind") == kind).to_dicts()

    @property
    def scopes(self) -> list[str]:
        """What normalisation saw, in the order evaluated; one only if all give the same scores."""
        scopes = self.scores["scope"].unique(maintain_order=True).to_list()
        first, *others = [self.scores.filter(scope=scope).drop("scope") for scope in scopes]
        return scopes if any(not first.equals(other) for other in others) else scopes[:1]


def read_zeroshot(folder: Path, names: Sequence[str]) -> list[ZeroshotScores]:
    """The zero-shot scores of the runs called ``names``, one folder each below ``folder``.

    Raises:
        UserError: a file is missing, damaged or of other columns.
    """
    found = []
    for name in names:
        scores, resamples, metadata = _read(folder / name, SCORES, RESAMPLES)
        own = pl.col("scope") == scores["scope"][0]
        seen = read_table(folder / name / "seen.parquet", SEEN)
        found.append(
            ZeroshotScores(name, scores.filter(own), resamples.filter(own), metadata, seen, scores.filter(~own))
        )
    return found


def read_partial(folder: Path, names: Sequence[str]) -> list[PartialScores]:
    """The scores with partial leads, as :func:`read_zeroshot`."""
    return [
        PartialScores(
            name, *_read(folder / name, SCORES, RESAMPLES), read_table(folder / name / "leads.parquet", LEAD_SETS)
        )
        for name in names
    ]


def read_probes(folder: Path, names: Sequence[str]) -> list[RunScores]:
    """The scores of linear probes, one folder per set of features, as :func:`read_zeroshot`."""
    return [RunScores(name, *_read(folder / name, PROBE_SCORES, PROBE_RESAMPLES)) for name in names]


def _read(folder: Path, scores: Any, resamples: Any) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    path = folder / "scores.parquet"
    return read_table(path, scores), read_table(folder / "resamples.parquet", resamples), read_metadata(path)


def defined(value: float | None) -> bool:
    """Whether there is a number."""
    return value is not None and not math.isnan(value)


def with_data(frame: pl.DataFrame, run: RunScores) -> pl.DataFrame:
    """Rows with a column that says what data each one is from."""
    data = {dataset: run.data_of(dataset) for dataset in frame["dataset"].unique(maintain_order=True)}
    column = pl.col("dataset").replace_strict(data, return_dtype=pl.String) if data else pl.lit("")
    return frame.with_columns(column.alias("data"))


def tasks_of(runs: Sequence[RunScores]) -> list[str]:
    """The tasks of all runs, in the order evaluated."""
    return list(dict.fromkeys(task for run in runs for task in run.tasks))


def pretrained(run: RunScores) -> bool:
    """Whether anything was learnt before the probe."""
    return run.trained_on is not None


def baselines_first(runs: Sequence[RunScores]) -> list[RunScores]:
    """The same, features without pretraining first: a reader must see what they reach."""
    return sorted(runs, key=pretrained)


def shares_of(runs: Sequence[RunScores]) -> list[float]:
    """The shares of all features, least first."""
    return sorted({share for run in runs for share in run.scores["share"]})


def other_scopes(run: RunScores) -> list[str]:
    """The sets of features whose normalisation saw other leads than that of the first."""
    scopes: Mapping[str, str] = run.metadata.get("scopes", {})
    return [name for name, scope in scopes.items() if scope != next(iter(scopes.values()))]


def kinds_of(runs: Sequence[RunScores]) -> list[str]:
    """The kinds of probes, in the order asked for."""
    return list(dict.fromkeys(kind for run in runs for kind in run.scores["kind"].unique(maintain_order=True)))


def data_of(runs: Sequence[RunScores]) -> str:
    """What the numbers of all runs come from, for titles."""
    return "; ".join(f"{data} data" for data in dict.fromkeys(run.data for run in runs))
