"""Random numbers that depend on the seed and on the name of what draws them.

For one thing :func:`generator` is a generator of its own. For the records of a batch :func:`streams` and
:func:`uniform` draw for all at once, and what a record draws depends neither on the batch it stands in nor on what was
drawn before.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)


def seed_of(seed: int, *names: object) -> int:
    """A 63-bit seed derived from ``seed`` and ``names``, the same on every machine."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator of its own for the thing called ``names``."""
    return np.random.default_rng(seed_of(seed, *names))


def streams(members: NDArray[np.int64], seed: int, *names: object) -> NDArray[np.uint64]:
    """Where the numbers of each of ``members`` (B,) begin: a stream (B,) of its own for each in the thing ``names``."""
    return _mixed(np.uint64(seed_of(seed, *names)) + members.astype(np.uint64) * _STEP)


def uniform(streams: NDArray[np.uint64], n: int) -> NDArray[np.float64]:
    """(B, n) numbers in [0, 1): the first of each stream (SplitMix64; Steele et al., OOPSLA 2014)."""
    counted = np.arange(1, n + 1, dtype=np.uint64) * _STEP
    return (_mixed(streams[:, None] + counted) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
