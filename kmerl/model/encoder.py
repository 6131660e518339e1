"""The lead-aware ECG encoder F_E: a ViT over visible tokens with lead and temporal embeddings (section 2.2)."""

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from kmerl.leads import LEADS
from kmerl.model.layers import Block
from kmerl.section import Section


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


class EcgEncoder(nn.Module):
    """F_E: token = temp_m + lead_l + W e[p_m], then transformer blocks (Eq. 1 to 3).

    Args:
        params: shape and embeddings.
        token_width: samples in a token: p, or 12 p where a token spans all leads.
        n_times: the most segments a lead can have, M.
    """

    def __init__(self, params: EncoderParams, token_width: int, n_times: int):
        super().__init__()
        shape = params.resolve()
        self.width = shape.width
        self.project = nn.Linear(token_width, shape.width)
        self.lead_embedding = nn.Embedding(len(LEADS), shape.width) if params.lead_embedding else None
        self.time_embedding = nn.Embedding(n_times, shape.width) if params.time_embedding else None
        hidden = round(shape.width * params.feed_forward_ratio)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads, hidden, params.dropout) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width)
        for table in (self.lead_embedding, self.time_embedding):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)

    def forward(self, segments: Tensor, leads: Tensor, times: Tensor) -> Tensor:
        """Visible tokens -> features.

        Args:
            segments: (B, n, p).
            leads: (B, n) positions in ``LEADS``.
            times: (B, n) positions of segments.

        Returns:
            (B, n, D).
        """
        x: Tensor = self.project(segments)
        if self.lead_embedding is not None:
            x = x + self.lead_embedding(leads)
        if self.time_embedding is not None:
            x = x + self.time_embedding(times)
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed
