"""K-MERL: few visible leads, drawn towards their report by contrast and asked for its entities (paper section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from kmerl.methods.method import Encoded, Method, Records, Term
from kmerl.model.params import (
    ContrastParams,
    EncoderParams,
    MaskParams,
    ModelParams,
    ProjectorParams,
    QueryParams,
    Reduction,
)
from kmerl.section import Section

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kmerl.evaluation.params import Way
    from kmerl.model.network import Network
    from kmerl.model.tokens import Shown
    from kmerl.training.batches import Batch
    from kmerl.training.held import Held
    from kmerl.training.text_vectors import Texts


class LossParams(ContrastParams):
    """L_contrast and L_CQ."""

    query_weight: float = Field(ge=0, description="weight of L_CQ (paper: 1; 0: ablation, Tab. 2a)")
    query_reduction: Reduction = Field(
        description="L_CQ over queries, of which the paper says nothing: their mean, their sum, or the mean of queries "
        "whose positives and negatives weigh alike over the training records"
    )


class Options(Section):
    """What K-MERL adds to an encoder."""

    masking: MaskParams
    query: QueryParams | None = Field(description="null: no query network (ablation)")
    projector: ProjectorParams
    loss: LossParams
    queries: Literal["canonical", "drawn"] = Field(
        description="texts of the queries: their names (paper), or in each step one of all names merged under each"
    )
    text_layers: int = Field(ge=0, description="how many of the text encoder's last layers learn (MERL's code: 0)")

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if self.loss.query_weight > 0 and self.query is None:
            raise ValueError("loss.query_weight needs a query network: give query, or set the weight to 0")
        if self.loss.query_weight == 0 and self.query is not None:
            raise ValueError("with loss.query_weight 0 the query network would never learn: set query to null")
        if self.loss.contrastive_weight == self.loss.query_weight == 0:
            raise ValueError("loss.contrastive_weight and loss.query_weight are 0: nothing would be learnt")
        return self


class KMERL(Method[Options]):
    """The paper's method."""

    title = "K-MERL"
    section = Options
    curves: ClassVar[Mapping[str, str]] = {
        "contrastive": "ECG-report loss",
        "query": "ECG-entity loss",
        "auc": "Entities, AUC",
    }

    def __init__(self, options: Options):
        super().__init__(options)
        contrast: tuple[Way, ...] = ("contrastive",) if options.loss.contrastive_weight else ()
        if options.query is None:
            self.ways = contrast
        else:
            average: tuple[Way, ...] = ("average",) if contrast else ()
            self.ways = ("query", *contrast, *average, "mixture")
            self.layers = options.query.depth
        self.temperature, self.text_layers = options.loss.temperature, options.text_layers
        self.drawn_names = options.queries == "drawn"

    def check(self, model: ModelParams) -> None:
        """Raises ValueError if segments are to be masked that the encoder needs, or heads do not go with it."""
        self.options.masking.check(model)
        self.options.projector.check(model)

    def show(self, records: Records) -> list[Shown]:
        """One view: dynamic lead masking and lead-independent segment masking (section 2.3)."""
        from kmerl.model.tokens import draw_view

        return [draw_view(records, self.options.masking, "mask", "lead count")]

    def parts(self, encoder: EncoderParams, positions: int, text_width: int) -> dict[str, nn.Module]:
        """P_e, P_t and F_CQ."""
        from kmerl.model.heads import projectors
        from kmerl.model.query import QueryNetwork

        options = self.options
        found = projectors(options.projector, encoder, positions, text_width)
        if options.query is not None:
            found["query"] = QueryNetwork(options.query, text_width, encoder.width)
        return found

    def encode(self, network: Network, batch: Batch, texts: Texts) -> Encoded:
        """ECGs and their reports in the shared space."""
        reports = texts.of_reports(batch.reports, network.device)
        features, pooled = network.pool(batch.views[0].groups)
        ecg, text = network.project(features, pooled), network.embed_text(reports)
        return Encoded({"ecg": ecg, "text": text}, features)

    def across(self, vectors: Mapping[str, Tensor], reports: Tensor) -> dict[str, Term]:
        """L_contrast (Eq. 4)."""
        from kmerl.model.losses import contrastive_loss

        loss = self.options.loss
        contrast = contrastive_loss(vectors["ecg"], vectors["text"], reports, loss)
        return {"contrastive": Term(loss.contrastive_weight, contrast)}

    def within(self, network: Network, features: list[Tensor], batch: Batch, texts: Texts) -> dict[str, Term]:
        """L_CQ (section 2.5)."""
        from kmerl.model.losses import query_loss

        if network.query is None:
            return {}
        loss, device = self.options.loss, network.device
        logits = network.query.of_groups(features, texts.of_queries(batch.names, device))
        cross_entropy = query_loss(logits, batch.labels.to(device), loss.query_reduction, batch.shares.to(device))
        return {"query": Term(loss.query_weight, cross_entropy)}

    def validate(self, network: Network, held: Held) -> dict[str, float]:
        """By the vocabulary, asked in its own way, all leads shown: macro AUC, and the query loss unless balanced."""
        values, reduction = held.by_vocabulary(network, self.ways[0]), self.options.loss.query_reduction
        if "query" in values and reduction == "sum":
            values["query"] *= held.examples.labels.shape[1]
        if reduction == "balanced":
            values.pop("query", None)  # its logits are not those of the validation records' shares
        return values


METHOD = KMERL
