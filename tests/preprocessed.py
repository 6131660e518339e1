"""Read records into a store, with a fault: ``python tests/preprocessed.py RAW OUT RECORDS SHARD PROCESSES FAULT``.

Processes that read import this file too, so that they have the fault as well. Prints peak memory in MB.
"""

import os
import resource
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import polars as pl

from kmerl.errors import UserError
from kmerl.preprocessing import blocks
from tests.archives import params

FILES = 12
"""Records r0 to r11 of the archive; further ones are the same files again."""


def entries(records: int) -> pl.DataFrame:
    schema = {"record_id": pl.String, "patient_id": pl.String, "file": pl.String, "flags": pl.List(pl.String)}
    rows = [(str(i), None, f"r{i % FILES}.hea", []) for i in range(records)]
    return pl.DataFrame(rows, schema, orient="row")


def run(raw: Path, out: Path, records: pl.DataFrame, shard: int, processes: int) -> blocks.Summary:
    source = blocks.Source(raw, "csn", "recorded", params(shard_records=shard), out / "scratch")
    return blocks.preprocess(source, records, out / "waveforms", out / "lost.parquet", processes)


def with_fault(fault: str, out: Path) -> None:
    """Change how the file r7 is read, which belongs to the third block of three records."""
    reading, first = blocks.read_file, out / "scratch/block-00000"

    def read(path, reader):
        if Path(path).stem == "r7" and fault == "sleep":
            (out / f"asleep-{os.getpid()}").touch()
            time.sleep(60)
        if Path(path).stem == "r7" and fault == "die":
            while not first.exists():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        return reading(path, reader)

    blocks.read_file = read
    blocks._WORTH = 1


if __name__ in ("__main__", "__mp_main__"):
    raw, out = map(Path, sys.argv[1:3])
    with_fault(sys.argv[6], out)
if __name__ == "__main__":
    try:
        run(raw, out, entries(int(sys.argv[3])), int(sys.argv[4]), int(sys.argv[5]))
    except UserError as error:
        sys.exit(str(error))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
