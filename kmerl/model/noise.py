"""Normal random numbers made where the model is, each a function of its stream and place alone, to the last bit."""

from functools import cache

import torch
from torch import Tensor


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


_STEP, _FIRST, _SECOND = (_signed(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def normal(streams: Tensor, places: Tensor, n: int) -> Tensor:
    """(K, n) float32 normal numbers, the same on every device: quantiles of four even numbers of 16 bits in each draw.

    Logarithms and cosines, of which they are made otherwise, differ in the last bits by device and by the size of a
    batch. The largest is 4.3.

    Args:
        streams: (K,) int64, as :func:`kmerl.randomness.streams` begins them.
        places: (K,) int64; those of one stream and different places share no draw.
        n: how many.
    """
    draws = -(-n // 4)
    count = places[:, None] * draws + torch.arange(1, draws + 1, device=places.device)
    bits = _mixed(streams[:, None] + count * _STEP)
    even = torch.stack([bits >> by & 0xFFFF for by in range(0, 64, 16)], dim=-1).flatten(1)[:, :n]
    return _quantiles(places.device)[even]


@cache
def _quantiles(device: torch.device) -> Tensor:
    """(2**16,) of the normal distribution, at the middles of as many equal shares."""
    shares = (torch.arange(1 << 16, dtype=torch.float64) + 0.5) / (1 << 16)
    return torch.special.ndtri(shares).float().to(device)


def _mixed(x: Tensor) -> Tensor:
    """As :mod:`kmerl.randomness` mixes; torch shifts numbers with their sign, so the bits that come in are cleared."""
    x = (x ^ (x >> 30 & (1 << 34) - 1)) * _FIRST
    x = (x ^ (x >> 27 & (1 << 37) - 1)) * _SECOND
    return x ^ (x >> 31 & (1 << 33) - 1)
