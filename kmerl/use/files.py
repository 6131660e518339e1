"""Records in files of any usual kind: WFDB, MATLAB, NumPy, CSV. None of the readers runs what a file holds."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.cpsc_format import read_matrices, read_struct
from kmerl.archives.matlab import damage
from kmerl.archives.wfdb_format import RecordError, Recording
from kmerl.archives.wfdb_reader import header_text, read_recording
from kmerl.errors import UserError
from kmerl.leads import canonical, is_lead
from kmerl.regular import assert_regular, open_regular
from kmerl.use.delimited import MOST_VALUES, read_delimited
from kmerl.use.matlab4 import read_matrices_4
from kmerl.use.signal import Signal, Stated, from_array, select

KINDS = "WFDB (.hea), MATLAB (.mat), NumPy (.npy) and CSV (.csv, .tsv, .txt)"
_NUMPY = b"\x93NUMPY"  # how such a file begins
_RATES = {"fs", "sampling_rate", "samplingrate", "sampling_frequency", "sample_rate", "freq", "frequency", "srate"}


def read_signal(path: Path, leads: Sequence[str] | None = None, stated: Stated | None = None) -> Signal:
    """A record from a file.

    ``.hea`` (or its ``.dat``, ``.mat`` or bare name): WFDB, which names leads, rate and gain itself. ``.mat`` without
    a header: CPSC2018's struct, or one matrix. ``.npy``: (L, S). ``.csv``: a column per lead, perhaps one of times.

    Args:
        path: the file.
        leads: which leads to use, of a file that names its leads; their names, of one that does not.
        stated: rate and unit, of files that do not say.

    Raises:
        UserError: unreadable or of no known kind, something is missing, or the file says itself what was given.
    """
    header = _header(path)
    stated = stated or Stated()
    with _about(path):
        if header is None:
            _assert_file(path)
        matlab = header is None and path.suffix.lower() == ".mat"
        recording = read_recording(header) if header else _struct(path) if matlab else None
        if recording is not None:
            twice = [name for name, value in vars(stated).items() if value is not None]
            if twice:
                raise UserError(f"the file's own format gives {' and '.join(twice)}; leave it out")
            chosen = select(recording, leads, foreign=True)
            doubts = _missing_gains(header, chosen.recording.leads) if header else ()
            return Signal(chosen.recording, (*chosen.warnings, *doubts))
        if matlab:
            values, rate = _matrix(path)
            return from_array(values, leads, stated if stated.fs is not None else replace(stated, fs=rate))
        if path.suffix.lower() == ".npy":
            return from_array(_array(path), leads, stated)
        if path.suffix.lower() in (".csv", ".tsv", ".txt"):
            return _from_table(path, leads, stated)
        raise UserError(f"no kind of file that is read here; these are: {KINDS}")


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Names the file in the message of an error."""
    try:
        yield
    except UserError as error:
        message = str(error).removeprefix(f"{path}:").removeprefix(f"{path.name}:").strip()
        raise UserError(f"{path}: {message}") from None
    except OSError as error:
        raise UserError(f"{path}: not readable ({error.strerror})") from None
    except MemoryError:
        raise UserError(f"{path}: takes more memory than there is; give a part of it") from None


def _header(path: Path) -> Path | None:
    """The WFDB header that a path names or belongs to."""
    if path.suffix.lower() == ".hea":
        return path
    beside = path.with_suffix(".hea") if path.suffix.lower() in (".dat", ".mat") else path.with_name(path.name + ".hea")
    return beside if beside.is_file() else None


def _assert_file(path: Path) -> None:
    try:
        assert_regular(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a NUL in it is a ValueError
        raise UserError("no such file") from None
    except IsADirectoryError:
        raise UserError("no such file, but a folder") from None


def _missing_gains(header: Path, leads: Sequence[str]) -> list[str]:
    """A warning if the header gives no gain for leads in use, as header(5) then means 200."""
    lines = [line.split(None, 8) for line in header_text(header).splitlines()]
    lines = [fields for fields in lines if fields and not fields[0].startswith("#")][1:]
    without = []
    for fields in lines:
        name = fields[8].strip() if len(fields) > 8 else ""
        stated = fields[2].split("/")[0].split("(")[0] if len(fields) > 2 else "0"
        if is_lead(name) and canonical(name) in leads and float(stated or 0) == 0:
            without.append(canonical(name))
    return [f"the header gives no gain for lead {', '.join(without)}; it means 200 steps per mV"] if without else []


def _struct(path: Path) -> Recording | None:
    """CPSC2018's struct, if that is what a MATLAB file holds."""
    try:
        return read_struct(path)
    except RecordError:
        return None  # whether it is damaged is seen when its matrices are read


def _matrix(path: Path) -> tuple[NDArray[Any], float | None]:
    """The one matrix in a MATLAB file, and the sampling rate if one of its variables names it."""
    with open_regular(path) as file:
        start = file.read(10)
    if start == b"MATLAB 7.3":
        raise UserError("saved in MATLAB's format 7.3; save it with the option -v7")
    found: list[tuple[str, int, Callable[[], NDArray[np.float64]]]]  # name, how many numbers, what reads them
    if 0 in start[:4]:
        found = [(name, one.size, partial(np.asarray, one)) for name, one in read_matrices_4(path).items()]
    else:
        found = [(one.name, math.prod(one.shape), partial(one.values, one.name)) for one in read_matrices(path)]
    with damage(path.name):
        rates = [float(read().item()) for name, size, read in found if size == 1 and name.lower() in _RATES]
        large = [one for one in found if one[1] > 1]
        if len(large) != 1:
            names = ", ".join(sorted(name for name, _, _ in large))[:200] or "none"
            raise UserError(f"one matrix of numbers is needed, found: {names}; save it in a file of its own")
        return large[0][2](), rates[0] if rates else None


def _array(path: Path) -> NDArray[Any]:
    """The array in a NumPy file. A map of it is refused, before any memory is taken, where the file holds less."""
    with open_regular(path) as file:
        start = file.read(len(_NUMPY))
    if start[:2] == b"PK":
        raise UserError("several arrays in one file; save the signal as .npy")
    try:
        if start != _NUMPY:
            raise ValueError("no NumPy file")
        with np.errstate(all="ignore"):  # of a shape that overflows
            mapped = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a header of any content is parsed
        raise UserError(f"not readable as an array of numbers ({' '.join(str(error).split())[:120]})") from None
    if mapped.size > MOST_VALUES:
        raise UserError(f"{mapped.size:,} numbers, more than {MOST_VALUES:,}; give a part of them")
    return np.array(mapped)


def _from_table(path: Path, leads: Sequence[str] | None, stated: Stated) -> Signal:
    table = read_delimited(path, timed=stated.fs is None)
    if stated.unit is not None and table.unit is not None and stated.unit.lower() != table.unit.lower():
        raise UserError(f"unit {stated.unit} given, but the header says {table.unit}; leave it out")
    names, asked = table.names, leads
    if names is None or (leads and len(leads) == len(names) and not any(map(is_lead, names))):
        names, asked = list(leads) if leads else None, None  # the leads given are the columns' names
    known = replace(stated, fs=stated.fs if stated.fs is not None else table.fs, unit=stated.unit or table.unit)
    return from_array(table.values, names, known, asked, foreign=True)
