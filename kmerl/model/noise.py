"""Normal random numbers made where the model is, each a function of its stream and place alone."""

import math

import torch
from torch import Tensor


def _signed(x: int) -> int:
    return x - (1 << 64) if x >> 63 else x


_STEP, _FIRST, _SECOND = (_signed(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def normal(streams: Tensor, places: Tensor, n: int) -> Tensor:
    """(K, n) float32 normal numbers, the same on every device within rounding (SplitMix64, then Box and Muller 1958).

    Args:
        streams: (K,) int64, as :func:`kmerl.randomness.streams` begins them.
        places: (K,) int64; those of one stream and different places share no number.
        n: how many.
    """
    half = (n + 1) // 2
    count = places[:, None] * half + torch.arange(1, half + 1, device=places.device)
    bits = _mixed(streams[:, None] + count * _STEP)
    radius = (((_shifted(bits, 40) + 1) * 2.0**-24).log_() * -2).sqrt_()  # of a number in (0, 1]
    angle = (bits & 0xFFFFFF) * (2 * math.pi * 2.0**-24)
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :n]


def _shifted(x: Tensor, by: int) -> Tensor:
    """To the right, as numbers without sign are."""
    return (x >> by) & ((1 << (64 - by)) - 1)


def _mixed(x: Tensor) -> Tensor:
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)
