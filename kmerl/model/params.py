"""The parameters of models and losses that methods share; torch is not needed to check them."""

from typing import Literal

from pydantic import Field, model_validator

from kmerl.leads import LEADS
from kmerl.section import Section


class TokenParams(Section):
    """How a waveform is cut into tokens."""

    length: int = Field(ge=1, description="samples per token, p (paper: 100, so M = 50 at S = 5000)")
    per: Literal["lead", "segment"] = Field(
        description="a token per lead and segment (paper), or one per segment over all 12 leads, missing leads zero "
        "(ablation, Tab. 7a)"
    )
    padding: Literal["tokens", "dropped"] = Field(
        description="whether zero padding behind a short record becomes tokens or is left out"
    )


class MaskParams(Section):
    """Dynamic lead masking and lead-independent segment masking."""

    masked_leads: list[int] = Field(
        min_length=1, description="how many of the 12 leads may be masked, drawn evenly (paper: 9, 10, 11)"
    )
    draw: Literal["per_sample", "per_batch"] = Field(description="draw the number per ECG or per batch")
    segment_share: float = Field(ge=0, lt=1, description="share of a lead's tokens masked, rounded down (paper: 0.25)")
    segments: Literal["per_lead", "per_record"] = Field(
        description="mask equally many tokens in every lead (paper), or anywhere in the record (ablation, Tab. 2c)"
    )

    @model_validator(mode="after")
    def _leave_a_lead(self) -> "MaskParams":
        if any(not 0 <= n < len(LEADS) for n in self.masked_leads):
            raise ValueError(f"masked_leads must lie in 0..{len(LEADS) - 1}: one lead at least stays visible")
        return self

    def check(self, model: "ModelParams") -> None:
        """See whether an encoder can do without what is masked.

        Raises:
            ValueError: it needs segments that are to be masked.
        """
        if model.encoder.kind == "resnet18" and self.segment_share > 0:
            raise ValueError("model.encoder.kind resnet18 needs every segment: set masking.segment_share to 0")


class Shape(Section):
    """Width, depth and heads of a ViT."""

    width: int = Field(ge=2, description="D")
    depth: int = Field(ge=1, description="transformer blocks")
    heads: int = Field(ge=1, description="attention heads; must divide the width")

    @model_validator(mode="after")
    def _divisible(self) -> "Shape":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


SIZES = {
    "tiny": Shape(width=192, depth=12, heads=3),
    "small": Shape(width=384, depth=12, heads=6),
    "middle": Shape(width=512, depth=12, heads=8),
    "base": Shape(width=768, depth=12, heads=12),
}
"""The four sizes of the paper (App. H); it pretrains with ``tiny`` unless it says otherwise."""


class EncoderParams(Section):
    """F_E."""

    kind: Literal["vit", "resnet18"] = Field(description="vit (paper), or the ResNet18 over 12 leads that MERL has too")
    resnet_width: int = Field(ge=1, description="channels of a ResNet18's first stage; D is 8 times that (MERL: 64)")
    pooling: Literal["mean", "attention"] = Field(
        description="what is compared with reports: the mean of the features, or (of a resnet18) what attention makes "
        "of them, as in MERL's code"
    )
    shape: Literal["tiny", "small", "middle", "base"] | Shape = Field(
        description="a size of the paper by name (paper: tiny), or width, depth and heads"
    )
    feed_forward_ratio: float = Field(gt=0, description="hidden width of a block's feed-forward layer over D (ViT: 4)")
    dropout: float = Field(ge=0, lt=1, description="in attention and feed-forward layers")
    lead_embedding: bool = Field(description="add a learnt embedding per lead (paper; off: Tab. 7a)")
    time_embedding: bool = Field(
        description="add a learnt embedding per segment, shared by leads (paper; off: Tab. 7a)"
    )

    def resolve(self) -> Shape:
        """The shape, looked up if it was given by name."""
        return SIZES[self.shape] if isinstance(self.shape, str) else self.shape

    @property
    def width(self) -> int:
        """D, the width of a feature."""
        return 8 * self.resnet_width if self.kind == "resnet18" else self.resolve().width


class QueryParams(Section):
    """F_CQ."""

    width: int = Field(ge=2, description="inner width of the network")
    depth: int = Field(ge=1, description="transformer layers (paper: 4)")
    heads: int = Field(ge=1, description="attention heads (paper: 4)")
    head_dim: int = Field(ge=1, description="width of a head; heads x head_dim need not be the width (Tab. 7e)")
    feed_forward: int = Field(ge=1, description="hidden width of the feed-forward layers")
    dropout: float = Field(ge=0, lt=1, description="in attention and feed-forward layers")
    self_attention: bool = Field(
        description="let queries attend to one another; a class's score then depends on which others are asked"
    )


POOLING_HEADS = 4
"""Of the attention that pools a ResNet18's features (MERL's code)."""


class ProjectorParams(Section):
    """A non-linear projector, as P_e and P_t of the contrastive head."""

    hidden: int = Field(ge=1, description="hidden width")
    width: int = Field(ge=1, description="width of the shared space")
    normalization: Literal["none", "batch", "batch_ecg"] = Field(
        description="none, BatchNorm, or BatchNorm in the ECG's projector only (MERL's code)"
    )

    def check(self, model: "ModelParams") -> None:
        """See whether it goes with an encoder.

        Raises:
            ValueError: the heads of attention that pools do not divide its width.
        """
        if model.encoder.pooling == "attention" and self.width % POOLING_HEADS:
            raise ValueError(f"encoder.pooling attention has {POOLING_HEADS} heads: make projector.width a multiple")


class ModelParams(Section):
    """What every method's model has."""

    tokens: TokenParams
    encoder: EncoderParams

    @model_validator(mode="after")
    def _consistent(self) -> "ModelParams":
        if self.tokens.per == "segment" and self.encoder.lead_embedding:
            raise ValueError("a token over all leads has no lead to embed: set encoder.lead_embedding to false")
        if self.encoder.kind == "resnet18":
            if self.tokens.per != "segment":
                raise ValueError("encoder.kind resnet18 convolves all leads together: set tokens.per to segment")
            if self.tokens.padding != "tokens":
                raise ValueError("encoder.kind resnet18 reads whole records: set tokens.padding to tokens")
            if self.encoder.time_embedding:
                raise ValueError("encoder.kind resnet18 embeds no time: set encoder.time_embedding to false")
        elif self.encoder.pooling == "attention":
            raise ValueError("encoder.pooling attention is that of MERL's resnet18: set encoder.pooling to mean")
        return self


Gather = Literal["with_gradient", "without_gradient"]
Reduction = Literal["mean", "sum", "balanced"]


class ContrastParams(Section):
    """How the open choices of Eq. 4 are read."""

    contrastive: Literal["symmetric", "paper_eq4"] = Field(
        description="symmetric InfoNCE (MERL's code), or Eq. 4 as printed: ECG to text, the positive left out of the "
        "denominator"
    )
    temperature: float = Field(gt=0, description="eta, and tau of Eq. 4 (paper: 0.07)")
    duplicates: Literal["negative", "masked", "positive"] = Field(
        description="records of one batch with the same report: each other's negatives, left out, or positives"
    )
    gather: Gather = Field(
        description="whether gradients flow back to the process whose vectors others compared, or not (MERL's code: "
        "the gradient of one large batch over the number of processes)"
    )
    contrastive_weight: float = Field(ge=0, description="weight of L_contrast (paper: 1; 0: ablation, Tab. 2a)")
