"""The transformer pieces that the ECG encoder and the query network share."""

import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention whose inner width, heads x head_dim, need not be the model's width.

    Args:
        width: of queries and of the result.
        heads: number of heads.
        head_dim: width of a head.
        context: width of keys and values; ``width`` by default.
        dropout: of the attention weights, in training.
    """

    def __init__(self, width: int, heads: int, head_dim: int, context: int | None = None, dropout: float = 0.0):
        super().__init__()
        self.heads, self.head_dim, self.dropout = heads, head_dim, dropout
        inner = heads * head_dim
        self.to_query = nn.Linear(width, inner)
        self.to_key_value = nn.Linear(context or width, 2 * inner)
        self.to_out = nn.Linear(inner, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, self.head_dim)).transpose(-2, -3)  # (B, heads, n, head_dim)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """X (B, n, width) attends to context (B, m, context width), or to itself -> (B, n, width)."""
        key, value = self.to_key_value(x if context is None else context).chunk(2, dim=-1)
        query = self._split(self.to_query(x))
        key, value = self._split(key), self._split(value)
        query = query.expand(key.shape[0], -1, -1, -1)  # one set of queries serves a whole batch
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=self.dropout if self.training else 0.0)
        return self.to_out(mixed.transpose(-2, -3).flatten(-2))


class FeedForward(nn.Sequential):
    """Linear, GELU, dropout, linear: (..., width) -> (..., width)."""

    def __init__(self, width: int, hidden: int, dropout: float = 0.0):
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout)
        )


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads, width // heads, dropout=dropout)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, width) -> (B, n, width)."""
        x = x + self.attention(self.norm_attention(x))
        return x + self.feed_forward(self.norm_feed_forward(x))
