"""Losses that methods share: ECG-report contrast (Eq. 4), ECG-entity queries (section 2.5)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from kmerl.distributed import gather, world
from kmerl.model.params import ContrastParams


def contrastive_loss(ecg: Tensor, text: Tensor, reports: Tensor, params: ContrastParams) -> Tensor:
    """L_contrast over the batch of all ranks.

    Args:
        ecg: (B, P) unit vectors of this rank.
        text: (B, P) unit vectors of this rank, row by row the reports of ``ecg``.
        reports: (B,) ids; equal ids are the same report.
        params: the form of the loss.

    Returns:
        The mean over this rank's rows. Averaged over ranks, as distributed training does with gradients, it is
        the loss of the whole batch.
    """
    everyone_ecg, everyone_text, everyone_reports = gather(ecg), gather(text), gather(reports)
    own = own_rows(ecg, everyone_ecg)
    same = reports[:, None] == everyone_reports[None, :]
    loss = _direction(ecg @ everyone_text.T, own, same, params)
    if params.contrastive == "symmetric":
        loss = (loss + _direction(text @ everyone_ecg.T, own, same, params)) / 2
    return loss


def own_rows(rows: Tensor, everyone: Tensor) -> Tensor:
    """(B, N) True where a row of everyone's, all ranks' N, is this rank's own."""
    first = world()[0] * len(rows)
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


def query_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """L_CQ: binary cross-entropy of logits (B, Q) with labels (B, Q) in {0, 1}, averaged over both axes."""
    return F.binary_cross_entropy_with_logits(logits, labels.float())
