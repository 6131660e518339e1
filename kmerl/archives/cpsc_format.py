"""CPSC2018's own record files: a MATLAB struct ``ECG`` with sex, age and data (12, n) in mV at 500 Hz."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.files import content_of
from kmerl.archives.matlab import STRUCT, Matrix, damage, variables
from kmerl.archives.wfdb_format import RecordError, Recording, quantise
from kmerl.leads import LEADS

FS = 500
"""Hz; the files do not name it."""

_VARIABLE, _FIELD = "ECG", "data"
_LIMIT = 1 << 28  # bytes of a file, and of an unpacked variable: 12 leads for 90 minutes


class _OtherMakeError(Exception):
    """A whole MATLAB file that holds something else."""


def read_struct(path: Path) -> Recording:
    """Read a record. Its leads have no names; they stand in the order of :data:`kmerl.leads.LEADS`.

    Samples are put on a 16-bit grid over each lead's own range; NaN and infinity are missing samples.

    Raises:
        RecordError: with the reason ``no_signal_file``, ``unreadable_file`` (permissions, a failing disk, no file at
            all), ``empty_signal_file``, ``too_long``, ``unreadable_signal`` (no MATLAB 5 file, or damaged) or
            ``bad_struct`` (no struct ``ECG`` with 12 rows of real numbers).
    """
    content = _content(path)
    try:
        with damage(path.name):
            data = _data(content)
    except _OtherMakeError as error:
        raise RecordError("bad_struct", f"{path.name}: {error}") from None
    parts = [quantise(lead) for lead in data]
    return Recording(
        leads=LEADS,
        fs=float(FS),
        samples=np.stack([samples for samples, _, _ in parts]),
        gain=np.array([gain for _, gain, _ in parts]),
        baseline=np.array([baseline for _, _, baseline in parts]),
        unit=np.ones(len(LEADS)),
    )


def read_matrices(path: Path) -> list[Matrix]:
    """The matrices of real numbers in a MATLAB 5 file, whoever made it, their values not yet read.

    Raises:
        RecordError: as :func:`read_struct`, without ``bad_struct``.
    """
    content = _content(path)
    with damage(path.name):
        return [one for one in variables(content, _LIMIT) if one.is_real and min(one.shape) > 0]


def _content(path: Path) -> bytes:
    content = content_of(path, "no_signal_file", _LIMIT, "too_long")
    if not content:
        raise RecordError("empty_signal_file", f"{path.name} is empty")
    return content


def _data(content: bytes) -> NDArray[np.float64]:
    """The signals (12, n) in mV.

    Raises:
        _OtherMakeError: the file holds no such signals.
        ValueError, struct.error, zlib.error: it is damaged, or no MATLAB 5 file.
    """
    for variable in variables(content, _LIMIT):
        if variable.name == _VARIABLE:
            return _numbers(variable)
    raise _OtherMakeError(f"no variable {_VARIABLE}")


def _numbers(variable: Matrix) -> NDArray[np.float64]:
    """The numbers in the struct's field of signals."""
    if variable.kind != STRUCT or any(n != 1 for n in variable.shape):
        raise _OtherMakeError(f"{_VARIABLE} is no single struct")
    data, where = variable.field(_FIELD), f"{_VARIABLE}.{_FIELD}"
    if data is None:
        raise _OtherMakeError(f"{_VARIABLE} has no field {_FIELD} with an array")
    if not data.is_real and len(data.shape) == 2:
        raise _OtherMakeError(f"{where} is no array of real numbers")
    if len(data.shape) != 2 or data.shape[0] != len(LEADS) or data.shape[1] < 1:
        raise _OtherMakeError(f"{where} is {' x '.join(map(str, data.shape))[:60]}, not {len(LEADS)} leads x samples")
    return data.values(where)
