"""Records in files of any usual kind: WFDB, MATLAB, NumPy, CSV. None of the readers runs what a file holds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.cpsc_format import read_matrices, read_struct
from kmerl.archives.wfdb_format import RecordError, Recording
from kmerl.archives.wfdb_reader import read_recording
from kmerl.errors import UserError
from kmerl.leads import canonical, is_lead
from kmerl.use.delimited import read_delimited
from kmerl.use.signal import Signal, Stated, from_array, select

KINDS = "WFDB (.hea), MATLAB (.mat), NumPy (.npy) and CSV (.csv, .tsv, .txt)"
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
        if header is None and not path.is_file():
            raise UserError("no such file")
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


def _header(path: Path) -> Path | None:
    """The WFDB header that a path names or belongs to."""
    if path.suffix.lower() == ".hea":
        return path
    beside = path.with_suffix(".hea") if path.suffix.lower() in (".dat", ".mat") else path.with_name(path.name + ".hea")
    return beside if beside.is_file() else None


def _missing_gains(header: Path, leads: Sequence[str]) -> list[str]:
    """A warning if the header gives no gain for leads in use, as header(5) then means 200."""
    lines = [line.split(None, 8) for line in header.read_text("utf-8", errors="replace").splitlines()]
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
    with path.open("rb") as file:
        start = file.read(10)
    if start == b"MATLAB 7.3":
        raise UserError("saved in MATLAB's format 7.3; save it with the option -v7")
    numeric = _matrices_4(path) if 0 in start[:4] else read_matrices(path)
    rates = [float(value.item()) for name, value in numeric.items() if value.size == 1 and name.lower() in _RATES]
    matrices = {name: value for name, value in numeric.items() if value.size > 1}
    if len(matrices) != 1:
        found = ", ".join(sorted(matrices)) or "none"
        raise UserError(f"one matrix of numbers is needed, found: {found}; save it in a file of its own")
    return next(iter(matrices.values())), rates[0] if rates else None


def _matrices_4(path: Path) -> dict[str, NDArray[Any]]:
    """The matrices of a MATLAB 4 file; its format has no text at its start."""
    from scipy.io import loadmat  # slow to import

    try:
        found = loadmat(path)
    except Exception as error:  # the parser raises whatever a damaged file leads it to
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(f"no whole MATLAB 4 file ({said})") from None
    return {n: v for n, v in found.items() if isinstance(v, np.ndarray) and v.dtype.kind in "iuf" and v.size}


def _array(path: Path) -> NDArray[Any]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"not readable as an array of numbers ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(values, np.ndarray):
        raise UserError("several arrays in one file; save the signal as .npy")
    return values


def _from_table(path: Path, leads: Sequence[str] | None, stated: Stated) -> Signal:
    table = read_delimited(path, timed=stated.fs is None)
    if stated.unit is not None and table.unit is not None and stated.unit.lower() != table.unit.lower():
        raise UserError(f"unit {stated.unit} given, but the header says {table.unit}; leave it out")
    names, asked = table.names, leads
    if names is None or (leads and len(leads) == len(names) and not any(map(is_lead, names))):
        names, asked = list(leads) if leads else None, None  # the leads given are the columns' names
    known = replace(stated, fs=stated.fs if stated.fs is not None else table.fs, unit=stated.unit or table.unit)
    return from_array(table.values, names, known, asked, foreign=True)
