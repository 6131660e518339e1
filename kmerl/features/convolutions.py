"""Random convolution kernels as features: a baseline that learns nothing but where its thresholds lie.

In the manner of ROCKET (Dempster et al. 2020) and MiniRocket (2021): kernels with random weights look at random leads
at several time scales; a feature is the share of time in which a kernel's response exceeds its threshold, a random
quantile of its responses to some training records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.features.params import RandomConvolutionsParams
from kmerl.leads import from_bit_mask
from kmerl.randomness import generator
from kmerl.waveforms import WaveformStore

_THIN = 8  # thresholds come from every 8th response: neighbours are much alike, and sorting all takes seconds


@dataclass(frozen=True)
class Bank:
    """The kernels of one dilation.

    Attributes:
        dilation: in samples.
        weights: (K, l * length), lead by lead.
        thresholds: (K,) mV.
    """

    dilation: int
    weights: Tensor
    thresholds: Tensor


def shown_signal(store: WaveformStore, row: int, leads: Sequence[str], fs: int) -> Tensor | None:
    """What kernels see of a record: (l, T) mV at about ``fs`` Hz, each lead's mean taken off, without padding.

    A lead that the record lacks is zero; None if it lacks all. Other leads are not read.
    """
    present = from_bit_mask(int(store.present[row]))
    if not any(lead in present for lead in leads):
        return None
    signal = store.read(row, leads)
    step = min(max(1, round(store.fs / fs)), signal.shape[1])
    steps = max(1, int(store.records["length"][row]) // step)
    signal = signal[:, : steps * step].reshape(len(leads), steps, step).mean(2)
    return torch.from_numpy(signal - signal.mean(1, keepdims=True))


def respond(signal: Tensor, weights: Tensor, dilation: int) -> Tensor:
    """Responses of kernels (K, l * length) to a signal (l, T): (K, T), the signal being zero outside."""
    taps = weights.shape[1] // len(signal)
    reach = (taps - 1) * dilation
    padded = torch.nn.functional.pad(signal, (reach // 2, reach - reach // 2)).contiguous()
    shifted = padded.as_strided((len(signal), taps, signal.shape[1]), (padded.stride(0), dilation, 1))
    return weights @ shifted.reshape(weights.shape[1], -1)


def draw_kernels(
    leads: Sequence[str], params: RandomConvolutionsParams, seed: int
) -> list[tuple[int, NDArray[np.float32]]]:
    """(dilation, weights (K, l * length)) for every dilation; the same for every archive.

    A kernel looks at 1 to l leads, few more often than many, with normal weights of mean zero in each.
    """
    rng = generator(seed, "random convolutions", "kernels", *leads)
    drawn = []
    shares = np.array_split(range(params.kernels), len(params.dilations))
    for dilation, share in zip(params.dilations, shares, strict=True):
        weights = np.zeros((len(share), len(leads), params.length), np.float32)
        for kernel in weights:
            count = int(2 ** rng.uniform(0, np.log2(len(leads) + 1)))
            chosen = rng.choice(len(leads), count, replace=False)
            taps = rng.normal(size=(count, params.length))
            kernel[chosen] = taps - taps.mean(1, keepdims=True)
        if len(share):
            drawn.append((dilation, weights.reshape(len(share), -1)))
    return drawn


def fit_banks(
    store: WaveformStore, rows: Sequence[int], leads: Sequence[str], params: RandomConvolutionsParams, seed: int
) -> list[Bank]:
    """Kernels with their thresholds.

    Args:
        store: where the records are.
        rows: training records; ``params.references`` of them are drawn.
        leads: the leads shown.
        params: number and kind of kernels.
        seed: of all draws.

    Without a usable training record the thresholds are zero.
    """
    rng = generator(seed, "random convolutions", "thresholds", store.archive, *leads)
    drawn = np.sort(rng.permutation(np.asarray(rows, np.int64))[: params.references])
    signals = [shown_signal(store, int(row), leads, params.fs) for row in drawn]
    usable = [signal for signal in signals if signal is not None]
    banks = []
    for dilation, kernels in draw_kernels(leads, params, seed):
        weights = torch.from_numpy(kernels)
        quantiles = torch.from_numpy(rng.uniform(size=len(weights)))
        thresholds = torch.zeros(len(weights))
        if usable:
            responses = (
                torch.cat([respond(signal, weights, dilation)[:, ::_THIN] for signal in usable], 1).sort(1).values
            )
            thresholds = responses.gather(1, (quantiles * responses.shape[1]).long()[:, None])[:, 0]
        banks.append(Bank(dilation, weights, thresholds))
    return banks


def convolve(
    store: WaveformStore, rows: Sequence[int], leads: Sequence[str], banks: Sequence[Bank], fs: int
) -> NDArray[np.float32]:
    """(n, K) share of time in which each kernel's response exceeds its threshold; NaN without any of the leads."""
    width = sum(len(bank.thresholds) for bank in banks)
    result = np.full((len(rows), width), np.nan, np.float32)
    for i, row in enumerate(rows):
        signal = shown_signal(store, row, leads, fs)
        if signal is not None:
            result[i] = torch.cat([_shares(signal, bank) for bank in banks]).numpy()
    return result


def _shares(signal: Tensor, bank: Bank) -> Tensor:
    response = respond(signal, bank.weights, bank.dilation)
    # comparing into floats is several times faster than summing booleans
    return torch.gt(response, bank.thresholds[:, None], out=torch.empty_like(response)).mean(1)
