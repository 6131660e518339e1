"""Artifacts that are missing or damaged are answered with one line that names them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmerl.artifacts import read_jsonl, read_metadata, read_table, write_jsonl, write_table
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
    assert write_jsonl(path, rows) == len(rows)
    assert list(read_jsonl(path)) == rows
