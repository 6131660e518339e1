"""Features of whole archives on disk: computed once per lead set, written in a stream, read as a memory map.

A folder holds ``<archive>-<k>.npy``, float32 (n, D), for the k-th lead set, one row per row of the archive's waveform
store; a record that has none of the leads is a row of NaN. ``features.json`` says what they are (:class:`Description`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError
from tqdm import tqdm

from kmerl.artifacts import read_json, whole, write_json
from kmerl.errors import UserError
from kmerl.section import Section
from kmerl.waveforms import WaveformStore

FILE = "features.json"
Floats = NDArray[np.float32]
Embed = Callable[[WaveformStore, Sequence[int], str], Floats]
"""(store, rows, name of the lead set) -> (rows, D); NaN for a record that has none of the leads."""


class ArchiveFeatures(Section):
    """The features of one archive."""

    records: int
    origin: str
    record_ids: str  # hash of all record_ids, in order
    absent: dict[str, int]  # lead set -> records that have none of its leads
    files: dict[str, str]  # lead set -> SHA-256 of its file


class Description(Section):
    """What a folder of features holds."""

    name: str
    method: str  # kmerl | merl | random_convolutions
    width: int
    sets: list[str]  # the k-th is in <archive>-<k>.npy
    leads: dict[str, list[str]]
    scopes: dict[str, str]  # lead set -> leads that normalisation saw; none where it is not normalised
    archives: dict[str, ArchiveFeatures]
    trained_on: dict[str, Any] | None  # what the encoder learnt from; None: nothing

    def __str__(self) -> str:
        parts = [f"{name} {one.records}" for name, one in self.archives.items()]
        absent = sum(n for one in self.archives.values() for n in one.absent.values())
        without = f"; {absent} without any lead of a set" if absent else ""
        return f"records of {', '.join(parts)}; {len(self.sets)} lead sets, {self.width} features{without}"


class Features:
    """A folder of features.

    Raises:
        UserError: there is none, or it is not of this version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / FILE
        try:
            self.description = Description.model_validate(read_json(path))
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise UserError(f"{path}: {where} is not as it should be; run the stage that makes it again") from None

    def read(self, archive: str, records: pl.DataFrame, leads: str) -> Floats:
        """The features of an archive as a memory map (n, D).

        Args:
            archive: its name.
            records: the index of its waveform store, whose rows the features must be of.
            leads: name of the lead set.

        Raises:
            UserError: there are none of this archive or lead set, they are of other records, or the file is damaged.
        """
        described = self.description.archives.get(archive)
        if described is None or leads not in described.files:
            raise UserError(f"{self.folder}: no features of {archive} with {leads!r}; run the stage that makes them")
        if described.record_ids != record_hash(records):
            raise UserError(f"{self.folder}: features of other records of {archive}; run the stage that makes them")
        path = self.folder / f"{archive}-{self.description.sets.index(leads)}.npy"
        damaged = f"{path}: missing or damaged; run the stage that makes it again"
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != described.files[leads]:
                    raise UserError(damaged)
            mapped: Floats = np.load(path, mmap_mode="r")
        except (OSError, ValueError):
            raise UserError(damaged) from None
        return mapped


def record_hash(records: pl.DataFrame) -> str:
    """A hash of the record_ids, in order."""
    return hashlib.sha256("\n".join(records["record_id"]).encode()).hexdigest()


def write_features(
    folder: Path | str,
    name: str,
    method: str,
    stores: Sequence[WaveformStore],
    leads: Mapping[str, Sequence[str]],
    width: int,
    embed: Embed,
    batch: int,
    trained_on: Mapping[str, Any] | None,
    scopes: Mapping[str, str] | None = None,
) -> Description:
    """Embed all records of ``stores`` through each lead set; ``batch`` records and their features are in memory.

    Args:
        folder: to write, whole or not at all.
        name: of the features.
        method: what made them.
        stores: one per archive.
        leads: name of a lead set -> its leads.
        width: D.
        embed: the function; called with at most ``batch`` rows.
        batch: records at a time.
        trained_on: what ``embed`` learnt from; None if nothing.
        scopes: lead set -> leads that normalisation sees.

    Raises:
        UserError: a feature is infinite, or only part of a record's features are numbers.
    """
    archives = {}
    with whole(folder) as temporary:
        temporary.mkdir()
        for store in stores:
            absent, files = {}, {}
            for k, title in enumerate(leads):
                path = temporary / f"{store.archive}-{k}.npy"
                absent[title], files[title] = _write_one(path, store, title, width, embed, batch)
            archives[store.archive] = ArchiveFeatures(
                records=len(store), origin=store.origin, record_ids=record_hash(store.records), absent=absent,
                files=files,
            )  # fmt: skip
        description = Description(
            name=name, method=method, width=width, sets=list(leads), leads={k: list(v) for k, v in leads.items()},
            scopes=dict(scopes or {}),
            archives=archives, trained_on=None if trained_on is None else dict(trained_on),
        )  # fmt: skip
        write_json(temporary / FILE, description.model_dump())
    return description


def _write_one(path: Path, store: WaveformStore, leads: str, width: int, embed: Embed, batch: int) -> tuple[int, str]:
    """One file, block by block; the number of records without any lead, and the file's SHA-256."""
    header: dict[str, Any] = {"descr": "<f4", "fortran_order": False, "shape": (len(store), width)}
    absent, title = 0, f"{store.archive}, {len(leads)} leads"
    # a memory map would do as well, but a full disk then ends in a signal instead of an error
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in tqdm(range(0, len(store), batch), desc=f"features of {title}", unit="batch", disable=None):
            block = embed(store, range(start, min(start + batch, len(store))), leads)
            missing = np.isnan(block).all(1)
            if not np.isfinite(block[~missing]).all():
                raise UserError("the features are not finite: the encoder's weights are damaged; pretrain it again")
            absent += int(missing.sum())
            file.write(np.ascontiguousarray(block, "<f4").tobytes())
    with path.open("rb") as written:
        return absent, hashlib.file_digest(written, "sha256").hexdigest()
