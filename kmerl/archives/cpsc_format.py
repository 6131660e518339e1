"""CPSC2018's own record files: a MATLAB struct ``ECG`` with sex, age and data (12, n) in mV at 500 Hz.

The MATLAB 5 format (MathWorks, "MAT-File Format") is read here as far as these files use it, because no damaged file
may end the process: SciPy's reader is compiled code that trusts a file's own sizes, and some damaged ones crash it.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.files import content_of
from kmerl.archives.wfdb_format import MOST_VALUES, RecordError, Recording, quantise
from kmerl.leads import LEADS

FS = 500
"""Hz; the files do not name it."""

_VARIABLE, _FIELD = "ECG", "data"
_PREAMBLE = 128  # bytes: text, version, byte order
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_STRUCT, _NUMERIC = 2, range(6, 16)  # classes of arrays
_COMPLEX = 0x0800
_LIMIT = 1 << 28  # bytes of a file, and of an unpacked variable: 12 leads for 90 minutes


class _OtherMakeError(Exception):
    """A whole MATLAB file that holds something else."""


class _Matrix(NamedTuple):
    kind: int  # class of the array
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    rest: memoryview  # what follows the name


def read_struct(path: Path) -> Recording:
    """Read a record. Its leads have no names; they stand in the order of :data:`kmerl.leads.LEADS`.

    Samples are put on a 16-bit grid over each lead's own range; NaN and infinity are missing samples.

    Raises:
        RecordError: with the reason ``no_signal_file``, ``unreadable_file`` (permissions, a failing disk, no file at
            all), ``empty_signal_file``, ``too_long``, ``unreadable_signal`` (no MATLAB 5 file, or damaged) or
            ``bad_struct`` (no struct ``ECG`` with 12 rows of real numbers).
    """
    content = _content(path)
    with _damage(path):
        data = _data(content)
    parts = [quantise(lead) for lead in data]
    return Recording(
        leads=LEADS,
        fs=float(FS),
        samples=np.stack([samples for samples, _, _ in parts]),
        gain=np.array([gain for _, gain, _ in parts]),
        baseline=np.array([baseline for _, _, baseline in parts]),
        unit=np.ones(len(LEADS)),
    )


def read_matrices(path: Path) -> dict[str, NDArray[np.float64]]:
    """All matrices of real numbers in a MATLAB 5 file by their names, whoever made it.

    Raises:
        RecordError: as :func:`read_struct`, without ``bad_struct``.
    """
    content = _content(path)
    with _damage(path):
        order = _byte_order(content)
        return {
            one.name: _values(one, order, one.name)
            for one in _variables(memoryview(content), order)
            if one.kind in _NUMERIC and not one.is_complex and len(one.shape) == 2 and math.prod(one.shape) > 0
        }


def _content(path: Path) -> bytes:
    content = content_of(path, "no_signal_file", _LIMIT, "too_long")
    if not content:
        raise RecordError("empty_signal_file", f"{path.name} is empty")
    return content


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turns what a damaged or foreign file raises into a reason against it."""
    try:
        yield
    except _OtherMakeError as error:
        raise RecordError("bad_struct", f"{path.name}: {error}") from None
    except (ValueError, struct.error, zlib.error) as error:
        raise RecordError("unreadable_signal", f"{path.name}: no whole MATLAB 5 file ({error})") from None


def _data(content: bytes) -> NDArray[np.float64]:
    """The signals (12, n) in mV.

    Raises:
        _OtherMakeError: the file holds no such signals.
        ValueError, struct.error, zlib.error: it is damaged, or no MATLAB 5 file.
    """
    order = _byte_order(content)
    for variable in _variables(memoryview(content), order):
        if variable.name == _VARIABLE:
            return _numbers(_field(variable, order), order)
    raise _OtherMakeError(f"no variable {_VARIABLE}")


def _byte_order(content: bytes) -> str:
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(content[_PREAMBLE - 4 : _PREAMBLE])
    if order is None:
        raise ValueError("its first 128 bytes are none of that format")
    return order


def _variables(content: memoryview, order: str) -> Iterator[_Matrix]:
    at = _PREAMBLE
    while at < len(content):
        kind, body, at = _element(content, at, order)
        if kind == _COMPRESSED:
            unpacking = zlib.decompressobj()
            unpacked = unpacking.decompress(body, _LIMIT)
            if not unpacking.eof:
                raise ValueError("a packed variable is cut short or too large")
            kind, body, _ = _element(memoryview(unpacked), 0, order)
        if kind == _MATRIX:
            yield _matrix(body, order)


def _element(content: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """The type and body of the element at a position, and where the next one begins."""
    kind, size = struct.unpack_from(f"{order}II", content, at)
    if kind >> 16:  # a small element: the size in the upper half, four bytes for the body
        body, after = content[at + 4 : at + 4 + (kind >> 16)], at + 8
        kind, size = kind & 0xFFFF, kind >> 16
    else:
        body, after = content[at + 8 : at + 8 + size], at + 8 + size
        after += 0 if kind == _COMPRESSED else -size % 8
    if len(body) != size:
        raise ValueError("it ends early")
    return kind, body, after


def _matrix(body: memoryview, order: str) -> _Matrix:
    _, flags, at = _element(body, 0, order)
    _, dimensions, at = _element(body, at, order)
    _, name, at = _element(body, at, order)
    (word,) = struct.unpack_from(f"{order}I", flags)
    shape = tuple(int(n) for n in np.frombuffer(dimensions, f"{order}i4"))
    return _Matrix(word & 0xFF, bool(word & _COMPLEX), shape, bytes(name).decode("latin-1"), body[at:])


def _field(variable: _Matrix, order: str) -> _Matrix:
    """The field of the signals in a struct."""
    if variable.kind != _STRUCT or math.prod(variable.shape) != 1:
        raise _OtherMakeError(f"{_VARIABLE} is no single struct")
    _, length, at = _element(variable.rest, 0, order)
    _, names, at = _element(variable.rest, at, order)
    (width,) = struct.unpack_from(f"{order}i", length)
    if width < 1:
        raise ValueError("its fields have no names")
    for start in range(0, len(names), width):
        kind, body, at = _element(variable.rest, at, order)
        if bytes(names[start : start + width]).rstrip(b"\x00") == _FIELD.encode():
            if kind != _MATRIX or not len(body):
                break
            return _matrix(body, order)
    raise _OtherMakeError(f"{_VARIABLE} has no field {_FIELD} with an array")


def _numbers(data: _Matrix, order: str) -> NDArray[np.float64]:
    where = f"{_VARIABLE}.{_FIELD}"
    if data.kind not in _NUMERIC or data.is_complex:
        raise _OtherMakeError(f"{where} is no array of real numbers")
    if len(data.shape) != 2 or data.shape[0] != len(LEADS) or data.shape[1] < 1:
        raise _OtherMakeError(f"{where} is {' x '.join(map(str, data.shape))[:60]}, not {len(LEADS)} leads x samples")
    return _values(data, order, where)


def _values(data: _Matrix, order: str, where: str) -> NDArray[np.float64]:
    kind, values, _ = _element(data.rest, 0, order)
    if kind not in _NUMBERS:
        raise ValueError(f"{where} has numbers of an unknown type")
    found = np.frombuffer(values, f"{order}{_NUMBERS[kind]}")
    if found.size > MOST_VALUES:
        raise ValueError(f"{where} has {found.size} numbers")
    if found.size != math.prod(data.shape):
        raise ValueError(f"{where} has {found.size} of {math.prod(data.shape)} numbers")
    return found.reshape(data.shape, order="F").astype(np.float64)
