"""MERL: whole records, drawn towards their report by contrast, and towards themselves under two dropouts.

Liu et al., Zero-Shot ECG Classification with Multimodal Learning and Test-time Clinical Knowledge Enhancement, ICML
2024, section 3; the form of the losses and the sizes are those of its released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from kmerl.methods.method import Encoded, Method, Records, Term
from kmerl.model.params import ContrastParams, EncoderParams, Gather, ModelParams, ProjectorParams
from kmerl.section import Section

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kmerl.model.network import Network
    from kmerl.model.tokens import Shown
    from kmerl.training.batches import Batch
    from kmerl.training.held import Held
    from kmerl.training.text_vectors import Texts


class MerlProjectorParams(ProjectorParams):
    """MERL's heads."""

    dropout: float = Field(
        ge=0, lt=1, description="of the two linear maps of an ECG that the uni-modal loss compares (MERL: 0.1)"
    )


class LossParams(ContrastParams):
    """Cross-modal and uni-modal alignment."""

    unimodal_weight: float = Field(
        ge=0, description="weight of the uni-modal loss, between two dropouts of each ECG (MERL: 1)"
    )


class Options(Section):
    """What MERL adds to an encoder."""

    projector: MerlProjectorParams
    loss: LossParams
    text_layers: int = Field(ge=0, description="how many of the text encoder's last layers learn (MERL's code: 0)")

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if (self.loss.unimodal_weight > 0) != (self.projector.dropout > 0):
            raise ValueError(
                "loss.unimodal_weight compares two dropouts: set projector.dropout above 0 with it, or neither"
            )
        if self.loss.contrastive_weight == self.loss.unimodal_weight == 0:
            raise ValueError("loss.contrastive_weight and loss.unimodal_weight are 0: nothing would be learnt")
        return self


class MERL(Method[Options]):
    """K-MERL's predecessor."""

    title = "MERL"
    section = Options
    curves: ClassVar[Mapping[str, str]] = {
        "contrastive": "ECG-report loss",
        "unimodal": "ECG-ECG loss",
        "auc": "Entities, AUC",
    }

    def __init__(self, options: Options):
        super().__init__(options)
        self.ways = ("contrastive",) if options.loss.contrastive_weight else ()
        self.temperature, self.text_layers = options.loss.temperature, options.text_layers

    def check(self, model: ModelParams) -> None:
        """Raises ValueError if its heads do not go with the encoder."""
        self.options.projector.check(model)

    def show(self, records: Records) -> list[Shown]:
        """One view, of everything."""
        from kmerl.model.tokens import everything

        return [everything(records.leads, records.segments, records.tokens)]

    def parts(self, encoder: EncoderParams, positions: int, text_width: int) -> dict[str, nn.Module]:
        """Two projectors, and two linear maps with dropout."""
        from torch import nn

        from kmerl.model.heads import projectors

        projector = self.options.projector

        def view() -> nn.Module:
            return nn.Sequential(nn.Linear(encoder.width, projector.width, bias=False), nn.Dropout(projector.dropout))

        found = projectors(projector, encoder, positions, text_width)
        return found | {"views": nn.ModuleList(view() for _ in range(2 if projector.dropout else 0))}

    def encode(self, network: Network, batch: Batch, texts: Texts) -> Encoded:
        """ECGs and their reports in the shared space, and each ECG under two dropouts."""
        from kmerl.model.heads import unit

        reports = texts.of_reports(batch.reports, network.device)
        features, pooled = network.pool(batch.views[0].groups)
        seen = [unit(view(pooled)) for view in network.get_submodule("views").children()]
        ecg, text = network.project(features, pooled), network.embed_text(reports)
        return Encoded({"ecg": ecg, "text": text} | dict(zip(("one", "other"), seen, strict=False)), features)

    def across(self, vectors: Mapping[str, Tensor], reports: Tensor) -> dict[str, Term]:
        """ECG and report, and ECG and ECG."""
        from kmerl.model.losses import contrastive_loss

        loss = self.options.loss
        contrast = contrastive_loss(vectors["ecg"], vectors["text"], reports, loss)
        terms = {"contrastive": Term(loss.contrastive_weight, contrast)}
        if "one" in vectors:
            alike = unimodal_loss(vectors["one"], vectors["other"], loss.temperature, loss.gather)
            terms["unimodal"] = Term(loss.unimodal_weight, alike)
        return terms

    def validate(self, network: Network, held: Held) -> dict[str, float]:
        """By the vocabulary, compared with the names, all leads shown: macro AUC."""
        return held.by_vocabulary(network, "contrastive") if self.ways else {}


def unimodal_loss(one: Tensor, other: Tensor, temperature: float, how: Gather = "with_gradient") -> Tensor:
    """The second loss: symmetric InfoNCE between two views of each ECG, over the batch of all ranks.

    Args:
        one: (B, P) unit vectors of this rank.
        other: (B, P), row by row of the same ECGs; those of other ECGs are negatives, whatever their report.
        temperature: as of the contrast with reports.
        how: with or without gradients to other ranks.

    Returns:
        The mean over the rows that this rank compares, as :func:`kmerl.model.losses.contrastive_loss`.
    """
    import torch.nn.functional as F

    from kmerl.distributed import compared
    from kmerl.model.losses import in_float32, own_rows

    with in_float32(one, other) as (one, other):
        (one, everyone), (other, everyone_other) = compared(one, how), compared(other, how)
        target = own_rows(one, everyone).float()
        there = F.cross_entropy(one @ everyone_other.T / temperature, target)
        return (there + F.cross_entropy(other @ everyone.T / temperature, target)) / 2


METHOD = MERL
