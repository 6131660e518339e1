"""What the stages share that read archives as preprocessing leaves them."""

import polars as pl

from kmerl.archives.schemas import REJECTED, SPLITS, TARGETS
from kmerl.artifacts import read_table
from kmerl.waveforms import WaveformStore
from stages._places import DATA


def open_store(archive: str) -> WaveformStore:
    """The waveforms of an archive, with the split of each record."""
    return WaveformStore(DATA / "waveforms" / archive, read_table(DATA / "splits" / f"{archive}.parquet", SPLITS))


def read_targets(archive: str) -> pl.DataFrame:
    """The labels of an archive; see ``kmerl.archives.schemas.TARGETS``."""
    return read_table(DATA / "targets" / f"{archive}.parquet", TARGETS)


def rejected_records(archive: str) -> pl.DataFrame:
    """Records of an archive that could not be used, by its tables and by its waveforms."""
    files = sorted((DATA / "rejected" / archive).glob("*.parquet"))
    return pl.concat([read_table(path, REJECTED) for path in files] or [pl.DataFrame(schema=REJECTED.names)])
