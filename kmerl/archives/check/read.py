"""Reading what was found, as preprocessing would, in this process or in several."""

import os
import stat
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.check.flags import kind_of
from kmerl.archives.check.rows import Candidate, Row, crash, rejected
from kmerl.archives.recordings import read_file
from kmerl.archives.wfdb_format import RecordError
from kmerl.archives.wfdb_reader import Reader
from kmerl.leads import LEADS
from kmerl.pool import pool
from kmerl.preprocessing.repair import WaveformParams, prepare

_BATCH = 64  # records that a process gets at a time
_ALONE = 16  # batches that are read before the start of processes is worth while
_AHEAD = 4  # batches that wait per process


def read_all(found: Iterable[Candidate | Row], params: WaveformParams, processes: int) -> Iterator[Row]:
    """What became of each record, in the order in which they are found.

    Args:
        found: files to read, and rows that are known already.
        params: what a record must be.
        processes: that read side by side.

    Raises:
        UserError: a process ended abruptly.
    """
    batches = _batches(found)
    for batch in islice(batches, _ALONE if processes > 1 else None):
        yield from read_batch(batch, params)
    first = next(batches, None)
    if first is None:
        return
    broken = "a process that read records ended abruptly, perhaps for want of memory; run again with --processes 1"
    with pool(processes, broken) as submit:
        waiting = deque[Future[list[Row]]]()
        for batch in chain([first], batches):
            waiting.append(submit(read_batch, batch, params))
            if len(waiting) >= _AHEAD * processes:
                yield from waiting.popleft().result()
        for one in waiting:
            yield from one.result()


def _batches(found: Iterable[Candidate | Row]) -> Iterator[list[Candidate | Row]]:
    source = iter(found)
    while batch := list(islice(source, _BATCH)):
        yield batch


def read_batch(batch: Sequence[Candidate | Row], params: WaveformParams) -> list[Row]:
    """What became of some records."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of numbers in damaged files; what matters of them is in a row
        return [one if isinstance(one, Row) else read_one(one, params) for one in batch]


def read_one(candidate: Candidate, params: WaveformParams) -> Row:
    """What became of one record: whatever its file holds, the answer is a row."""
    fs = seconds = None
    reader, memory = _tools(params.samples)
    try:
        if candidate.file.lower().endswith(".mat"):
            _look_at_struct(candidate.file)
        recording = read_file(Path(candidate.file), reader)
        fs, seconds = recording.fs, recording.samples.shape[1] / recording.fs
        waveform = prepare(recording, params, memory)
    except RecordError as error:
        reason, detail = error.reason, str(error)
    except Exception as error:  # a mistake of ours, which must not hide the other records
        reason, detail = "crash", crash(error)
    else:
        flags = tuple(sorted({*waveform.flags, *candidate.flags}))
        repaired = any(kind_of(flag) == "repaired" for flag in flags)
        return Row(
            candidate.group, candidate.record_id, candidate.path, "repaired" if repaired else "read", flags,
            fs=fs, seconds=seconds, leads=waveform.leads, patient=candidate.patient,
        )  # fmt: skip
    row = rejected(candidate.group, candidate.record_id, candidate.path, reason, detail, candidate.patient)
    return row._replace(fs=fs, seconds=seconds)


@lru_cache(1)
def _tools(samples: int) -> tuple[Reader, NDArray[np.int16]]:
    """A reader, and memory for one waveform, of this process."""
    return Reader(), np.empty((len(LEADS), samples), np.int16)


def _look_at_struct(file: str) -> None:
    """Refuse a MATLAB file that keeps a reader waiting, or that is the signals of a header which is not there."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):  # noqa: PTH116 (speed)
            raise RecordError("unreadable_file", f"{Path(file).name} is no file")
        with open(file, "rb") as opened:  # noqa: PTH123 (speed)
            start = opened.read(20)
    except FileNotFoundError:
        return  # the reader tells
    except OSError as error:
        raise RecordError("unreadable_file", f"{Path(file).name}: {error.strerror}") from None
    if len(start) == 20 and start[:4] == _MATLAB_4_INT16:
        raise RecordError("no_header", f"{Path(file).name} holds samples without gain or lead names, and has no header")


_MATLAB_4_INT16 = (30).to_bytes(4, "little")
"""How the signal files of WFDB that are called ``.mat`` begin."""
