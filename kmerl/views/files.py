"""Files: tables, arrays, JSON, weights, pictures, raw records."""

import io
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from safetensors import safe_open

from kmerl.archives.recordings import read_file
from kmerl.archives.wfdb_format import MISSING, parse_header
from kmerl.archives.wfdb_reader import header_text
from kmerl.artifacts import read_json, read_jsonl, read_metadata, read_table
from kmerl.errors import UserError
from kmerl.escapes import one_line
from kmerl.regular import assert_regular, content_of, open_regular
from kmerl.views.text import DISTINCT, cell, counts, frame, grid, size, width
from kmerl.weights import count, shapes_of

MERGED = "merged.json"

_LARGEST = 1 << 31  # bytes of a table or page that is shown
_LONGEST_LINE = 1 << 20  # characters of a line
_LINES, _CUT = 200, 10_000  # lines of a text that are shown, and characters of each


def _counted(table: pl.DataFrame) -> Iterator[tuple[str, pl.Series]]:
    """Columns of few different values, lists taken apart."""
    for name in table.columns:
        column = table[name]
        if column.dtype == pl.List(pl.String):
            column = column.explode().drop_nulls()
        if column.null_count() == len(column) or (
            column.dtype not in (pl.String, pl.Boolean) and not column.dtype.is_integer()
        ):
            continue
        distinct = column.n_unique()
        if name == "reason" or (distinct <= DISTINCT and 2 * distinct <= len(column)):
            yield name, column


def parquet(path: Path) -> str:
    """Metadata, columns, first rows, and counts of columns with few different values."""
    schema = pq.read_schema(path)
    table = read_table(path)
    lines = [f"table, {table.height:,} rows, {size(path)}"]
    lines += [f"  {cell(key)}: {cell(value)}" for key, value in read_metadata(path).items()]
    lines += ["", "columns", grid(["name", "type"], [(field.name, str(field.type)) for field in schema])]
    lines += ["", "first rows", frame(table)]
    counted = [f"  {cell(name)}: {counts(column)}" for name, column in _counted(table)]
    return "\n".join([*lines, "", "values", *counted] if counted else lines)


def npy(path: Path) -> str:
    """Shape, type, range and the first values of an array."""
    assert_regular(path)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    lines = [f"array {array.shape} {array.dtype}, {size(path)}"]
    if array.size and np.issubdtype(array.dtype, np.number):
        lines.append(f"  minimum {array.min():.5g}, mean {array.mean(dtype=np.float64):.5g}, maximum {array.max():.5g}")
        lines.append(f"  first values {cell(array.reshape(-1)[:4].tolist())}")
    return "\n".join(lines)


def tree(groups: Mapping[str, Sequence[str]]) -> str:
    """Names with their members below them; a member that is a group itself is marked."""
    lines = []
    for name in sorted(groups):
        lines.append(f"  {one_line(name)} ({len(groups[name])})")
        lines += [f"    {one_line(member)}{'  +' if member in groups else ''}" for member in sorted(groups[name])]
    return "\n".join(lines)


def json_file(path: Path) -> str:
    """A vocabulary or superclasses as a tree, anything else indented, long lists and texts cut."""
    value = read_json(path)
    if isinstance(value, dict) and "queries" in value and isinstance(value.get("superclasses"), dict):
        groups = value["superclasses"]
        grouped = {member for members in groups.values() for member in members} | set(groups)
        alone = [name for name in value["queries"] if name not in grouped]
        head = (
            f"vocabulary {value.get('hash')}: {len(value['queries'])} queries, {len(groups)} superclasses (+: nested)"
        )
        rest = [f"  in no superclass ({len(alone)})", *[f"    {one_line(name)}" for name in alone]]
        return "\n".join([head, tree(groups), *rest])
    if path.name == MERGED and isinstance(value, dict):
        names: dict[str, list[str]] = {}
        for name, canonical in value.items():
            names.setdefault(str(canonical), []).append(name)
        return f"{len(value)} names merged into {len(names)}\n{tree(names)}"
    if _is_groups(value):
        return f"{len(value)} names with their members (+: nested)\n{tree(value)}"
    return f"JSON, {size(path)}\n{indented(cut(value))}"


def _is_groups(value: Any) -> bool:
    """Whether a value maps names to lists of names."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(v, list) and all(isinstance(one, str) for one in v) for v in value.values())
    )


def cut(value: Any, longest: int = 30) -> Any:
    """A JSON value with long parts left out, saying how many."""
    if isinstance(value, dict):
        kept = {key: cut(one) for key, one in islice(value.items(), longest)}
        return kept if len(value) <= longest else {**kept, "…": f"{len(value) - longest} more"}
    if isinstance(value, list):
        kept_items = [cut(one) for one in value[:longest]]
        return kept_items if len(value) <= longest else [*kept_items, f"… {len(value) - longest} more"]
    return value


def indented(value: Any) -> str:
    """JSON in lines of which each one fits."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(line if len(line) <= width() else line[: width() - 1] + "…" for line in text.splitlines())


def jsonl(path: Path) -> str:
    """The number of lines and the first two."""
    first = list(islice(read_jsonl(path), 2))
    total = sum(1 for _ in read_jsonl(path))
    return "\n".join([f"{total:,} JSON lines, {size(path)}", *[indented(cut(row)) for row in first]])


def read_csv_file(path: Path) -> pl.DataFrame:
    """A CSV file as text.

    Raises:
        UserError: it is too large to be shown.
    """
    with open_regular(path) as file:
        size, first = os.fstat(file.fileno()).st_size, file.readline(_LONGEST_LINE + 1)
    if size > _LARGEST or len(first) > _LONGEST_LINE:
        raise UserError(f"{path}: {size:,} bytes, or a line too long to be shown; look at a part of it")
    return pl.read_csv(path, infer_schema=False)


def csv_file(path: Path) -> str:
    """Rows, first rows and counts of a CSV file."""
    table = read_csv_file(path)
    counted = [f"  {cell(name)}: {counts(column)}" for name, column in _counted(table)]
    lines = [f"CSV, {table.height:,} rows, {size(path)}", frame(table)]
    return "\n".join([*lines, "", "values", *counted] if counted else lines)


def safetensors(path: Path) -> str:
    """Every tensor's shape, and how many weights there are."""
    shapes = shapes_of(path)  # whose header is no longer than a model's
    with safe_open(path, framework="numpy") as file:
        rows = [(name, str(shapes[name]), file.get_slice(name).get_dtype()) for name in sorted(shapes)]
    total = count(shapes)
    return f"{len(rows)} tensors, {total:,} weights, {size(path)}\n{grid(['name', 'shape', 'type'], rows)}"


def png(path: Path) -> str:
    """Width and height of a picture."""
    with open_regular(path) as file:
        head = file.read(24)
    if len(head) < 24 or head[:8] != b"\x89PNG\r\n\x1a\n":
        raise UserError(f"{path}: not a PNG file; run its stage again")
    across, down = struct.unpack(">II", head[16:24])
    return f"picture, {across} x {down} pixels, {size(path)}"


def text_file(path: Path) -> str:
    """A text as it is, its first 200 lines."""
    lines: list[str] = []
    more = 0
    with io.TextIOWrapper(open_regular(path), "utf-8") as file:
        while line := file.readline(_LONGEST_LINE):
            if len(lines) < _LINES:
                lines.append(line.rstrip("\n")[:_CUT])
            else:
                more += 1
    return "\n".join([*lines, *([f"… {more} more lines"] if more else [])])


def svg(path: Path) -> str:
    """The size of a drawing."""
    return f"drawing, {size(path)}"


def html(path: Path) -> str:
    """A page's title, and how many pictures and tables it holds."""
    text = content_of(path, _LARGEST).decode("utf-8")
    found = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    name = f" {cell(found[1])!r}," if found else ""
    return f"page,{name} {len(re.findall('<img|<svg', text))} pictures, {text.count('<table')} tables, {size(path)}"


def record(path: Path) -> str:
    """A raw record, WFDB or a MATLAB struct: header, and per lead its gain, range in mV and missing samples."""
    header_path = path.with_suffix(".hea")
    struct_alone = path.suffix == ".mat" and not header_path.exists()
    recording = read_file(path if struct_alone else header_path)
    comments = () if struct_alone else parse_header(header_text(header_path)).comments
    value = recording.millivolts()
    lines = [f"record {path.stem}: {len(recording.leads)} leads, {recording.fs:g} Hz, "
             f"{value.shape[1]} samples ({value.shape[1] / recording.fs:g} s)"]  # fmt: skip
    lines += [f"  # {one_line(comment)}" for comment in comments]
    rows = []
    for i, lead in enumerate(recording.leads):
        known = value[i][np.isfinite(value[i])]
        low, high = (float(known.min()), float(known.max())) if len(known) else (None, None)
        missing = int((recording.samples[i] == MISSING).sum())
        rows.append((lead, float(recording.gain[i]), float(recording.baseline[i]), low, high, missing))
    return "\n".join([*lines, grid(["lead", "gain", "baseline", "min mV", "max mV", "missing"], rows)])


FILES = {
    ".parquet": parquet, ".npy": npy, ".json": json_file, ".jsonl": jsonl, ".csv": csv_file, ".png": png, ".svg": svg,
    ".safetensors": safetensors, ".hea": record, ".dat": record, ".mat": record, ".md": text_file, ".txt": text_file,
    ".html": html, ".yaml": text_file, ".tsv": text_file,
}  # fmt: skip
