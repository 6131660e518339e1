"""A trained model on stored records: any subset of leads, only visible leads processed (paper App. D.3)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.errors import UserError
from kmerl.leads import LEADS, positions
from kmerl.model.network import Network
from kmerl.model.reading import read
from kmerl.model.tokens import everything, whole_segments
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
    tokens = model.params.tokens
    asked = np.isin(np.arange(len(LEADS)), positions(leads))
    for start in range(0, len(rows), batch):
        found = np.array(rows[start : start + batch], np.int64)
        shown = store.leads_of(found) & asked
        there = np.flatnonzero(shown.any(1))
        if not len(there):
            continue
        segments = whole_segments(store.lengths[found[there]], store.samples, tokens)
        reading = read(store, found[there], everything(shown[there], segments, tokens), tokens, normalize)
        places, done = start + there[reading.order], 0
        for group in reading.cut(model.device):
            size = len(group[0])
            yield Features(places[done : done + size], model.encode(*group))
            done += size


def probabilities(logits: Tensor) -> Tensor:
    """The sigmoid of a model's answers.

    Raises:
        UserError: they are not finite.
    """
    if not logits.isfinite().all():
        raise UserError("the model answers with NaN: its weights are damaged; pretrain it again")
    return logits.sigmoid()
