"""The cardiac query network F_CQ: class names as queries, ECG tokens as keys and values (section 2.5)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kmerl.model.layers import Attention, FeedForward, Sizes, pack
from kmerl.model.params import QueryParams


class QueryLayer(nn.Module):
    """Self-attention among queries (if wanted), cross-attention to the ECG's tokens, feed-forward; pre-norm."""

    def __init__(self, params: QueryParams):
        super().__init__()
        width, heads, head_dim, dropout = params.width, params.heads, params.head_dim, params.dropout
        self.self_attention = Attention(width, heads, head_dim, dropout) if params.self_attention else None
        self.norm_self = nn.LayerNorm(width) if params.self_attention else None
        self.norm_cross = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads, head_dim, dropout)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, params.feed_forward, dropout)

    def forward(self, queries: Tensor, lists: Sequence[int], tokens: Tensor, sizes: Sizes) -> Tensor:
        """Queries (B or 1, Q, W) and the tokens (T, W) of B records -> (B, Q, W); queries see those of their list."""
        queries = self._see_one_another(queries, lists)
        records, asked = sum(b for b, _ in sizes), queries.shape[1]
        x = queries.expand(records, -1, -1).flatten(0, 1)
        x = x + self.cross_attention(self.norm_cross(x), [(b, asked) for b, _ in sizes], tokens, sizes)
        x = x + self.feed_forward(self.norm_feed_forward(x))
        return x.view(records, asked, -1)

    def _see_one_another(self, queries: Tensor, lists: Sequence[int]) -> Tensor:
        if self.self_attention is None or self.norm_self is None:
            return queries
        parts = self.norm_self(queries).split(list(lists), dim=1)
        mixed = [self.self_attention(p.flatten(0, 1), [(p.shape[0], p.shape[1])]).view_as(p) for p in parts]
        return queries + torch.cat(mixed, dim=1)


class QueryNetwork(nn.Module):
    """F_CQ: one logit per query. Its residual stream and its classifier are in single precision under autocast, too.

    Args:
        params: sizes.
        text_width: width of a query's text vector.
        ecg_width: width of an ECG token, D.
    """

    def __init__(self, params: QueryParams, text_width: int, ecg_width: int):
        super().__init__()
        self.self_attention = params.self_attention
        self.from_text = nn.Linear(text_width, params.width)
        self.from_ecg = nn.Linear(ecg_width, params.width)
        self.norm_ecg = nn.LayerNorm(params.width)
        self.layers = nn.ModuleList(QueryLayer(params) for _ in range(params.depth))
        self.norm = nn.LayerNorm(params.width)
        self.classify = nn.Linear(params.width, 1)

    def forward(self, tokens: Tensor, queries: Tensor, lists: Sequence[int] | None = None) -> Tensor:
        """Features (B, n, D) and queries (Q, text width) -> logits (B, Q).

        ``lists`` divides the queries into lists of so many, which do not see one another: the answers are those to
        each list alone, but the tokens are projected once for all of them.
        """
        return self.of_groups([tokens], queries, lists)

    def of_groups(self, groups: Sequence[Tensor], queries: Tensor, lists: Sequence[int] | None = None) -> Tensor:
        """As :meth:`forward`, of groups of features (b, n, D) whose b add up to B; rows in their order."""
        tokens, sizes = pack(groups)
        keys = self.norm_ecg(self.from_ecg(tokens))
        x = self.from_text(queries).float()[None]  # (1, Q, W): the same for the whole batch until it sees the ECG
        for layer in self.layers:
            x = layer(x, lists or [len(queries)], keys, sizes)
        with torch.autocast(x.device.type, enabled=False):
            logits: Tensor = self.classify(self.norm(x)).squeeze(-1)
        return logits
