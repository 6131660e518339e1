"""What an evaluation wrote of one run: scores, their resampled counterparts, and where they come from.

A run that was pretrained from several seeds is one run here: its scores are the means over them. The resamples are the
same for all seeds, so that the mean of the seeds' resampled values is a resampled value of their mean: its interval is
over patients, for these seeds. The deviation over seeds stands apart from it.
"""

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
from kmerl.evaluation.intervals import interval
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES

QUERY, CONTRASTIVE = "query", "contrastive"
OVER_SEEDS = ("seeds", "deviation")
"""How many seeds a score is the mean of, and its deviation over several."""
_KEYS = [name for name in RESAMPLES.names if name != "values"]


@dataclass(frozen=True)
class RunScores:
    """The scores of one run, or of the probes on one set of features.

    Attributes:
        name: of the run or of the features.
        scores: columns of ``kmerl.evaluation.schemas.SCORES`` without the seed, and :data:`OVER_SEEDS`.
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
    def seeds(self) -> int:
        """From how many it was pretrained."""
        return max(self.scores["seeds"], default=1)

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
    folder: Path,
    runs: Mapping[str, Sequence[str]],
    confidence: float,
    beside: Mapping[str, pa.Schema] | None = None,
    one_scope: bool = False,
) -> list[RunScores]:
    """The scores of runs, one folder for each of their seeds below ``folder``.

    Args:
        folder: of one evaluation.
        runs: name of a run, or of features -> its items, one for each seed.
        confidence: of the intervals.
        beside: name and schema of its other tables, which are taken from the first seed.
        one_scope: whether results are in the scope that stands first, and others are ``elsewhere``.

    Raises:
        UserError: a file is missing, damaged or of other columns, or the seeds of a run were not evaluated alike.
    """
    found = []
    for name, items in runs.items():
        paths = [folder / item / "scores.parquet" for item in items]
        scores = [read_table(path, SCORES) for path in paths]
        resamples = [read_table(path.with_name("resamples.parquet"), RESAMPLES) for path in paths]
        tables = {
            one: read_table(paths[0].with_name(f"{one}.parquet"), schema) for one, schema in (beside or {}).items()
        }
        if any(not one.select(*_KEYS, "code").equals(scores[0].select(*_KEYS, "code")) for one in scores):
            raise UserError(f"{folder}: the seeds of {name} were not evaluated alike; run their stages again")
        mean, resampled = over_seeds(scores, resamples, confidence)
        own = pl.col("scope") == mean["scope"][0] if one_scope else pl.lit(True)
        metadata, elsewhere = read_metadata(paths[0]), mean.filter(~own)
        found.append(RunScores(name, mean.filter(own), resampled.filter(own), metadata, elsewhere, tables))
    return found


def over_seeds(
    scores: Sequence[pl.DataFrame], resamples: Sequence[pl.DataFrame], confidence: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The mean scores of the seeds of a run, and its resamples.

    Of several seeds, only what was resampled has an interval; ``spread`` is the mean one.

    Args:
        scores: of each seed, the same rows in the same order.
        resamples: of each seed, the same.
        confidence: of the intervals.
    """
    if len(scores) == 1:
        alone = (pl.lit(1, pl.Int32).alias("seeds"), pl.lit(None, pl.Float64).alias("deviation"))
        return scores[0].drop("seed").with_columns(alone), resamples[0]
    others = [name for name in SCORES.names if name not in ("seed", "value", "spread")]
    mean = (
        pl.concat(one.with_row_index("row") for one in scores)
        .group_by("row", maintain_order=True)
        .agg(
            pl.col(others).first(),
            pl.col("value", "spread").mean(),
            pl.len().cast(pl.Int32).alias("seeds"),
            pl.col("value").std().alias("deviation"),
        )
        .drop("row")
    )
    values = np.mean([np.stack(one["values"].to_list()) for one in resamples], axis=0)
    drawn = dict(zip(resamples[0].select(_KEYS).iter_rows(), values, strict=True))
    unknown = np.full(1, np.nan)
    ends = [
        interval(row["value"], drawn.get(tuple(row[key] for key in _KEYS), unknown), confidence)
        if row["code"] is None
        else interval(row["value"], unknown, confidence)
        for row in mean.iter_rows(named=True)
    ]
    mean = mean.with_columns(pl.Series(end, [getattr(one, end) for one in ends]) for end in ("low", "high"))
    return mean, resamples[0].with_columns(pl.Series("values", values.astype(np.float32).tolist(), pl.List(pl.Float32)))


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
