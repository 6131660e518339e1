"""MATLAB 4 files, which have no text at their start: matrices one behind another, each with 20 bytes before it."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.matlab import MOST_PARTS
from kmerl.archives.wfdb_format import MOST_VALUES
from kmerl.errors import UserError
from kmerl.regular import content_of

_LARGEST = 1 << 28  # bytes, as of a MATLAB 5 file
_NUMBERS = ("f8", "f4", "i4", "i2", "u2", "u1")
_LONGEST_NAME = 1 << 16  # bytes


def read_matrices_4(path: Path) -> dict[str, NDArray[np.float64]]:
    """The matrices of real numbers by their names; texts, sparse and complex matrices are left out.

    Raises:
        UserError: no whole MATLAB 4 file.
        OSError: no file that can be read.
    """
    try:
        return _matrices(content_of(path, _LARGEST))
    except (ValueError, struct.error) as error:
        raise UserError(f"no whole MATLAB 4 file ({error})") from None


def _matrices(content: bytes) -> dict[str, NDArray[np.float64]]:
    found: dict[str, NDArray[np.float64]] = {}
    at, total = 0, 0
    while at < len(content):
        order = "<" if struct.unpack_from("<i", content, at)[0] in range(5000) else ">"
        code, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", content, at)
        machine, zero, precision, kind = code // 1000, code // 100 % 10, code // 10 % 10, code % 10
        if machine != (order == ">") or zero or precision >= len(_NUMBERS) or kind > 2 or min(rows, columns) < 0:
            raise ValueError("it begins with no matrix")
        if not 0 < length <= _LONGEST_NAME or len(found) >= MOST_PARTS:
            raise ValueError(f"a name of {length} bytes, or more than {MOST_PARTS} matrices")
        dtype = np.dtype(f"{order}{_NUMBERS[precision]}")
        start, count = at + 20 + length, rows * columns
        at = start + count * dtype.itemsize * (2 if imaginary else 1)
        if at > len(content):
            raise ValueError(f"{rows} x {columns} numbers announced, and it ends early")
        if kind or imaginary or not count:
            continue
        total += count
        if total > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES} numbers")
        name = content[start - length : start].rstrip(b"\0").decode("latin-1")
        values = np.frombuffer(content, dtype, count, start)
        found[name] = values.reshape((rows, columns), order="F").astype(np.float64, copy=False)
    return found
