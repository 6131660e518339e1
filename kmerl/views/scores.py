"""Folders of scores and of features."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from kmerl.artifacts import read_json, read_metadata, read_table
from kmerl.evaluation.schemas import AVERAGE, CONDITION, MACRO, SCORES
from kmerl.views.files import FILES
from kmerl.views.text import cell, frame, grid, size

_MOST, _FEW = 100, 24  # rows of averages, of classes
_ALL = 20  # columns side by side


def scores(path: Path) -> str:
    """Scores of any evaluation: averages over the tasks under every condition, tasks, classes, and its other tables."""
    table = read_table(path / "scores.parquet", SCORES)
    told = [
        name for name in (*CONDITION, "draws", "spread", "train_records") if table[name].null_count() < table.height
    ]
    macro = table.filter(metric=MACRO)
    average, tasks = macro.filter(dataset=AVERAGE), macro.filter(pl.col("dataset") != AVERAGE)
    lines = [*_head(path, table), "", "averages over the tasks", frame(average.select(*told, *_VALUE), _MOST, _ALL)]
    lines += ["", "tasks", frame(tasks.select("dataset", *told, *_VALUE), _MOST, _ALL)]
    single = table.filter(pl.col("code").is_not_null())
    if single.height:
        shown = single.select("dataset", "code", "leads", "value", "low", "high", "positives")
        lines += ["", f"classes, the first of {single.height}", frame(shown, _FEW)]
    for file in sorted(path.glob("*.parquet")):
        if file.name not in ("scores.parquet", "resamples.parquet", "predictions.parquet"):
            other = read_table(file)
            true = [
                f"; {name}: {other[name].sum()} of {other.height}"
                for name in other.columns
                if other[name].dtype == pl.Boolean
            ]
            lines += ["", f"--- {file.name}{''.join(true)}", frame(other, _FEW)]
    return "\n".join(lines)


_VALUE = ("value", "low", "high", "n", "classes")


def _head(path: Path, table: pl.DataFrame) -> list[str]:
    metadata = read_metadata(path / "scores.parquet")
    names = ", ".join(table["run"].unique(maintain_order=True))
    return [f"scores of {names}", *[f"  {cell(key)}: {cell(value)}" for key, value in metadata.items()]]


def features(path: Path) -> str:
    """What embedded which archives, and the arrays."""
    value = read_json(path / "features.json")
    arrays: Sequence[Path] = sorted(path.glob("*.npy"))
    lines = [f"features, {len(arrays)} arrays, {size(path)}"]
    lines += [f"  {cell(key)}: {cell(one)}" for key, one in value.items() if key not in ("archives", "leads")]
    leads = [(name, len(names), " ".join(names)) for name, names in value["leads"].items()]
    lines += ["", grid(["lead set", "leads", "names"], leads)]
    lines += ["", grid(["archive", "records", "origin"], _archives(value["archives"]))]
    for array in arrays:
        lines += ["", f"--- {array.name}", FILES[".npy"](array)]
    return "\n".join(lines)


def _archives(archives: dict[str, dict[str, object]]) -> list[tuple[object, ...]]:
    return [(name, one.get("records"), one.get("origin")) for name, one in sorted(archives.items())]
