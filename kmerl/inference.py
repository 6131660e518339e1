"""A trained model on stored records: any subset of leads, only visible leads processed (paper App. D.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.errors import UserError
from kmerl.leads import positions
from kmerl.model.encoder import group_tokens
from kmerl.model.network import Network
from kmerl.model.tokens import Tokens, tokenize, trim
from kmerl.waveforms import NormalizeParams, WaveformStore

if TYPE_CHECKING:
    from kmerl.evaluation.params import Way


@dataclass(frozen=True)
class Features:
    """Token features of some records.

    Attributes:
        records: (b,) which of the rows asked for.
        tokens: (b, n, D); of a ResNet18 the n positions of its last feature map.
    """

    records: NDArray[np.int64]
    tokens: Tensor


def visible_tokens(
    store: WaveformStore, row: int, leads: Sequence[str], model: Network, normalize: NormalizeParams
) -> Tokens | None:
    """All tokens of the asked leads that a record has, or None if it has none of them."""
    shown = np.array([lead for lead in positions(leads) if store.present[row] >> lead & 1], np.int64)
    if not len(shown):
        return None
    signal = store.read_normalized_at(row, shown, normalize)
    signal = trim(signal, int(store.records["length"][row]), model.params.tokens)
    return tokenize(signal, shown, model.params.tokens)


@torch.inference_mode()
def encode_records(
    model: Network,
    store: WaveformStore,
    rows: Sequence[int],
    leads: Sequence[str],
    normalize: NormalizeParams,
    batch: int,
) -> Iterator[Features]:
    """Features of ``rows`` seen through ``leads``, batch by batch; records with none of the leads are left out."""
    device = next(model.parameters()).device
    for start in range(0, len(rows), batch):
        indices = range(start, min(start + batch, len(rows)))
        found = [(i, visible_tokens(store, rows[i], leads, model, normalize)) for i in indices]
        kept = [(i, tokens) for i, tokens in found if tokens is not None]
        if not kept:
            continue
        groups, order = group_tokens([tokens for _, tokens in kept])
        places = np.array([kept[k][0] for k in order])
        done = 0
        for group in groups:
            size = len(group[0])
            yield Features(places[done : done + size], model.encode(*(part.to(device) for part in group)))
            done += size


@torch.inference_mode()
def ask_records(
    model: Network,
    store: WaveformStore,
    rows: Sequence[int],
    leads: Sequence[str],
    normalize: NormalizeParams,
    queries: Sequence[NDArray[np.float32]],
    batch: int,
    way: Way,
) -> list[NDArray[np.float32]]:
    """Probabilities of each list of queries; each record is encoded once for all lists.

    The query network answers, or the sigmoid of the contrastive head's cosine over temperature.

    Args:
        model: in eval mode.
        store: where the records are.
        rows: (n,) rows of the store.
        leads: the leads to show.
        normalize: the rule of the model's run.
        queries: lists of query vectors, each (Q, text width); queries of one list see one another.
        batch: records encoded at a time.
        way: ``query`` or ``contrastive``.

    Returns:
        For each list (n, Q); NaN where a record has none of the leads.

    Raises:
        UserError: the model's answers are not finite.
    """
    device = next(model.parameters()).device
    vectors = [torch.from_numpy(np.array(q)).to(device) for q in queries]
    answers = [np.full((len(rows), len(q)), np.nan, dtype=np.float32) for q in queries]
    for features in encode_records(model, store, rows, leads, normalize, batch):
        for answer, vector in zip(answers, vectors, strict=True):
            if way == "contrastive":
                logits = model.compare(features.tokens, vector) / model.method.temperature
            else:
                logits = model.ask(features.tokens, vector)
            probabilities = logits.sigmoid().cpu().numpy()
            if not np.isfinite(probabilities).all():
                raise UserError("the model answers with NaN: its weights are damaged; pretrain it again")
            answer[features.records] = probabilities
    return answers
