"""The cardiac query network F_CQ: class names as queries, ECG tokens as keys and values (section 2.5)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kmerl.model.layers import Attention, FeedForward
from kmerl.model.params import QueryParams


class QueryLayer(nn.Module):
    """Self-attention among queries (if wanted), cross-attention to the ECG's tokens, feed-forward; pre-norm."""

    def __init__(self, params: QueryParams):
        super().__init__()
        width, heads, head_dim, dropout = params.width, params.heads, params.head_dim, params.dropout
        self.self_attention = Attention(width, heads, head_dim, dropout=dropout) if params.self_attention else None
        self.norm_self = nn.LayerNorm(width) if params.self_attention else None
        self.norm_cross = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads, head_dim, dropout=dropout)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, params.feed_forward, dropout)

    def forward(self, queries: Tensor, tokens: Tensor, sizes: Sequence[int]) -> Tensor:
        """Queries (B or 1, Q, W), tokens (B, n, W) -> (B, Q, W); queries see those of their own list."""
        if self.self_attention is not None and self.norm_self is not None:
            lists = self.norm_self(queries).split(list(sizes), dim=1)
            queries = queries + torch.cat([self.self_attention(one) for one in lists], dim=1)
        queries = queries + self.cross_attention(self.norm_cross(queries), tokens)
        out: Tensor = queries + self.feed_forward(self.norm_feed_forward(queries))
        return out


class QueryNetwork(nn.Module):
    """F_CQ: one logit per query.

    Args:
        params: sizes.
        text_width: width of a query's text vector.
        ecg_width: width of an ECG token, D.
    """

    def __init__(self, params: QueryParams, text_width: int, ecg_width: int):
        super().__init__()
        self.from_text = nn.Linear(text_width, params.width)
        self.from_ecg = nn.Linear(ecg_width, params.width)
        self.norm_ecg = nn.LayerNorm(params.width)
        self.layers = nn.ModuleList(QueryLayer(params) for _ in range(params.depth))
        self.norm = nn.LayerNorm(params.width)
        self.classify = nn.Linear(params.width, 1)

    def forward(self, tokens: Tensor, queries: Tensor, sizes: Sequence[int] | None = None) -> Tensor:
        """Tokens (B, n, D), queries (Q, text width) -> logits (B, Q).

        ``sizes`` divides the queries into lists of so many, which do not see one another: the answers are those to
        each list alone, but the tokens are projected once for all of them.
        """
        keys = self.norm_ecg(self.from_ecg(tokens))
        x = self.from_text(queries).unsqueeze(0)  # (1, Q, W): the same for the whole batch until it sees the ECG
        for layer in self.layers:
            x = layer(x, keys, sizes or [len(queries)])
        logits: Tensor = self.classify(self.norm(x)).squeeze(-1)
        return logits
