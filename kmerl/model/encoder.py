"""The lead-aware ECG encoder F_E: a ViT over visible tokens with lead and temporal embeddings (section 2.2)."""

from torch import Tensor, nn

from kmerl.leads import LEADS
from kmerl.model.layers import Block
from kmerl.model.params import EncoderParams


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
