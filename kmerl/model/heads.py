"""Heads over an encoder's pooled features, or over a text's vector."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmerl.model.params import POOLING_HEADS, EncoderParams, ProjectorParams


class Projector(nn.Sequential):
    """Linear, GELU, linear: (B, in) -> (B, width)."""

    def __init__(self, params: ProjectorParams, in_width: int, of: Literal["ecg", "text"] = "ecg"):
        normed = params.normalization == "batch" or params.normalization == f"batch_{of}"

        def norm(width: int, affine: bool) -> nn.Module:
            return nn.BatchNorm1d(width, affine=affine) if normed else nn.Identity()

        super().__init__(
            nn.Linear(in_width, params.hidden),
            norm(params.hidden, True),
            nn.GELU(),
            nn.Linear(params.hidden, params.width),
            norm(params.width, False),
        )


class AttentionProjector(nn.Module):
    """MERL's head over a ResNet's feature map: CLIP's attention pool in one dimension (its code's ``AttentionPool2d``).

    Args:
        in_width: of a feature, D.
        width: of the shared space, P; a multiple of ``POOLING_HEADS``.
        positions: features of a record, n.
    """

    def __init__(self, in_width: int, width: int, positions: int):
        super().__init__()
        self.narrow = nn.Linear(in_width, width)
        self.asks = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, positions + 1, width))
        self.attention = nn.MultiheadAttention(width, POOLING_HEADS, batch_first=True)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.asks)
        nn.init.normal_(self.positions, std=1 / width)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, n, D) -> (B, P): a learnt token attends to itself and to them."""
        # as in MERL's code the token's own position is added to it twice
        first = (self.asks + self.positions[:, :1]).expand(len(features), -1, -1)
        x = torch.cat([first, self.narrow(features)], dim=1) + self.positions
        pooled, _ = self.attention(x[:, :1], x, x, need_weights=False)
        out: Tensor = self.out(pooled.squeeze(1))
        return out


def projectors(
    params: ProjectorParams, encoder: EncoderParams, positions: int, text_width: int
) -> dict[str, nn.Module]:
    """P_e and P_t, by which ECGs and texts are compared, as parts of a model."""
    if encoder.pooling == "attention":
        ecg: nn.Module = AttentionProjector(encoder.width, params.width, positions)
    else:
        ecg = Projector(params, encoder.width)
    return {"project_ecg": ecg, "project_text": Projector(params, text_width, "text")}


def unit(x: Tensor) -> Tensor:
    """Vectors of length 1, in single precision."""
    return F.normalize(x.float(), dim=-1)
