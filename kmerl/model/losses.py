"""Losses that methods share: ECG-report contrast (Eq. 4), ECG-entity queries (section 2.5).

They are computed in single precision, whatever autocast does around them: as pairs come close, the gradient of a
contrast in bfloat16 becomes noise.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from kmerl.distributed import compared, world
from kmerl.model.params import ContrastParams, Reduction

RAREST = 1e-3
"""The smallest share of positives, and of negatives, by which the balanced query loss divides."""


@contextmanager
def in_float32(*tensors: Tensor) -> Iterator[list[Tensor]]:
    """The tensors, those of half precision in single, with autocast off for what is computed of them."""
    with torch.autocast(tensors[0].device.type, enabled=False):
        yield [x.float() if x.dtype in (torch.bfloat16, torch.float16) else x for x in tensors]


def contrastive_loss(ecg: Tensor, text: Tensor, reports: Tensor, params: ContrastParams) -> Tensor:
    """L_contrast over the batch of all ranks.

    Args:
        ecg: (B, P) unit vectors of this rank.
        text: (B, P) unit vectors of this rank, row by row the reports of ``ecg``.
        reports: (B,) ids; equal ids are the same report.
        params: the form of the loss.

    Returns:
        The mean over the rows that this rank compares (:func:`kmerl.distributed.compared`). Averaged over ranks, as
        distributed training does with gradients, it is the loss of the whole batch.
    """
    with in_float32(ecg, text) as (own_ecg, own_text):
        ecg, everyone_ecg = compared(own_ecg, params.gather)
        text, everyone_text = compared(own_text, params.gather)
        reports, everyone_reports = compared(reports, params.gather)
        own = own_rows(ecg, everyone_ecg)
        same = reports[:, None] == everyone_reports[None, :]
        loss = _direction(ecg @ everyone_text.T, own, same, params)
        if params.contrastive == "symmetric":
            loss = (loss + _direction(text @ everyone_ecg.T, own, same, params)) / 2
        return loss


def own_rows(rows: Tensor, everyone: Tensor) -> Tensor:
    """(B, N) True where a row of everyone's, all ranks' N, is the same as a row that this rank compares."""
    first = world()[0] * len(rows) if len(rows) < len(everyone) else 0
    return F.one_hot(torch.arange(first, first + len(rows), device=rows.device), len(everyone)).bool()


def _direction(similarity: Tensor, own: Tensor, same: Tensor, params: ContrastParams) -> Tensor:
    """One direction of the contrast.

    Args:
        similarity: (B, N) cosine similarities.
        own: (B, N) True at a row's own pair.
        same: (B, N) True where the report is the row's own report.
        params: the form of the loss.
    """
    logits = similarity / params.temperature
    positives = same if params.duplicates == "positive" else own
    left_out = same & ~own if params.duplicates == "masked" else torch.zeros_like(own)
    if params.contrastive == "paper_eq4":
        left_out = left_out | positives
    # a row whose batch mates are all left out has no negatives and teaches nothing; it is not picked out, as one would
    # have to wait for a GPU to tell how many there are
    has_negatives = (~left_out).any(1)
    normalizer = logits.masked_fill(left_out & has_negatives[:, None], float("-inf")).logsumexp(1)  # (B,)
    log_probability = logits - normalizer[:, None]
    weight = positives.float()
    per_row = -(log_probability * weight).sum(1) / weight.sum(1)
    return per_row.where(has_negatives, 0.0).sum() / len(similarity)


def query_loss(logits: Tensor, labels: Tensor, reduction: Reduction = "mean", shares: Tensor | None = None) -> Tensor:
    """L_CQ: binary cross-entropy of logits with labels, averaged over records.

    Args:
        logits: (B, Q).
        labels: (B, Q) in {0, 1}.
        reduction: over queries; ``mean``, ``sum``, or ``balanced``: the mean of each query's cross-entropy in which its
            positives and its negatives weigh alike over the training records. A positive weighs 1 / 2p and a negative
            1 / 2(1 - p), 1 on average, by the share p of positives among the training records, so that the weights
            depend on no batch. p is held within [:data:`RAREST`, 1 - RAREST]: of a query with fewer positives, or none,
            a positive weighs 500 and all of them together less than the negatives. A logit then tends to that of a
            class as frequent as not; log(p / (1 - p)) more is that of its prevalence.
        shares: (Q,) p of each query, for ``balanced``.
    """
    with in_float32(logits) as (logits,):
        if reduction == "mean":
            return F.binary_cross_entropy_with_logits(logits, labels.float())
        if reduction == "sum":
            return F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="sum") / len(logits)
        if shares is None:
            raise ValueError("the balanced query loss needs the queries' shares of positives")
        p = shares.clamp(RAREST, 1 - RAREST)
        weights = torch.where(labels > 0, 0.5 / p, 0.5 / (1 - p))
        return F.binary_cross_entropy_with_logits(logits, labels.float(), weights)
