"""Artifacts that are missing or damaged are answered with one line that names them."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lines import write_jsonl

from kmerl.artifacts import read_jsonl, read_metadata, read_table, whole, write_table
from kmerl.errors import UserError

SCHEMA = pa.schema([pa.field("name", pa.string(), nullable=False)])


@pytest.mark.parametrize("read", [read_table, read_metadata])
@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_cut_table_is_one_line_that_names_it(tmp_path: Path, read: Callable[[Path], Any], kept: int) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, pl.DataFrame({"name": ["a", "b"]}), SCHEMA, {"origin": "recorded"})
    assert read_metadata(path) == {"origin": "recorded"}
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"t.parquet: not a readable Parquet file .* again$") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_no_flipped_bit_of_a_table_goes_unnoticed(tmp_path: Path) -> None:
    path, origin = tmp_path / "t.parquet", {"origin": "recorded"}
    table = pl.DataFrame({"name": ["abc", "d", "efg"] * 9})
    write_table(path, table, SCHEMA, origin)
    right = path.read_bytes()
    noticed = 0
    for position in range(len(right)):
        wrong = bytearray(right)
        wrong[position] ^= 1 << position % 8
        path.write_bytes(wrong)
        for read, value in (
            (lambda: read_table(path, SCHEMA).to_dict(), table.to_dict()),
            (lambda: read_metadata(path), origin),
        ):
            try:
                assert repr(read()) == repr(value)
            except UserError:
                noticed += 1
    assert noticed > len(right)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("kept", ["number", "text"])
def test_a_file_that_cannot_be_written_is_named_and_the_old_one_stays(tmp_path: Path, number: int, kept: str) -> None:
    path = tmp_path / "folder"
    with whole(path) as temporary:
        temporary.mkdir()
    error = OSError(number, os.strerror(number)) if kept == "number" else RuntimeError(os.strerror(number))

    def write() -> None:
        with whole(path) as temporary:
            temporary.mkdir()
            with whole(temporary / "t.json"):
                raise error

    with pytest.raises(UserError, match=r"folder/t.json: cannot be written, .* and run again$"):
        write()
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]
    assert not list(path.iterdir())


def test_an_input_that_cannot_be_read_is_not_taken_for_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), whole(tmp_path / "output"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "input"))


@pytest.mark.parametrize("read", [read_table, read_metadata])
def test_a_missing_table_is_one_line_that_says_what_to_do(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(UserError, match=r"t.parquet: no such file; run the stage"):
        read(tmp_path / "t.parquet")


@pytest.mark.parametrize("line", [b"[1]", b'"text"', b"7", b"null", b"", b'{"a": 1', b'{"a": "\xff"}', b"[" * 9999])
def test_a_line_that_is_no_json_object_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b"\n")
    rows = read_jsonl(path)
    assert next(rows) == {"a": 1}
    with pytest.raises(UserError, match=r"t.jsonl:2: not a JSON object"):
        next(rows)


@given(st.lists(st.dictionaries(st.text(), st.one_of(st.none(), st.integers(), st.text())), max_size=4))
def test_json_lines_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "t.jsonl"
    write_jsonl(path, rows)
    assert list(read_jsonl(path)) == rows
