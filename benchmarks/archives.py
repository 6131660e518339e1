"""How fast archives are read, beside the ways of reference; part of ``make bench``.

``python benchmarks/archives.py [FOLDER]`` takes the first WFDB records below FOLDER (format 16, 12 leads, 10 s at
500 Hz) instead of made-up ones.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import wfdb
import yaml
from memory import peak_mib  # beside this file

from kmerl.archives.archive import SplitParams
from kmerl.archives.registry import open_archive
from kmerl.archives.simulate.wfdb_files import write_record
from kmerl.archives.wfdb_reader import Reader
from kmerl.catalogue import Outputs, catalogue
from kmerl.knowledge.cleaning import ReportsParams, clean
from kmerl.leads import LEADS
from kmerl.preprocessing.blocks import PreprocessParams, Source, preprocess
from kmerl.randomness import generator

RECORDS, ROUNDS = 500, 7
MEMORY = Path("/dev/shm")  # where the disk does not count, if there is such a place
FULL = 800_035  # records of MIMIC-IV-ECG
ROWS_BY_APPLY = 20_000  # of the reference's cleaning, whose time is proportional
PARAMS = yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text("utf-8"))


def made_up(folder: Path) -> list[Path]:
    """Headers of 12-lead records of 10 s at 500 Hz whose limb leads belong together."""
    paths = []
    for i in range(RECORDS):
        found = generator(0, "archive bench", i).integers(-900, 900, (12, 5000))
        one, two = found[:2]
        found[2:6] = two - one, -(one + two) // 2, one - two // 2, two - one // 2
        path = folder / f"{i // 100:02d}" / f"r{i:04d}"
        write_record(path.parent, path.name, found.astype(np.int16), LEADS, 500, "1000.0(0)/mV")
        paths.append(path.with_suffix(".hea"))
    return paths


def merl(path: Path) -> np.ndarray:
    """A record the released MERL way: wfdb.rdsamp, min-max over the record to 0..1000, int16."""
    record = wfdb.rdsamp(str(path.with_suffix("")))[0].T
    record = (record - record.min()) / (record.max() - record.min()) * 1000
    return record.astype(np.int16)[:, :5000]


def merl_all(paths: list[Path]) -> None:
    """All of them into one array, as released."""
    whole = np.zeros((len(paths), 12, 5000), np.int16)
    for i, path in enumerate(paths):
        whole[i] = merl(path)


def bare(paths: list[Path]) -> None:
    """The bytes of the signal files and nothing else."""
    for path in paths:
        np.fromfile(path.with_suffix(".dat"), "<i2")


class Ours:
    """Our reader alone, and the whole stage."""

    def __init__(self, folder: Path, paths: list[Path]) -> None:
        self.folder, self.paths = folder, paths
        self.shard = np.zeros((16, 12, 5000), np.int16)  # touched before
        rows = [(path.stem, None, str(path.relative_to(folder)), []) for path in paths]
        schema = {"record_id": pl.String, "patient_id": pl.String, "file": pl.String, "flags": pl.List(pl.String)}
        self.entries = pl.DataFrame(rows, schema, orient="row")

    def read(self) -> None:
        """Records into the memory of a shard."""
        reader = Reader()
        for i, path in enumerate(self.paths):
            np.copyto(self.shard[i % 16], reader.read(path).samples)

    def longer(self, times: int) -> "Ours":
        """The same files several times over, as records of other names."""
        copies = [self.entries.with_columns(record_id=pl.col("record_id") + f"-{i}") for i in range(times)]
        found = Ours(self.folder, self.paths)
        found.entries, found.paths = pl.concat(copies), self.paths * times
        return found

    def stage(self, processes: int, place: Path | None = None) -> Path:
        """Read, checked, mended, described, and in shards with an index, in a folder at a place or beside the records.

        Returns:
            the folder, to be removed; that is no part of the stage.
        """
        params = PreprocessParams.model_validate(PARAMS["preprocess"] | {"shard_records": 2048})
        here = Path(tempfile.mkdtemp(dir=place or self.folder))
        source = Source(self.folder, "bench", "simulated", params, here / "scratch")
        summary = preprocess(source, self.entries, here / "store", here / "rejected.parquet", processes)
        assert summary.kept == len(self.paths), summary
        return here

    def copy(self) -> Path:
        """The bytes of the signal files and no more, read and written; returns the folder, to be removed."""
        here = Path(tempfile.mkdtemp(dir=self.folder))
        with (here / "copy").open("wb") as file:
            for path in self.paths:
                np.fromfile(path.with_suffix(".dat"), "<i2").tofile(file)
        return here


@contextmanager
def cores(n: int) -> Iterator[None]:
    """Only so many processors for this process and what it starts."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:n])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def rates(calls: dict[str, tuple[int, int, Callable[[], object]]]) -> dict[str, list[float]]:
    """Records per second of every way (processors, records, call), round by round, in turn."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, (processors, n, call) in calls.items():
            with cores(processors):
                start = time.perf_counter()
                made = call()
                found[name].append(n / (time.perf_counter() - start))
                if isinstance(made, Path):
                    shutil.rmtree(made)
    return found


def reading(folder: Path, paths: list[Path]) -> list[str]:
    """A table of records per second: ours, MERL's, and the bare read."""
    ours, n = Ours(folder, paths), len(paths)
    four_times = ours.longer(4)
    first = Reader().read(paths[0]).millivolts()
    np.testing.assert_allclose(first, wfdb.rdrecord(str(paths[0].with_suffix(""))).p_signal.T, atol=1e-6)
    halves = [paths[::2], paths[1::2]]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(merl_all, [half[:2] for half in halves]))  # started before it is timed
        found = rates(
            {
                "bare": (1, n, lambda: bare(paths)),
                "copy": (1, n, ours.copy),
                "merl": (1, n, lambda: merl_all(paths)),
                "merl 2": (2, n, lambda: list(pool.map(merl_all, halves)) and None),
                "read": (1, n, ours.read),
                "stage": (1, 4 * n, lambda: four_times.stage(1)),
            }
        )
    names = {
        "bare": ("the bytes alone: numpy.fromfile", 1),
        "copy": ("the bytes alone, read and written", 1),
        "merl": ("MERL as released: wfdb.rdsamp, min-max, int16", 1),
        "merl 2": ("the same in two processes", 2),
        "read": ("ours, into the memory of a shard", 1),
        "stage": ("ours, the whole stage: checks, repair, statistics, index, shards on disk", 1),
    }
    rows = ["| way | cores | records/s | MERL's, one core | the bare read |", "|---|---|---|---|---|"]
    for name, (way, processors) in names.items():
        to_merl, to_bare = (
            statistics.median(a / b for a, b in zip(found[name], found[other], strict=True))
            for other in ("merl", "bare")
        )
        rate = statistics.median(found[name])
        rows.append(f"| {way} | {processors} | {rate:,.0f} | {to_merl:.1f} x | {to_bare:.2f} x |")
    return rows


def staged(folder: str, place: str, processes: str) -> None:
    """In a process of its own, as the stage is: records per second of the whole stage over many records."""
    here = Path(folder)
    paths = sorted(here.rglob("*.hea"))[:RECORDS]
    ours = Ours(here, paths).longer(20)
    start = time.perf_counter()
    made = ours.stage(int(processes), Path(place))
    print(json.dumps({"rate": len(ours.paths) / (time.perf_counter() - start), "records": len(ours.paths)}))
    shutil.rmtree(made)


def side_by_side(folder: Path) -> str:
    """The whole stage in one and in two processes, over enough records that their start does not count much."""
    place = MEMORY if os.access(MEMORY, os.W_OK) else folder
    rate = {}
    for processes in (1, 2):
        with cores(processes):
            found = said("--stage", str(folder), str(place), str(processes))
            rate[processes] = found["rate"]
    return (
        f"The whole stage over {found['records']:,} records{' into memory' if place == MEMORY else ''}: "
        f"{rate[1]:,.0f} records/s in one process, {rate[2]:,.0f} in two, their start included. At that rate {FULL:,} "
        f"records take {FULL / rate[1] / 60:.1f} and {FULL / rate[2] / 60:.1f} minutes, if the disk reads and writes "
        f"{rate[1] * 0.12:.0f} and {rate[2] * 0.12:.0f} MB/s."
    )


def said(*arguments: str) -> dict[str, float]:
    """What this program says in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def statements(n: int) -> list[list[str]]:
    """Statements of n records, drawn from those that the simulation knows."""
    table = Path(__file__).parent.parent / "kmerl/archives/simulate/statements.csv"
    known = [text for text in pl.read_csv(table, infer_schema=False, separator="|")["text"] if "{" not in text]
    rng = generator(0, "statements")
    numbers, drawn = rng.integers(1, 6, n), rng.zipf(1.5, (n, 5)) % len(known)
    return [[known[j] for j in row[:k]] for row, k in zip(drawn.tolist(), numbers.tolist(), strict=True)]


def merl_report(row: pd.Series) -> tuple[int, str]:
    """A report as pandas' row-wise apply makes it, by MERL's rules."""
    report = ". ".join(row[[f"report_{i}" for i in range(18)]].dropna())
    report = report.replace("EKG", "ECG").replace("ekg", "ecg").strip(" *").strip("=-").lower()
    return len(report.split()), report.replace("\n", " ").replace("\r", " ").replace("\t", " ") + "."


def cleaning() -> list[str]:
    """Cleaning of as many reports as MIMIC-IV-ECG has, against pandas' row-wise apply."""
    told = statements(FULL)
    frame = pl.DataFrame({"record_id": [str(i) for i in range(FULL)], "statements": told})
    params = ReportsParams.model_validate(PARAMS["reports"])
    columns = {f"report_{i}": [row[i] if i < len(row) else None for row in told[:ROWS_BY_APPLY]] for i in range(18)}
    table = pd.DataFrame(columns)
    ours, theirs = [], []
    for _ in range(3):
        start = time.perf_counter()
        cleaned = clean(frame, params)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        made = table.apply(merl_report, axis=1)
        theirs.append((time.perf_counter() - start) * FULL / ROWS_BY_APPLY)
    texts = cleaned.studies.join(cleaned.reports, on="report_id").select("record_id", "text")
    kept = dict(texts.iter_rows())
    for i, (words, text) in enumerate(made):  # MERL leaves a blank behind a dash, and adds a second full stop
        assert kept.get(str(i), "").rstrip(".") == (text.strip().rstrip(".") if words >= 4 else ""), (i, text)
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return [
        "| work | reference | ours | reference's | faster by |",
        "|---|---|---|---|---|",
        f"| clean {FULL:,} reports, {len(cleaned.reports):,} distinct | pandas, row by row "
        f"(from {ROWS_BY_APPLY:,} rows) | {statistics.median(ours):.1f} s | {statistics.median(theirs):.0f} s | "
        f"{ratio:.0f} x |",
    ]


def full_tables(folder: Path) -> None:
    """Tables of MIMIC-IV-ECG at full size, without waveforms."""
    told = statements(FULL)
    patients = (generator(0, "patients").integers(0, 160_000, FULL) + 10_000_000).tolist()
    studies = range(40_000_000, 40_000_000 + FULL)
    with (folder / "record_list.csv").open("w") as records, (folder / "machine_measurements.csv").open("w") as measured:
        records.write("subject_id,study_id,file_name,ecg_time,path\n")
        measured.write(f"subject_id,study_id,{','.join(f'report_{i}' for i in range(18))},rr_interval\n")
        for study, patient, row in zip(studies, patients, told, strict=True):
            path = f"files/p{patient // 10000}/p{patient}/s{study}/{study}"
            records.write(f"{patient},{study},{study},2180-07-23 08:44:00,{path}\n")
            cells = ",".join('"' + text.replace('"', '""') + '"' for text in row)
            measured.write(f"{patient},{study},{cells}{',' * (18 - len(row))},659\n")


def catalogued(folder: str) -> None:
    """In a process of its own: what the tables of ``folder`` take; prints seconds and MiB."""
    here = Path(folder)
    paths = {name: here / f"{name}.parquet" for name in Outputs.__dataclass_fields__}
    split = SplitParams(unit="patient", valid_share=0.05, test_share=0.0)
    start = time.perf_counter()
    archive = open_archive("mimic_iv_ecg", here)
    summary = catalogue(archive, "mimic_iv_ecg", "simulated", split, "corrected", 1, Outputs(**paths))
    assert summary.records.total() == FULL
    print(json.dumps({"seconds": time.perf_counter() - start, "mib": peak_mib()}))


def cataloguing(folder: Path) -> str:
    """A line on the tables of MIMIC-IV-ECG."""
    full_tables(folder)
    found = said("--catalogue", str(folder))
    return (
        f"The tables of MIMIC-IV-ECG ({FULL:,} records, made up): catalogued in {found['seconds']:.0f} s, "
        f"{found['mib']:,.0f} MiB at most."
    )


def table(folder: Path | None = None) -> str:
    """All of it as Markdown."""
    with tempfile.TemporaryDirectory() as name:
        place = folder or Path(name)
        paths = sorted(place.rglob("*.hea"))[:RECORDS] if folder else made_up(place)
        with tempfile.TemporaryDirectory() as tables:
            parts = [reading(place, paths), [""], [side_by_side(place)], [""], cleaning(), [""]]
            parts.append([cataloguing(Path(tables))])
    return "\n".join(line for part in parts for line in part)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--catalogue"]:
        catalogued(sys.argv[2])
    elif sys.argv[1:2] == ["--stage"]:
        staged(*sys.argv[2:5])
    else:
        print(table(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
