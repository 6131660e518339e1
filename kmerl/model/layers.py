"""The transformer pieces that the ECG encoder and the query network share.

Sequences of unequal length stand one behind another in one matrix (T, width), and ``sizes`` tells which of its rows
belong together: a group of b sequences of n rows each takes b x n rows. So everything but the attention itself is
one operation for all groups.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = Sequence[tuple[int, int]]


def pack(groups: Sequence[Tensor]) -> tuple[Tensor, Sizes]:
    """Groups (b, n, width) -> one matrix (T, width), and the (b, n) of each group."""
    return torch.cat([group.flatten(0, 1) for group in groups]), [(len(group), group.shape[1]) for group in groups]


def unpack(x: Tensor, sizes: Sizes) -> list[Tensor]:
    """The groups (b, n, width) of a matrix (T, width)."""
    return [part.unflatten(0, size) for part, size in zip(x.split([b * n for b, n in sizes]), sizes, strict=True)]


class Attention(nn.Module):
    """Multi-head attention whose inner width, heads x head_dim, need not be the model's width.

    Args:
        width: of queries and of the result.
        heads: number of heads.
        head_dim: width of a head.
        dropout: of the attention weights, in training.
    """

    def __init__(self, width: int, heads: int, head_dim: int, dropout: float = 0.0):
        super().__init__()
        self.heads, self.head_dim, self.dropout = heads, head_dim, dropout
        inner = heads * head_dim
        self.to_query = nn.Linear(width, inner)
        self.to_key_value = nn.Linear(width, 2 * inner)
        self.to_out = nn.Linear(inner, width)

    def _heads(self, x: Tensor, sizes: Sizes) -> list[Tensor]:
        """(T, inner) -> groups (b, heads, n, head_dim)."""
        return [part.unflatten(-1, (self.heads, -1)).transpose(-2, -3) for part in unpack(x, sizes)]

    def forward(self, x: Tensor, sizes: Sizes, context: Tensor | None = None, context_sizes: Sizes = ()) -> Tensor:
        """Each sequence of X (T, width) attends to itself, or to its context (T', width) -> (T, width)."""
        query = self._heads(self.to_query(x), sizes)
        both = self.to_key_value(x if context is None else context).chunk(2, dim=-1)
        key, value = (self._heads(part, sizes if context is None else context_sizes) for part in both)
        dropout = self.dropout if self.training else 0.0
        mixed = [
            F.scaled_dot_product_attention(*parts, dropout_p=dropout).transpose(-2, -3).flatten(-2).flatten(0, 1)
            for parts in zip(query, key, value, strict=True)
        ]
        out: Tensor = self.to_out(torch.cat(mixed) if len(mixed) > 1 else mixed[0])
        return out


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
        self.attention = Attention(width, heads, width // heads, dropout)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden, dropout)

    def forward(self, x: Tensor, sizes: Sizes) -> Tensor:
        """Sequences (T, width) -> (T, width)."""
        x = x + self.attention(self.norm_attention(x), sizes)
        out: Tensor = x + self.feed_forward(self.norm_feed_forward(x))
        return out
