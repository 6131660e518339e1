"""Writing and reading artifacts: whole or not at all, and always with the schema they promise."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kmerl.errors import UserError

_METADATA = b"kmerl"


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name only when the block succeeds.

    The block may make a file or a folder there. Whatever stood at ``path`` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            remove(path)
        temporary.replace(path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Delete a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """JSON with sorted keys, so that equal values give equal bytes."""
    with whole(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def read_json(path: Path | str) -> Any:
    """The value in a JSON file of ours.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not readable as JSON ({error}); delete it and run its stage again") from None


def write_jsonl(path: Path | str, rows: Iterable[Mapping[str, Any]]) -> int:
    """One JSON object per line, streamed. Returns the number of lines."""
    n = 0
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            n += 1
    return n


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file, one at a time.

    Raises:
        UserError: the file is missing, or a line is not a JSON object; the message names the line.
    """
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, 1):
                yield _json_object(line, f"{path}:{number}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None


def _json_object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{where}: not a JSON object; run the stage that writes it again")
    return value


def write_table(
    path: Path | str,
    table: pl.DataFrame | pa.Table,
    schema: pa.Schema,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """A Parquet file with exactly ``schema`` (columns by name) and optional ``metadata``.

    Raises:
        ValueError: a column is missing, unknown or cannot be cast; a mistake of ours, never the user's.
    """
    rows = table.to_arrow() if isinstance(table, pl.DataFrame) else table
    if sorted(rows.column_names) != sorted(schema.names):
        raise ValueError(f"{path}: columns {rows.column_names} are not {schema.names}")
    rows = rows.select(schema.names).cast(schema)
    for field in schema:
        if not field.nullable and rows.column(field.name).null_count:
            raise ValueError(f"{path}: column {field.name} holds nulls")
    if metadata is not None:
        rows = rows.replace_schema_metadata({_METADATA: json.dumps(metadata, sort_keys=True).encode()})
    with whole(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd")


@contextmanager
def table_writer(
    path: Path | str, schema: pa.Schema, metadata: Mapping[str, Any] | None = None, batch: int = 50_000
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Like :func:`write_table`, row by row: the block gets a function that appends one; ``batch`` rows in memory."""
    stored = {} if metadata is None else {_METADATA: json.dumps(metadata, sort_keys=True).encode()}
    schema = schema.with_metadata(stored)
    rows: list[Mapping[str, Any]] = []
    with whole(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            rows.clear()

        def append(row: Mapping[str, Any]) -> None:
            rows.append(row)
            if len(rows) == batch:
                flush()

        yield append
        flush()


def read_table(path: Path | str, schema: pa.Schema | None = None) -> pl.DataFrame:
    """A Parquet file of ours as a polars frame, its columns checked against ``schema``.

    Raises:
        UserError: the file is missing, cut short, or has other columns.
    """
    with _readable(path):
        table = pq.read_table(path)
    if schema is not None and table.column_names != schema.names:
        raise UserError(f"{path}: columns {table.column_names} where {schema.names} were expected; run its stage again")
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The metadata that :func:`write_table` stored with a table; empty if there is none.

    Raises:
        UserError: the file is missing or cut short.
    """
    with _readable(path):
        stored = pq.read_schema(path).metadata or {}
    value: dict[str, Any] = json.loads(stored.get(_METADATA, b"{}"))
    return value


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    """Tell what is wrong with a Parquet file in one line."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f"{path}: not a readable Parquet file ({first_line}); run its stage again") from None
