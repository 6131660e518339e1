"""What an evaluation wrote of one run: scores, their resampled counterparts, and where they come from."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from kmerl.archives.classes import archive_of
from kmerl.artifacts import read_metadata, read_table
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES

QUERY, CONTRASTIVE = "query", "contrastive"


@dataclass(frozen=True)
class RunScores:
    """The scores of one run, or of the probes on one set of features.

    Attributes:
        name: of the run or of the features.
        scores: columns of ``kmerl.evaluation.schemas.SCORES``.
        resamples: the macro metrics of ``scores`` under each resample of patients; the r-th is the same for all runs.
        metadata: ``archives`` {archive: origin}, ``trained_on`` {archive, origin, ...} or None, and ``method``.
        elsewhere: scores in other scopes of normalisation, where results are in one.
        tables: what else the evaluation wrote, by name.
    """

    name: str
    scores: pl.DataFrame
    resamples: pl.DataFrame
    metadata: Mapping[str, Any]
    elsewhere: pl.DataFrame
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)

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
    def scope(self) -> str:
        """What normalisation saw; of several scopes the first."""
        return str(self.scores["scope"][0])

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


def read_runs(
    folder: Path, names: Sequence[str], beside: Mapping[str, pa.Schema] | None = None, one_scope: bool = False
) -> list[RunScores]:
    """The scores of the runs called ``names``, one folder each below ``folder``.

    Args:
        folder: of one evaluation.
        names: of runs or features.
        beside: name and schema of its other tables.
        one_scope: whether results are in the scope that stands first, and others are ``elsewhere``.

    Raises:
        UserError: a file is missing, damaged or of other columns.
    """
    found = []
    for name in names:
        path = folder / name / "scores.parquet"
        scores, resamples = read_table(path, SCORES), read_table(path.with_name("resamples.parquet"), RESAMPLES)
        tables = {one: read_table(folder / name / f"{one}.parquet", schema) for one, schema in (beside or {}).items()}
        own = pl.col("scope") == scores["scope"][0] if one_scope else pl.lit(True)
        metadata, elsewhere = read_metadata(path), scores.filter(~own)
        found.append(RunScores(name, scores.filter(own), resamples.filter(own), metadata, elsewhere, tables))
    return found


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


def data_of(runs: Sequence[RunScores]) -> str:
    """What the numbers of all runs come from, for titles."""
    return "; ".join(f"{data} data" for data in dict.fromkeys(run.data for run in runs))
