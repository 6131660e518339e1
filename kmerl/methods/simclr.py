"""SimCLR on ECGs: two views of each record, drawn towards one another; no report and no label is looked at.

Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020, Eq. 1. Images are cropped
and recoloured there; here a view shows some of the leads and segments, at another gain and with noise, as ECG
pretraining does (e.g. Gopal et al., 3KG, ML4H 2021: masks; Kiyasseh et al., CLOCS, ICML 2021: leads as views).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from kmerl.methods.method import Encoded, Method, Records, Term
from kmerl.model.params import EncoderParams, Gather, MaskParams, ModelParams, ProjectorParams
from kmerl.randomness import uniform
from kmerl.section import Section

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kmerl.model.network import Network
    from kmerl.model.tokens import Shown
    from kmerl.training.batches import Batch
    from kmerl.training.held import Held
    from kmerl.training.text_vectors import Texts


class Options(Section):
    """What SimCLR adds to an encoder."""

    masking: MaskParams
    gain: tuple[float, float] = Field(
        strict=False, description="a view's waveform is multiplied by a factor drawn evenly from this range"
    )
    noise: float = Field(ge=0, description="deviation of a view's noise, in units of the normalised waveform")
    projector: ProjectorParams
    temperature: float = Field(gt=0, description="tau of Eq. 1 (SimCLR on ImageNet: 0.1)")
    gather: Gather = Field(description="whether gradients flow back to the process whose views others compared")

    @model_validator(mode="after")
    def _a_range(self) -> Options:
        if not 0 < self.gain[0] <= self.gain[1]:
            raise ValueError("gain must be a range of positive factors, the smaller first")
        return self


class SimCLR(Method[Options]):
    """Views of one record against those of the others in its batch."""

    title = "SimCLR"
    section = Options
    curves: ClassVar[Mapping[str, str]] = {"views": "Loss between views", "match": "Views matched, share"}

    def check(self, model: ModelParams) -> None:
        """Raises ValueError if segments are to be masked that the encoder needs."""
        self.options.masking.check(model)

    def show(self, records: Records) -> list[Shown]:
        """Two views, drawn apart from each other, each with another gain and noise."""
        return [self._view(records, f"view {i}") for i in range(2)]

    def _view(self, records: Records, name: str) -> Shown:
        from kmerl.model.tokens import draw_view

        low, high = self.options.gain
        gain = low + (high - low) * uniform(records.streams(f"gain of {name}"), 1)
        noise = records.streams(f"noise of {name}").view(np.int64)
        shown = draw_view(records, self.options.masking, name, name)
        return replace(shown, alter=partial(_alter, gain.astype(np.float32), noise, self.options.noise))

    def parts(self, encoder: EncoderParams, positions: int, text_width: int) -> dict[str, nn.Module]:
        """The projection head g; features are those before it."""
        from kmerl.model.heads import Projector

        return {"project_view": Projector(self.options.projector, encoder.width)}

    def encode(self, network: Network, batch: Batch, texts: Texts) -> Encoded:
        """Two views of each record."""
        one, other = self._projected(network, batch)
        return Encoded({"one": one, "other": other}, [])

    def across(self, vectors: Mapping[str, Tensor], reports: Tensor) -> dict[str, Term]:
        """NT-Xent: of the 2N views of N records each is drawn towards the other of its record."""
        options = self.options
        return {"views": Term(1.0, views_loss(vectors["one"], vectors["other"], options.temperature, options.gather))}

    def validate(self, network: Network, held: Held) -> dict[str, float]:
        """The loss, and the share of views whose nearest one in the batch is the other of their record."""
        losses, matched, seen = 0.0, 0.0, 0
        for batch in held.batches(network):
            one, other = self._projected(network, batch)
            nearest = (one @ other.T).argmax(1)
            right = float((nearest.cpu().numpy() == np.arange(len(one))).sum())
            losses += len(one) * float(views_loss(one, other, self.options.temperature, None))
            matched, seen = matched + right, seen + len(one)
        return {"views": losses / seen, "match": matched / seen} if seen else {}

    def _projected(self, network: Network, batch: Batch) -> tuple[Tensor, Tensor]:
        """Two (B, P) unit vectors of each record."""
        from kmerl.model.heads import unit

        pooled = [view.of_records(network.pool(view.groups)[1]) for view in batch.views]
        head = network.get_submodule("project_view")
        one, other = (unit(head(z)) for z in pooled)
        return one, other


def _alter(
    gain: NDArray[np.float32],
    streams: NDArray[np.int64],
    deviation: float,
    segments: Tensor,
    records: Tensor,
    places: Tensor,
) -> Tensor:
    """Segments (K, p) times their record's gain (B, 1), and noise from its stream (B,)."""
    import torch

    from kmerl.model.noise import normal

    of_record, begins = (torch.from_numpy(part).to(segments.device)[records] for part in (gain, streams))
    return segments * of_record + deviation * normal(begins, places, segments.shape[1])


def views_loss(one: Tensor, other: Tensor, temperature: float, how: Gather | None = "with_gradient") -> Tensor:
    """NT-Xent between two views of each ECG, over the batch of all ranks (Eq. 1).

    Args:
        one: (B, P) unit vectors of this rank.
        other: (B, P), row by row of the same ECGs; all other views in the batch are negatives.
        temperature: tau.
        how: with or without gradients to other ranks; None: this rank alone.

    Returns:
        The mean over the rows that this rank compares; averaged over ranks, the loss of the whole batch.
    """
    import torch

    from kmerl.distributed import compared
    from kmerl.model.losses import in_float32, own_rows

    def direction(rows: Tensor, others: Tensor, mates: Tensor) -> Tensor:
        to_others, to_mates = rows @ others.T / temperature, rows @ mates.T / temperature
        logits = torch.cat([to_others, to_mates.masked_fill(own, float("-inf"))], dim=1)
        return (logits.logsumexp(1) - to_others[own]).mean()

    with in_float32(one, other) as (one, other):
        (one, everyone), (other, everyone_other) = (compared(x, how) if how else (x, x) for x in (one, other))
        own = own_rows(one, everyone)
        return (direction(one, everyone_other, everyone) + direction(other, everyone, everyone_other)) / 2


METHOD = SimCLR
