"""From a waveform to tokens, and which of them the encoder may see (paper sections 2.2 and 2.3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kmerl.leads import LEADS
from kmerl.model.params import MaskParams, TokenParams

if TYPE_CHECKING:
    from kmerl.methods.method import Record


@dataclass(frozen=True)
class Tokens:
    """Visible tokens of one record, or of a batch with a leading axis.

    Attributes:
        segments: (n, p) float32 samples of each visible token.
        leads: (n,) int64 position of its lead in ``LEADS``.
        times: (n,) int64 position of its segment, 0..M-1.
    """

    segments: NDArray[np.float32]
    leads: NDArray[np.int64]
    times: NDArray[np.int64]


def draw_leads(present: NDArray[np.int64], masked: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Dynamic lead masking: the visible leads, sorted, when ``masked`` of the 12 are to be hidden.

    A record that lacks leads shows as many of those present as the draw allows, and at least one.
    """
    visible = min(len(LEADS) - masked, len(present))
    return np.sort(rng.permutation(present)[:visible])


def draw_segments(n_leads: int, n_times: int, params: MaskParams, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Segment masking: (L, M) True where a token stays visible.

    ``per_lead`` hides ``floor(segment_share * M)`` tokens in every lead, independently; ``per_record`` hides as many
    in all, wherever they fall.
    """
    hidden = math.floor(params.segment_share * n_times + 1e-9)  # 0.29 * 100 is 28.999... in floating point
    noise = rng.random((n_leads, n_times))
    if params.segments == "per_lead":
        rank = noise.argsort(axis=1).argsort(axis=1)
        return rank >= hidden
    rank = noise.ravel().argsort().argsort().reshape(noise.shape)
    return rank >= hidden * n_leads


def trim(signal: NDArray[np.float32], length: int, params: TokenParams) -> NDArray[np.float32]:
    """A record's leads (L, S), with the zero padding behind its ``length`` samples left out if it is not to be tokens.

    What is left holds at least one token.
    """
    return signal if params.padding == "tokens" else signal[:, : max(length, params.length)]


def tokenize(
    signal: NDArray[np.float32],
    leads: NDArray[np.int64],
    params: TokenParams,
    visible: NDArray[np.bool_] | None = None,
) -> Tokens:
    """Cut leads into tokens and keep the visible ones.

    Args:
        signal: (L, S) the visible leads only; a tail shorter than a token is left out.
        leads: (L,) their positions in ``LEADS``.
        params: token length, and whether a token spans one lead or all.
        visible: (L, M) tokens to keep, or (1, M) where a token spans all leads; all by default.
    """
    p = params.length
    n_times = signal.shape[1] // p
    cut = signal[:, : n_times * p].reshape(len(leads), n_times, p)  # (L, M, p)
    if params.per == "segment":
        full = np.zeros((len(LEADS), n_times, p), dtype=np.float32)
        full[leads] = cut
        cut = full.transpose(1, 0, 2).reshape(1, n_times, -1)  # (1, M, 12 p)
        leads = np.zeros(1, dtype=np.int64)
    if visible is None:
        visible = np.ones(cut.shape[:2], dtype=bool)
    lead_rows, times = np.nonzero(visible)
    return Tokens(np.ascontiguousarray(cut[lead_rows, times]), leads[lead_rows], times)


def draw_view(
    record: Record,
    masking: MaskParams,
    name: str,
    shared: str,
    alter: Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]] = lambda signal, rng: signal,
) -> Tokens:
    """What a record shows under dynamic lead masking and segment masking (paper section 2.3).

    Args:
        record: in a step of training.
        masking: how much is hidden.
        name: of the record's draws.
        shared: of the draw that all records of a step share, where they share one.
        alter: what becomes of the visible leads (l, S) before they are cut.
    """
    rng = record.rng(name)
    drawing = rng if masking.draw == "per_sample" else record.rng_of_step(shared)
    leads = draw_leads(record.leads, int(drawing.choice(masking.masked_leads)), rng)
    signal = alter(record.read(leads), rng)
    n_leads = 1 if record.tokens.per == "segment" else len(leads)
    visible = draw_segments(n_leads, signal.shape[1] // record.tokens.length, masking, rng)
    return tokenize(signal, leads, record.tokens, visible)
