"""Folders of scores and of features."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from kmerl.artifacts import read_json, read_metadata, read_table
from kmerl.evaluation.schemas import AVERAGE, MACRO
from kmerl.views.files import FILES
from kmerl.views.text import cell, frame, grid, size

_MOST, _FEW = 100, 12  # rows of averages, of classes


def scores(path: Path) -> str:
    """Zero-shot scores of a run: averages in every way, tasks, classes, and which of these training knew."""
    table = read_table(path / "scores.parquet")
    average = table.filter(dataset=AVERAGE, metric=MACRO)
    lines = [
        *_head(path, table), "", "averages over the tasks",
        frame(average.select("leads", "way", "names", "value", "low", "high", "n", "classes"), _MOST),
    ]  # fmt: skip
    way, names = table.row(0, named=True)["way"], table.row(0, named=True)["names"]
    asked = table.filter(pl.col("code").is_null(), pl.col("dataset") != AVERAGE, way=way, names=names)
    lines += ["", f"tasks, way {way}, {names}", frame(asked.select("dataset", "leads", "metric", *_VALUE), _MOST)]
    single = table.filter(pl.col("code").is_not_null(), way=way, names=names)
    shown = single.select("dataset", "code", "leads", "value", "low", "high", "positives")
    lines += ["", f"classes, the first of {single.height}", frame(shown, _FEW)]
    seen = read_table(path / "seen.parquet")
    known = seen.filter("seen").height
    lines += ["", f"training knew {known} of {seen.height} classes by name", frame(seen.drop("seen"), _FEW)]
    return "\n".join(lines)


_VALUE = ("value", "low", "high", "n", "classes")


def partial(path: Path) -> str:
    """Scores of a run with some of the leads: averages over the tasks per lead set and scope of normalisation."""
    table, sets = read_table(path / "scores.parquet"), read_table(path / "leads.parquet")
    average = table.filter(dataset=AVERAGE, metric=MACRO).join(
        sets.select("leads", "kind", "count"), on="leads", how="left", maintain_order="left"
    )
    shown = average.select("scope", "kind", "leads", "count", "value", "low", "high", "n")
    return "\n".join([*_head(path, table), "", "averages over the tasks", frame(shown, _MOST)])


def probes(path: Path) -> str:
    """Scores of linear probes: averages over the tasks per lead set and share, then the tasks."""
    table = read_table(path / "scores.parquet")
    macro = table.filter(metric=MACRO)
    columns = ["kind", "leads", "share", "value", "low", "high", "draws", "spread", "n", "classes", "train_records"]
    average, tasks = macro.filter(dataset=AVERAGE), macro.filter(pl.col("dataset") != AVERAGE)
    lines = ["", "averages over the tasks", frame(average.select(columns), _MOST), ""]
    return "\n".join([*_head(path, table), *lines, "tasks", frame(tasks.select("dataset", *columns), _MOST)])


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
