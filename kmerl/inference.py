"""A trained model on stored records: any subset of leads, only visible leads processed (paper App. D.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


def probabilities(logits: Tensor) -> Tensor:
    """The sigmoid of a model's answers.

    Raises:
        UserError: they are not finite.
    """
    if not logits.isfinite().all():
        raise UserError("the model answers with NaN: its weights are damaged; pretrain it again")
    return logits.sigmoid()
