"""Sets of millions of texts in eight bytes of memory each."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable

import numpy as np


def key(text: bytes) -> int:
    """Eight bytes of a hash: among 1.6 million texts two have the same with a probability of 7e-8."""
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


class Keys:
    """A set of texts that can be asked whether it holds one.

    Args:
        texts: read once, one at a time.
    """

    def __init__(self, texts: Iterable[bytes]) -> None:
        self._sorted = ordered(array("Q", map(key, texts)))

    def __contains__(self, text: bytes) -> bool:
        wanted = key(text)
        place = bisect_left(self._sorted, wanted)
        return place < len(self._sorted) and self._sorted[place] == wanted


def ordered(keys: "array[int]") -> "array[int]":
    """The same keys, sorted."""
    return array("Q", np.sort(np.frombuffer(keys, np.uint64)).tobytes())


def repeated(keys: "array[int]") -> set[int]:
    """Keys that stand more than once."""
    values = np.sort(np.frombuffer(keys, np.uint64))
    return set(values[1:][values[1:] == values[:-1]].tolist())
