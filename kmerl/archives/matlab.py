"""MATLAB 5 files (MathWorks, "MAT-File Format"), read forward and unpacked no further than is asked for.

SciPy's reader is compiled code that trusts a file's own sizes, and some damaged files crash it. Here a variable's head
(its class, shape and name) is read first; what it holds is unpacked only for who wants its values, piece by piece, and
never beyond what the head announces.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.wfdb_format import MOST_VALUES, RecordError

STRUCT, NUMERIC = 2, range(6, 16)  # classes of arrays
MOST_PARTS = 1000
"""A file with more variables, or a struct with more fields, is no record: each costs time and memory."""

_PREAMBLE = 128  # bytes: text, version, byte order
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_COMPLEX = 0x0800
_DESCRIPTION = 1 << 16  # bytes of a name, a shape or all names of a struct's fields
_PIECE = 1 << 16  # bytes unpacked at a time


class Source:
    """The bytes of a variable, read forward; :class:`_Packed` unpacks them on the way."""

    def __init__(self, content: memoryview) -> None:
        self._content, self.at = content, 0

    def take(self, n: int) -> memoryview:
        """The next ``n`` bytes.

        Raises:
            ValueError: there are fewer.
        """
        taken = self._content[self.at : self.at + n]
        if len(taken) != n:
            raise ValueError("it ends early")
        self.at += n
        return taken

    def skip(self, n: int) -> None:
        """Leave out ``n`` bytes, or what there is of them."""
        self.at += n

    def finish(self) -> None:
        """Make sure that what is left is whole, as far as the file has a checksum of it."""


class _Packed(Source):
    """The bytes of a packed variable; of one that announces more than ``most`` bytes none is unpacked."""

    def __init__(self, content: memoryview, order: str, most: int) -> None:
        super().__init__(content)
        self._unpacking, self._fed, self._end = zlib.decompressobj(), 0, 8
        self.kind, size = struct.unpack(f"{order}II", self.take(8))
        self._end += size
        if size > most:
            raise ValueError("a packed variable is cut short or too large")

    def _piece(self, most: int) -> bytes:
        """Some of the next bytes, at most so many; none at the end."""
        while not self._unpacking.eof:
            packed = self._unpacking.unconsumed_tail or self._content[self._fed : self._fed + _PIECE]
            if not self._unpacking.unconsumed_tail:
                self._fed += len(packed)
            piece = self._unpacking.decompress(packed, min(most, _PIECE))
            if piece:
                self.at += len(piece)
                return piece
            if not packed:
                raise ValueError("a packed variable is cut short or too large")
        return b""

    def take(self, n: int) -> memoryview:
        if self.at + n > self._end:
            raise ValueError("it ends early")
        taken = bytearray(n)
        got = 0
        while got < n:
            piece = self._piece(n - got)
            if not piece:
                raise ValueError("it ends early")
            taken[got : got + len(piece)] = piece
            got += len(piece)
        return memoryview(taken)

    def skip(self, n: int) -> None:
        to = min(self.at + n, self._end)
        while self.at < to and self._piece(to - self.at):
            pass

    def finish(self) -> None:
        self.skip(self._end - self.at)
        if self.at < self._end:
            raise ValueError("it ends early")
        if self._piece(_PIECE) and self._piece(1):
            raise ValueError("a packed variable is longer than it says")


@dataclass(frozen=True)
class Matrix:
    """An array whose head is read; its values, or those of its fields, follow in ``source``.

    Attributes:
        kind: class of the array: :data:`STRUCT`, or one of :data:`NUMERIC`.
    """

    kind: int
    is_complex: bool
    shape: tuple[int, ...]
    name: str
    source: Source
    order: str

    @property
    def is_real(self) -> bool:
        """Whether it holds real numbers in two dimensions."""
        return self.kind in NUMERIC and not self.is_complex and len(self.shape) == 2

    def values(self, what: str) -> NDArray[np.float64]:
        """Its numbers; ``what`` names it in messages. They can be asked for once.

        Raises:
            ValueError, zlib.error: they are not all there, not numbers, or more than a record has.
        """
        kind, size, small = _tag(self.source, self.order)
        if kind not in _NUMBERS:
            raise ValueError(f"{what} has numbers of an unknown type")
        dtype = np.dtype(f"{self.order}{_NUMBERS[kind]}")
        count, announced = size // dtype.itemsize, math.prod(self.shape)
        if count > MOST_VALUES:
            raise ValueError(f"{what} has {count} numbers")
        if count != announced or size % dtype.itemsize:
            raise ValueError(f"{what} has {count} of {str(announced)[:40]} numbers")
        found = np.frombuffer(self.source.take(size) if small is None else small, dtype)
        self.source.finish()
        return found.reshape(self.shape, order="F").astype(np.float64, copy=False)

    def field(self, name: str) -> "Matrix | None":
        """The array in a field of a single struct; None where there is none of this name.

        Raises:
            ValueError, struct.error, zlib.error: it is damaged.
        """
        (width,) = struct.unpack_from(f"{self.order}i", _description(self.source, self.order))
        names = bytes(_description(self.source, self.order))
        if width < 1:
            raise ValueError("its fields have no names")
        if len(names) > width * MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} fields")
        for start in range(0, len(names), width):
            kind, size, small = _tag(self.source, self.order)
            if names[start : start + width].rstrip(b"\x00") == name.encode():
                return _matrix(self.source, self.order) if kind == _MATRIX and size and small is None else None
            if small is None:
                self.source.skip(size)
        return None


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Turns what a damaged or foreign file raises into a reason against it (``unreadable_signal``)."""
    try:
        yield
    except (ValueError, struct.error, zlib.error) as error:
        raise RecordError("unreadable_signal", f"{name}: no whole MATLAB 5 file ({error})") from None


def variables(content: bytes, most: int) -> Iterator[Matrix]:
    """The arrays of a file, their values not yet read.

    Args:
        content: of the file.
        most: bytes that one of them may take when it is unpacked.

    Raises:
        ValueError, struct.error, zlib.error: it is damaged, or no MATLAB 5 file.
    """
    order = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}.get(content[_PREAMBLE - 4 : _PREAMBLE])
    if order is None:
        raise ValueError("its first 128 bytes are none of that format")
    whole, at, found = memoryview(content), _PREAMBLE, 0
    while at < len(content):
        found += 1
        if found > MOST_PARTS:
            raise ValueError(f"it has more than {MOST_PARTS} variables")
        kind, size = struct.unpack_from(f"{order}II", whole, at)
        if kind >> 16:  # a small element holds no array
            at += 8
            continue
        body = whole[at + 8 : at + 8 + size]
        if len(body) != size:
            raise ValueError("it ends early")
        at += 8 + size + (0 if kind == _COMPRESSED else -size % 8)
        if kind == _COMPRESSED:
            packed = _Packed(body, order, most)
            if packed.kind == _MATRIX:
                yield _matrix(packed, order)
        elif kind == _MATRIX:
            yield _matrix(Source(body), order)


def _tag(source: Source, order: str) -> tuple[int, int, memoryview | None]:
    """The type and size of the next element, and its body if it is a small one, which stands in the tag itself."""
    source.skip(-source.at % 8)
    word = source.take(8)
    kind, size = struct.unpack(f"{order}II", word)
    if kind >> 16:  # the size is in the upper half, and four bytes are left for the body
        kind, size = kind & 0xFFFF, kind >> 16
        if size > 4:
            raise ValueError("it ends early")
        return kind, size, word[4 : 4 + size]
    return kind, size, None


def _description(source: Source, order: str) -> memoryview:
    """The body of an element that describes an array."""
    _, size, small = _tag(source, order)
    if small is not None:
        return small
    if size > _DESCRIPTION:
        raise ValueError(f"a name or shape of {size} bytes")
    return source.take(size)


def _matrix(source: Source, order: str) -> Matrix:
    flags, dimensions, name = (_description(source, order) for _ in range(3))
    (word,) = struct.unpack_from(f"{order}I", flags)
    shape = tuple(int(n) for n in np.frombuffer(dimensions, f"{order}i4"))
    return Matrix(word & 0xFF, bool(word & _COMPLEX), shape, bytes(name).decode("latin-1"), source, order)
