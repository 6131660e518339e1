"""Folders that the stages make, and raw archives."""

import json
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from kmerl.archives.manifest import MARKER, origin
from kmerl.archives.registry import recognise
from kmerl.archives.schemas import SPLITS
from kmerl.artifacts import read_json, read_jsonl, read_metadata, read_table
from kmerl.errors import UserError
from kmerl.escapes import one_line
from kmerl.leads import LEADS, from_bit_mask
from kmerl.regular import assert_regular
from kmerl.views import scores
from kmerl.views.files import FILES, indented, read_csv_file, record, safetensors
from kmerl.views.text import cell, counts, frame, grid, size
from kmerl.waveforms import WaveformStore


def archive(path: Path) -> str:
    """A raw archive: origin, its tables, its first record; signal files are not counted, there may be millions."""
    lines = [f"raw archive, {origin(path)}; layout of {recognise(path) or 'none that is known'}"]
    for file in sorted(path.glob("*.csv")):
        try:
            table = read_csv_file(file)
        except (pl.exceptions.PolarsError, OSError, UserError) as error:  # not all are the archive's own
            lines += ["", f"{one_line(file.name)}: not readable as a table ({cell(error)})"]
            continue
        lines += ["", f"{one_line(file.name)}: {table.height:,} rows, {len(table.columns)} columns", frame(table, 3)]
    first = _first_record(path)
    shown = ["", one_line(str(first)), record(first)] if first else []
    return "\n".join([*lines, *shown, "", f"all of its records: python -m kmerl.archives check {path}"])


def _first_record(path: Path, depth: int = 8) -> Path | None:
    """The first header, or struct without one, in the order of names, without a walk over all of them."""
    entries = sorted(path.iterdir())
    for ending in (".hea", ".mat"):
        for entry in entries:
            if entry.suffix == ending and entry.is_file():
                return entry
    below = (_first_record(entry, depth - 1) for entry in entries if depth and entry.is_dir())  # links may go round
    return next((found for found in below if found), None)


def store(path: Path) -> str:
    """A waveform store: what is in it, how it is split and flagged, and how large the signals are."""
    here = path.resolve()
    places = (
        here.parent.parent / f"splits/{here.name}.parquet",
        here.parent.parent.parent / f"splits/{here.parent.name}.parquet",
    )
    splits = next((place for place in places if place.exists()), None)  # of an archive, or of the one it is a part of
    opened = WaveformStore(path, read_table(splits, SPLITS) if splits else None)
    records = opened.records
    shards = sorted(path.rglob("shard-*.npy"))
    leads = Counter(map(int, opened.present))
    patients = records["patient_id"].drop_nulls().n_unique()
    lines = [
        f"waveforms of {opened.archive} ({opened.origin}): {len(opened):,} records, {patients:,} patients, "
        f"{opened.fs} Hz, {opened.samples} samples, {len(shards)} shards, {size(path)}",
        f"  splits: {counts(records['split'])}",
        f"  flags: {counts(records['flags'].explode().drop_nulls())}",
        f"  sampling rate of the source, Hz: {counts(records['fs'])}",
        "  leads in use: "
        + ", ".join(
            f"{'all' if len(from_bit_mask(mask)) == len(LEADS) else ' '.join(from_bit_mask(mask))} {n:,}"
            for mask, n in leads.most_common(5)
        ),
    ]
    if len(opened):
        rows = []
        for i, lead in enumerate(LEADS):
            low, high, deviation = (
                records[name].arr.get(i).drop_nans() if records[name].dtype == pl.Array else records[name].list.get(i)
                for name in ("minimum", "maximum", "deviation")
            )
            rows.append(
                (lead, low.quantile(0.01), low.median(), high.median(), high.quantile(0.99), deviation.median())
            )
        header = ["lead", "1% of minima", "median minimum", "median maximum", "99% of maxima", "median deviation"]
        lines += ["", "amplitudes over records, mV", grid(header, rows)]
        shown = records.select("record_id", "patient_id", "shard", "row", "length", "split", "flags")
        lines += ["", "first records", frame(shown)]
    return "\n".join(lines)


def knowledge(path: Path) -> str:
    """Questions and answers of one step, then its tables and JSON files."""
    questions = {row.get("custom_id"): row for row in islice(read_jsonl(path / "requests.jsonl"), 3)}
    asked = sum(1 for _ in read_jsonl(path / "requests.jsonl"))
    shown, answered = [], 0
    for row in read_jsonl(path / "responses.jsonl"):
        answered += 1
        question = questions.get(row.get("custom_id"))
        if question:
            shown += ["", *_dialogue(question, row)]
    lines = [f"{asked:,} questions, {answered:,} answers, {size(path)}", *shown]
    return "\n".join([*lines, *_members(path, skip={"requests.jsonl", "responses.jsonl"})])


def _dialogue(question: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    body = (answer.get("response") or {}).get("body") or {}
    choices = body.get("choices") or [{}]
    said = (choices[0].get("message") or {}).get("content") or json.dumps(answer.get("error"))
    lines = [f"question {question.get('custom_id')} to {question.get('body', {}).get('model')}"]
    for message in question.get("body", {}).get("messages", []):
        lines += [f"  {message.get('role')}: {_wrapped(str(message.get('content')))}"]
    return [*lines, f"  answer: {_wrapped(said)}"]


def _wrapped(text: str) -> str:
    lines = [line if len(line) <= 400 else line[:399] + "…" for line in text.strip().splitlines()]
    more = [f"… {len(lines) - 12} more lines"] if len(lines) > 12 else []
    return "\n    ".join([*lines[:12], *more])


def _members(path: Path, skip: set[str]) -> list[str]:
    """The tables and JSON files of a folder, one after another."""
    lines: list[str] = []
    for file in sorted(path.iterdir()):
        if file.name not in skip and file.suffix in FILES:
            lines += ["", f"--- {one_line(file.name)}", FILES[file.suffix](file)]
    return lines


def reports(path: Path) -> str:
    """The commonest reports, and what was rejected."""
    table = read_table(path / "reports.parquet")
    common = table.sort("records", descending=True, maintain_order=True).select("records", "text")
    lines = [
        f"{table.height:,} distinct reports of {table['records'].sum():,} records",
        "",
        "commonest",
        frame(common, 10),
    ]
    return "\n".join([*lines, *_members(path, skip={"reports.parquet"})])


def labels(path: Path) -> str:
    """The vocabulary, how many bits records have, and the commonest queries."""
    vocabulary, table = read_json(path / "vocabulary.json"), read_table(path / "labels.parquet")
    stored = read_metadata(path / "labels.parquet")
    bits = table["positives"].list.len()
    common = Counter(table["positives"].explode().drop_nulls().to_list()).most_common(15)
    queries = vocabulary["queries"]
    lines = [
        f"{table.height:,} label vectors over {len(queries)} queries ({len(vocabulary['entities'])} entities, "
        f"{len(vocabulary['superclasses'])} superclasses), vocabulary {vocabulary['hash']}",
        *[f"  {cell(key)}: {cell(value)}" for key, value in stored.items()],
        f"  positives per record: minimum {bits.min()}, median {cell(bits.median())}, maximum {bits.max()}",
        "",
        "commonest queries",
        grid(["query", "records"], [(queries[i], n) for i, n in common]),
    ]
    return "\n".join([*lines, *_members(path, skip={"labels.parquet", "summary.json"})])


def embeddings(path: Path) -> str:
    """What embedded which texts, and the nearest texts of a few."""
    texts = read_table(path / "texts.parquet")["text"].to_list()
    assert_regular(path / "vectors.npy")
    vectors = np.load(path / "vectors.npy", mmap_mode="r", allow_pickle=False)
    if len(vectors) != len(texts):
        raise UserError(f"{path}: {len(vectors)} vectors for {len(texts)} texts; run the embed_text stages again")
    config = read_json(path / "config.json")
    lines = [f"{len(texts):,} texts as vectors of {vectors.shape[1]} {vectors.dtype}, {size(path)}"]
    lines += [f"  {cell(key)}: {cell(value)}" for key, value in config.items()]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    for row in sorted({0, len(texts) // 3, 2 * len(texts) // 3} if texts else set()):
        similar = unit @ unit[row]
        similar[row] = -np.inf
        nearest = np.argsort(-similar, kind="stable")[: min(4, len(texts) - 1)]
        lines += ["", f"nearest to: {cell(texts[row])}"]
        lines += [grid(["cosine", "text"], [(float(similar[i]), texts[i]) for i in nearest])] if len(nearest) else []
    return "\n".join(lines)


def run(path: Path) -> str:
    """A pretrained run: configuration, weights, and the end of its history."""
    config = read_json(path / "config.json")
    config["vocabulary"] = f"{len(config.get('vocabulary', []))} queries"
    history = read_table(path / "history.parquet")
    weights = safetensors(path / "model.safetensors").splitlines()[0]
    by_step = history.pivot(on="name", index="step", values="value")
    measured = [name for name in by_step.columns if name.startswith("valid_")]
    validated = by_step.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in measured)) if measured else None
    return "\n".join(
        ["pretrained run", weights, indented(config), "", "last steps", frame(by_step.tail(3))]
        + (["", "validations", frame(validated, 20)] if validated is not None else [])
    )


def folder(path: Path) -> str:
    """The members of any other folder."""
    entries = sorted(path.iterdir())
    shown = [(entry.name + "/" * entry.is_dir(), size(entry)) for entry in entries[:40]]
    more = [f"  … {len(entries) - 40} more"] if len(entries) > 40 else []
    return "\n".join([f"folder of {len(entries)}", grid(["name", "size"], shown), *more])


FOLDERS = (  # files that tell a kind of folder; how it is called; how it is shown
    (("records.parquet",), "waveforms", store),
    (("*/records.parquet",), "waveforms", store),
    (("requests.jsonl", "responses.jsonl"), "knowledge", knowledge),
    (("vocabulary.json", "labels.parquet"), "labels", labels),
    (("texts.parquet", "vectors.npy"), "embeddings", embeddings),
    (("model.safetensors", "config.json"), "run", run),
    (("features.json",), "features", scores.features),
    (("scores.parquet", "resamples.parquet"), "scores", scores.scores),
    (("reports.parquet",), "reports", reports),
    (("record_list.csv",), "archive", archive),
    (("ptbxl_database.csv",), "archive", archive),
    ((MARKER,), "archive", archive),
)
