"""What records show, read for a whole batch at once, and cut into tokens where the model is.

Samples stay int16 until they are there: half the bytes of float32, and no arithmetic where they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.leads import LEADS
from kmerl.model.encoder import Group
from kmerl.model.layers import Sizes
from kmerl.model.params import TokenParams
from kmerl.model.tokens import Alter, Shown
from kmerl.waveforms import NormalizeParams, WaveformStore

_AT_ONCE = 1024  # segments


@dataclass(frozen=True)
class Reading:
    """What a view shows of B records, as the store has it.

    Attributes:
        order: (B,) the records in the order in which they are cut: those that show equally many tokens in a row.
        sizes: (b, n) of each such group: its records, and the tokens of each of them.
        length: p.
        limit: the input is clipped to plus and minus this, or None.
        alter: of the view.
        samples: (R, S) the leads of which something is shown, record by record.
        factor, shift: (R,) float32; the model's input is sample * factor + shift.
        owner, lead: (R,) of which record in the batch each is, and which lead of it.
        pieces: (K,) the segments shown, by their place among the R M of ``samples``.
        times: (T,) the segment of each token that spans all leads, or None.
        places: (K,) where the segments lie among the 12 T of such tokens; None where they fill them in order.
    """

    order: NDArray[np.int64]
    sizes: Sizes
    length: int
    limit: float | None
    alter: Alter | None
    samples: Tensor
    factor: Tensor
    shift: Tensor
    owner: Tensor
    lead: Tensor
    pieces: Tensor
    times: Tensor | None
    places: Tensor | None

    def pin_memory(self) -> Reading:
        """The same in memory from which a GPU is sent to without waiting."""
        pinned: dict[str, Any] = {
            field.name: value.pin_memory()
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **pinned)

    def cut(self, device: torch.device) -> list[Group]:
        """The tokens on a device; nothing waits for it."""
        n_times = self.samples.shape[1] // self.length

        def there(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        pieces = there(self.pieces)
        of_lead = pieces // n_times
        samples = there(self.samples)[:, : n_times * self.length].reshape(-1, self.length)
        segments = _scaled(samples, pieces, there(self.factor)[of_lead, None], there(self.shift)[of_lead, None])
        if self.limit is not None:
            segments.clamp_(-self.limit, self.limit)
        leads, times = there(self.lead)[of_lead], pieces % n_times
        if self.alter is not None:
            segments = self.alter(segments, there(self.owner)[of_lead], leads * n_times + times)
        if self.times is not None:
            if self.places is not None:
                full = segments.new_zeros(len(self.times) * len(LEADS), self.length)
                segments = full.index_copy_(0, there(self.places), segments)
            segments, times = segments.view(-1, len(LEADS) * self.length), there(self.times)
            leads = torch.zeros_like(times)
        rows = [b * n for b, n in self.sizes]
        parts = zip(*(part.split(rows) for part in (segments, leads, times)), self.sizes, strict=True)
        return [(s.unflatten(0, size), le.view(size), t.view(size)) for s, le, t, size in parts]


def _scaled(samples: Tensor, pieces: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """(K, p) float32 of those ``pieces`` (K,) of samples (R M, p), times a factor (K, 1) and shifted."""
    if samples.device.type != "cpu":
        return samples.index_select(0, pieces).float().mul_(factor).add_(shift)
    # page faults cost more than the arithmetic: NumPy asks for huge pages, and what lies between stays in the cache
    segments = torch.from_numpy(np.empty((len(pieces), samples.shape[1]), np.float32))
    for part, chosen, by, plus in zip(*(x.split(_AT_ONCE) for x in (segments, pieces, factor, shift)), strict=True):
        part.copy_(samples.index_select(0, chosen)).mul_(by).add_(plus)
    return segments


def read(
    store: WaveformStore, rows: NDArray[np.int64], shown: Shown, params: TokenParams, normalize: NormalizeParams
) -> Reading:
    """What a view shows of records.

    Args:
        store: where they are.
        rows: (B,) of the store.
        shown: what of them.
        params: how they are cut.
        normalize: what the samples become.

    Raises:
        UserError: a shard is missing or damaged.
    """
    counts = shown.tokens.sum((1, 2))
    order = counts.argsort(kind="stable")
    n, b = np.unique(counts, return_counts=True)
    rows, leads, visible = rows[order], shown.leads[order], shown.tokens[order]
    record, lead = np.nonzero(leads)
    factor, shift = store.scaling(rows, leads, normalize)
    times = places = None
    if params.per == "lead":
        pieces = np.flatnonzero(visible[leads])
    else:
        owner, times = np.nonzero(visible[:, 0])
        token, of_token = np.nonzero(leads[owner])
        place = leads.cumsum().reshape(leads.shape) - 1  # of a lead among the R
        pieces = place[owner[token], of_token] * visible.shape[2] + times[token]
        if len(pieces) < len(LEADS) * len(times):
            places = token * len(LEADS) + of_token
    arrays = {
        "samples": store.samples_of(rows[record], lead), "factor": factor[record, lead], "shift": shift[record, lead],
        "owner": order[record], "lead": lead, "pieces": pieces,
    }  # fmt: skip
    return Reading(
        order=order, sizes=list(zip(b.tolist(), n.tolist(), strict=True)), length=params.length,
        limit=normalize.limit, alter=shown.alter,
        **{name: torch.from_numpy(array) for name, array in arrays.items()},
        times=None if times is None else torch.from_numpy(times),
        places=None if places is None else torch.from_numpy(places),
    )  # fmt: skip
