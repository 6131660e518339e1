"""The lead-aware ECG encoder F_E: a ViT over visible tokens with lead and temporal embeddings (section 2.2)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kmerl.leads import LEADS
from kmerl.model.layers import Block, pack, unpack
from kmerl.model.params import EncoderParams

Group = tuple[Tensor, Tensor, Tensor]
"""Records that show equally many tokens: segments (b, n, p), positions of their leads (b, n), their times (b, n)."""


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
        self.project = nn.Linear(token_width, shape.width)
        self.lead_embedding = nn.Embedding(len(LEADS), shape.width) if params.lead_embedding else None
        self.time_embedding = nn.Embedding(n_times, shape.width) if params.time_embedding else None
        hidden = round(shape.width * params.feed_forward_ratio)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads, hidden, params.dropout) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width)
        for table in (self.lead_embedding, self.time_embedding):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)

    def forward(self, groups: Sequence[Group]) -> list[Tensor]:
        """Visible tokens of each group -> their features (b, n, D)."""
        segments, sizes = pack([group[0] for group in groups])
        x: Tensor = self.project(segments)
        if self.lead_embedding is not None:
            x = x + self.lead_embedding(torch.cat([leads.flatten() for _, leads, _ in groups]))
        if self.time_embedding is not None:
            x = x + self.time_embedding(torch.cat([times.flatten() for _, _, times in groups]))
        for block in self.blocks:
            x = block(x, sizes)
        return unpack(self.norm(x), sizes)
