"""Writing and reading artifacts: whole or not at all, and always with the schema they promise."""

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kmerl.errors import UserError
from kmerl.escapes import csv_cell
from kmerl.regular import assert_regular, content_of, open_regular

_LARGEST_JSON = 1 << 28  # bytes of a file, or of a line
_MOST_ROWS = 1 << 27  # of a table; a small file may announce any number. MIMIC-IV-ECG has 14 million statements
_METADATA, _CHECKSUM = b"kmerl", b"kmerl.crc32"
_DAMAGED = (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError)  # what a bad Parquet file raises
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free space there",
    errno.EDQUOT: "your quota of disk space is used up; free space there",
    errno.EFBIG: "the file would be larger than allowed; raise the limit (ulimit -f)",
    errno.EROFS: "this place is read-only; make it writable",
    errno.EACCES: "permission denied; get the right to read and write there",
    errno.EPERM: "not permitted; get the right to read and write there",
    errno.ENOTDIR: "a file stands where a folder belongs; move it away",
    errno.EISDIR: "a folder stands where a file belongs; move it away",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files; end other programs",
    errno.EIO: "the disk fails or is full; check it",
    errno.ENOMEM: "not enough memory; end other programs",
    errno.ENAMETOOLONG: "the path is too long; work in a folder nearer to the root",
}
_OF_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
}


@contextmanager
def whole(path: Path | str) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name only when the block succeeds.

    The block may make a file or a folder there. Whatever stood at ``path`` is replaced.

    Raises:
        UserError: it cannot be written: no space, no permission.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)
        try:
            yield temporary
            if temporary.is_dir():
                remove(path)
            temporary.replace(path)
        finally:
            remove(temporary)
    except UserError:
        raise
    except Exception as error:
        reason = remedy(error)
        if reason is None or not _concerns(error, path, temporary):
            raise
        shown = re.sub(r"\.([^/]+)\.\d+\.partial\b", r"\1", str(path))  # a file in a folder that is being written
        raise UserError(f"{shown}: cannot be written, {reason} and run again") from error


def remedy(error: BaseException) -> str | None:
    """What failed and what the user can do, if an error tells of the machine and not of a mistake of ours.

    Many libraries keep of the operating system's error no more than its text, numpy not even that; others stumble
    over a full disk once more while they close the file.
    """
    number = _errno(error)
    before = error.__cause__ or error.__context__
    while number is None and before is not None:
        number = _errno(before) if _errno(before) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else None
        before = before.__cause__ or before.__context__
    return None if number is None else _REMEDIES.get(number)


def _errno(error: BaseException) -> int | None:
    """The number of the operating system's error that an exception tells of."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, sqlite3.Error):
        return _OF_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)  # above it the code tells further details
    if re.search(r"\d+ requested and \d+ written", str(error)):
        return errno.ENOSPC
    return next((known for known in _REMEDIES if os.strerror(known) in str(error)), None)


def _concerns(error: Exception, path: Path, temporary: Path) -> bool:
    """Whether an error is about writing ``path``; one that names no file is."""
    if not isinstance(error, OSError) or error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named in path.parents or any(own in (named, *named.parents) for own in (path, temporary))


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


def read_json(path: Path | str, most: int = _LARGEST_JSON) -> Any:
    """The value in a JSON file of ours, which has at most so many bytes.

    Raises:
        UserError: the file is missing, is no file, is too large or is not JSON.
    """
    try:
        return json.loads(content_of(path, most).decode("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}); delete it and run its stage again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it a file that can be read") from None


def read_jsonl(path: Path | str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file, one at a time.

    Raises:
        UserError: the file is missing, or a line is not a JSON object; the message names the line.
    """
    try:
        with open_regular(path) as file:
            for number, line in enumerate(iter(partial(file.readline, _LARGEST_JSON), b""), 1):
                yield _json_object(line, f"{path}:{number}")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it a file that can be read") from None


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
    rows = rows.replace_schema_metadata(_stored(metadata))
    with whole(path) as temporary:
        pq.write_table(rows, temporary, compression="zstd", write_page_checksum=True)


def for_spreadsheets(table: pl.DataFrame) -> pl.DataFrame:
    """A table as it may be written as CSV: of its texts, none is a formula (:func:`kmerl.escapes.csv_cell`)."""
    return table.with_columns(pl.col(pl.String).map_elements(csv_cell, pl.String))


@contextmanager
def batch_writer(
    path: Path | str, schema: pa.Schema, metadata: Mapping[str, Any] | None = None
) -> Iterator[Callable[[pa.Table], None]]:
    """Like :func:`write_table`, piece by piece: the block gets a function that appends a table with ``schema``."""
    with (
        whole(path) as temporary,
        pq.ParquetWriter(
            temporary, schema.with_metadata(_stored(metadata)), compression="zstd", write_page_checksum=True
        ) as writer,
    ):

        def append(table: pa.Table) -> None:
            writer.write_table(table.cast(schema).replace_schema_metadata(_stored(metadata)))

        yield append


@contextmanager
def table_writer(
    path: Path | str, schema: pa.Schema, metadata: Mapping[str, Any] | None = None, batch: int = 50_000
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Like :func:`write_table`, row by row: the block gets a function that appends one; ``batch`` rows in memory."""
    rows: list[Mapping[str, Any]] = []
    with batch_writer(path, schema, metadata) as write:

        def append(row: Mapping[str, Any]) -> None:
            rows.append(row)
            if len(rows) == batch:
                write(pa.Table.from_pylist(rows, schema=schema))
                rows.clear()

        yield append
        write(pa.Table.from_pylist(rows, schema=schema))


def read_table(path: Path | str, schema: pa.Schema | None = None) -> pl.DataFrame:
    """A Parquet file of ours as a polars frame, its columns checked against ``schema``.

    Raises:
        UserError: the file is missing, damaged (each page has a checksum), or has other columns.
    """
    # not pq.read_table, which takes half a second to import what nobody needs here
    with _readable(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        if file.metadata.num_rows > _MOST_ROWS:
            raise ValueError(f"{file.metadata.num_rows} rows, more than {_MOST_ROWS}")
        table = file.read().replace_schema_metadata(None)
        if table.num_rows != file.metadata.num_rows:
            raise ValueError(f"{table.num_rows} rows of {file.metadata.num_rows}")
    if schema is not None and (table.column_names, table.schema.types) != (schema.names, schema.types):
        raise UserError(f"{path}: columns {table.column_names} where {schema.names} were expected; run its stage again")
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The metadata that :func:`write_table` stored with a table; empty if there is none.

    Raises:
        UserError: the file is missing or damaged.
    """
    with _readable(path):
        stored = pq.read_schema(path).metadata or {}
        text = stored.get(_METADATA, b"{}")
        if int(stored.get(_CHECKSUM, 0)) != zlib.crc32(text):
            raise ValueError("its metadata are damaged")
        value: dict[str, Any] = json.loads(text)
    return value


def _stored(metadata: Mapping[str, Any] | None) -> dict[bytes, bytes]:
    """Metadata as they stand in a Parquet file, whose own checksums leave them out."""
    text = b"{}" if metadata is None else json.dumps(metadata, sort_keys=True).encode()
    return {_METADATA: text, _CHECKSUM: str(zlib.crc32(text)).encode()}


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    """Tell what is wrong with a Parquet file in one line."""
    try:
        assert_regular(path)
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage that makes it") from None
    except _DAMAGED as error:
        if reason := remedy(error):
            raise UserError(f"{path}: cannot be read, {reason} and run again") from None
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: not a readable Parquet file ({first_line}); run its stage again") from None


def digest(values: Iterable[object], files: Iterable[Path]) -> str:
    """A short name for everything a result depends on, so that no run continues from another one's checkpoint."""
    whole = hashlib.sha256("\x1f".join(map(str, values)).encode())
    for path in files:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()[:16]


def frame(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pl.DataFrame:
    """Rows as a frame with the schema's columns, even if there are none."""
    return pl.DataFrame(rows, schema=columns_of(schema), orient="row")


def columns_of(schema: pa.Schema) -> pl.Schema:
    """The columns of a frame with a schema."""
    empty = pl.from_arrow(schema.empty_table())
    assert isinstance(empty, pl.DataFrame)
    return empty.schema
