"""Random generators that depend on the seed and on the name of what draws from them."""

import hashlib

import numpy as np


def seed_of(seed: int, *names: object) -> int:
    """A 63-bit seed derived from ``seed`` and ``names``, the same on every machine."""
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator of its own for the thing called ``names``."""
    return np.random.default_rng(seed_of(seed, *names))
