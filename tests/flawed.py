"""Recordings with one flaw each, on the way into a store as every record goes, and what else a page of flaws needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from kmerl.archives.schemas import LABEL_DIFFERENCES, REJECTED, SPLITS
from kmerl.archives.wfdb_format import MISSING, Recording
from kmerl.artifacts import write_table
from kmerl.leads import LEADS, derive_limb_leads
from kmerl.preprocessing.repair import prepare
from kmerl.shards import store_writer
from tests.archives import params

FS, GAIN, ROW = 500, 1000, {lead: row for row, lead in enumerate(LEADS)}


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a recording: its flags, and the leads that the first of them is about."""

    flags: Sequence[str]
    leads: Sequence[str]
    recording: Recording
    derive: bool = False


def heart(seed: int = 0, fs: int = FS, seconds: float = 10) -> Recording:
    """Twelve leads in which a heart seems to beat, in whole microvolts."""
    time = np.arange(round(fs * seconds)) / fs
    rng = np.random.default_rng(seed)
    since = (time + rng.uniform()) % 0.8
    waves = ((0.1, 0.12, 0.02), (-0.1, 0.26, 0.008), (1.0, 0.28, 0.01), (-0.2, 0.3, 0.01), (0.25, 0.5, 0.04))
    shape = sum(high * np.exp(-(((since - at) / width) ** 2)) for high, at, width in waves)
    two = shape + rng.normal(size=time.size) * 0.01
    one = 0.6 * shape + rng.normal(size=time.size) * 0.01
    chest = np.array([-0.6, 0.4, 0.8, 1.2, 1.1, 0.9])[:, None] * shape + rng.normal(size=(6, time.size)) * 0.01
    limbs = derive_limb_leads(one, two)
    signal = np.stack([one, two, *(limbs[lead] for lead in LEADS[2:6]), *chest])
    samples = np.rint(signal * GAIN).astype(np.int16)
    return Recording(LEADS, fs, samples, np.full(12, float(GAIN)), np.zeros(12), np.ones(12))


def changed(lead: str, where: slice, value: object, seed: int) -> Recording:
    """A recording with other samples in a part of one lead."""
    recording = heart(seed)
    recording.samples[ROW[lead], where] = value
    return recording


def of_signals(rows: Sequence[int], names: Sequence[str], seed: int) -> Recording:
    """A recording of some of the twelve signals under given names."""
    one = heart(seed)
    chosen = list(rows)
    return Recording(
        tuple(names), FS, one.samples[chosen], one.gain[chosen], one.baseline[chosen], one.unit[chosen]
    )  # fmt: skip


def flaws() -> dict[str, Flaw]:
    """One record for each flag that a waveform may get, by record id."""
    every, swapped = list(range(12)), [0, 2, 1, *range(3, 12)]
    clipped, small = heart(11), heart(12)
    clipped.samples[ROW["V5"]] = np.minimum(clipped.samples[ROW["V5"]] * 3, 1500)
    small.samples[:] //= 100
    vouched = replace(heart(13), checksum=np.ones(12, np.int64))
    without = [row for row in every if row != ROW["III"]]
    found = [
        Flaw([], [], heart(1)),
        Flaw(["cropped"], [], heart(2, seconds=12)),
        Flaw(["padded"], [], heart(3, seconds=6)),
        Flaw(["resampled"], [], heart(4, fs=250)),
        Flaw(["nan_repaired"], ["V2"], changed("V2", slice(1000, 1100), MISSING, 5)),
        Flaw(["nan_lead"], ["V3"], changed("V3", slice(0, 2500), MISSING, 6)),
        Flaw(["flat_lead"], ["V4"], changed("V4", slice(None), 70, 7)),
        Flaw(["missing_lead"], ["V6"], of_signals(every[:11], LEADS[:11], 8)),
        Flaw(["unknown_lead"], [], of_signals([*every, 3], [*LEADS, "RESP"], 9)),
        Flaw(["repeated_lead"], ["V1"], of_signals([*every, 3], [*LEADS, "V1"], 10)),
        Flaw(["clipped_lead"], ["V5"], clipped),
        Flaw(["flat_part"], ["V6"], changed("V6", slice(2000, 3000), 40, 14)),
        Flaw(["large_amplitude"], ["V2"], changed("V2", slice(2000, 2005), 30_000, 15)),
        Flaw(["small_amplitude"], [], small),
        Flaw(["limb_leads"], ["I", "II", "III"], of_signals(swapped, LEADS, 16)),
        Flaw(["checksum"], [], vouched),
        Flaw(["derived_lead", "missing_lead"], [], of_signals(without, [LEADS[row] for row in without], 17), True),
        Flaw(["unknown_code"], [], heart(18)),
    ]
    return {f"r{number}": one for number, one in enumerate(found)}


def write_store(folder: Path, records: dict[str, Flaw], origin: str, split: Sequence[str] | None = None) -> None:
    """A store of the records beside its table of splits, which names those of ``split`` only (or all)."""
    with store_writer(folder / "1of1", folder.name, origin, FS, 10 * FS, shard_records=4) as store:
        for record, flaw in records.items():
            waveform = prepare(flaw.recording, params(min_leads=1, derive_limb_leads=flaw.derive))
            if "unknown_code" in flaw.flags:  # which the tables know
                waveform = replace(waveform, flags=(*waveform.flags, "unknown_code"))
            store.append(waveform, record, None)
    named = list(records) if split is None else list(split)
    table = pl.DataFrame({"record_id": named, "split": ["train"] * len(named)}, dict.fromkeys(SPLITS.names, pl.String))
    write_table(folder.parent.parent / f"splits/{folder.name}.parquet", table, SPLITS)


def write_rest(data: Path, archive: str, tables: Sequence[tuple[str, str, str]] = (), lost: object = ()) -> None:
    """What an archive's tables and waveforms reject, and no difference of labels."""
    types = dict.fromkeys(REJECTED.names, pl.String)
    for name, rows in (("tables", tables), ("1of1", lost)):
        path = data / f"rejected/{archive}/{name}.parquet"
        write_table(path, pl.DataFrame(list(rows), types, orient="row"), REJECTED)
    write_differences(data, archive, [])


def write_differences(data: Path, archive: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Rows (task, code, split, records, published, corrected, false positives, false negatives, differing)."""
    types = dict.fromkeys(LABEL_DIFFERENCES.names, pl.String) | dict.fromkeys(LABEL_DIFFERENCES.names[3:], pl.Int64)
    table = pl.DataFrame(list(rows), types, orient="row")
    write_table(data / f"label_differences/{archive}.parquet", table, LABEL_DIFFERENCES)
