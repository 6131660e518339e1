"""What the encoder may see of the records of a batch: leads, and tokens of them (paper sections 2.2 and 2.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kmerl.leads import LEADS
from kmerl.model.params import MaskParams, TokenParams
from kmerl.randomness import uniform

if TYPE_CHECKING:
    from torch import Tensor

    from kmerl.methods.method import Records

Mask = NDArray[np.bool_]
Alter = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""Normalised segments (K, p), which record of the batch each is of (K,), and which of its segments, lead by lead (K,)
-> segments (K, p). It runs where the model is, and must pickle if processes read ahead."""


@dataclass(frozen=True)
class Shown:
    """What a view shows of the B records of a batch.

    Attributes:
        leads: (B, 12) those of which something is shown; a record must have them.
        tokens: (B, 12, M) the tokens shown; (B, 1, M) where a token spans all leads.
        alter: what becomes of normalised segments before they are tokens.
    """

    leads: Mask
    tokens: Mask
    alter: Alter | None = None


def whole_segments(lengths: NDArray[np.int32], samples: int, params: TokenParams) -> Mask:
    """(B, M) the segments that can be tokens, of records of ``lengths`` (B,) before zero padding up to ``samples``.

    A tail shorter than a token is left out, and so is the padding if it is not to be tokens; a record has at least one.
    """
    times = np.arange(samples // params.length)
    if params.padding == "tokens":
        return np.ones((len(lengths), len(times)), bool)
    return times < np.maximum(1, lengths // params.length)[:, None]


def everything(leads: Mask, segments: Mask, params: TokenParams) -> Shown:
    """A view of all that there is of ``leads`` (B, 12), each in ``segments`` (B, M)."""
    rows = leads if params.per == "lead" else np.ones((len(leads), 1), bool)
    return Shown(leads, rows[:, :, None] & segments[:, None])


def draw_leads(present: Mask, masked: NDArray[np.int64], noise: NDArray[np.float64]) -> Mask:
    """Dynamic lead masking: (B, 12) the visible leads, when ``masked`` (B,) of the 12 are to be hidden.

    A record that lacks leads shows as many of those ``present`` (B, 12) as the draw allows, and at least one.

    Args:
        present: the leads that each record has.
        masked: how many are hidden.
        noise: (B, 12) even numbers in [0, 1), by which they are chosen.
    """
    return present & (_ranks(np.where(present, noise, np.inf)) < len(LEADS) - masked[:, None])


def draw_segments(rows: Mask, segments: Mask, params: MaskParams, noise: NDArray[np.float64]) -> Mask:
    """Segment masking: (B, L, M) the tokens that stay visible.

    ``per_lead`` hides ``floor(segment_share * M)`` tokens in every lead, independently; ``per_record`` hides as many
    in all, wherever they fall.

    Args:
        rows: (B, L) the visible leads; one where a token spans all leads.
        segments: (B, M) those that a record has.
        params: how much is hidden.
        noise: (B, l, M) even numbers in [0, 1) for the l leads that a record shows at most.
    """
    counts = rows.sum(1)
    filled = np.arange(noise.shape[1]) < counts[:, None]  # the k-th visible lead of a record draws the k-th numbers
    there = filled[:, :, None] & segments[:, None]
    hidden = np.floor(params.segment_share * segments.sum(1) + 1e-9)  # 0.29 * 100 is 28.999... in floating point
    noise = np.where(there, noise, np.inf)
    if params.segments == "per_lead":
        kept = there & (_ranks(noise) >= hidden[:, None, None])
    else:
        ranks = _ranks(noise.reshape(len(rows), -1)).reshape(noise.shape)
        kept = there & (ranks >= (hidden * counts)[:, None, None])
    visible = np.zeros((*rows.shape, segments.shape[1]), bool)
    visible[rows] = kept[filled]
    return visible


def draw_view(records: Records, masking: MaskParams, name: str, shared: str) -> Shown:
    """What records show under dynamic lead masking and segment masking (paper section 2.3).

    Args:
        records: of a step of training.
        masking: how much is hidden.
        name: of the draws of each record.
        shared: of the draw that all records of a step share, where they share one.
    """
    over_all, n_times = records.tokens.per == "segment", records.segments.shape[1]
    most = 1 if over_all else len(LEADS) - min(masking.masked_leads)
    own = uniform(records.streams(name), 1 + len(LEADS) + most * n_times)
    count = own[:, 0] if masking.draw == "per_sample" else uniform(records.streams_of_step(shared), 1)[:, 0]
    masked = np.array(masking.masked_leads)[(count * len(masking.masked_leads)).astype(int)]
    leads = draw_leads(records.leads, masked, own[:, 1 : 1 + len(LEADS)])
    rows = np.ones((len(leads), 1), bool) if over_all else leads
    noise = own[:, 1 + len(LEADS) :].reshape(-1, most, n_times)
    return Shown(leads, draw_segments(rows, records.segments, masking, noise))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Each value's rank along the last axis."""
    ranks = np.empty(values.shape, np.int64)
    np.put_along_axis(ranks, values.argsort(-1), np.arange(values.shape[-1]), -1)
    return ranks
