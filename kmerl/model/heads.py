"""Heads over an encoder's pooled features, or over a text's vector."""

import torch.nn.functional as F
from torch import Tensor, nn

from kmerl.model.params import ProjectorParams


class Projector(nn.Sequential):
    """Linear, GELU, linear: (B, in) -> (B, width)."""

    def __init__(self, params: ProjectorParams, in_width: int):
        def norm(width: int, affine: bool) -> nn.Module:
            return nn.BatchNorm1d(width, affine=affine) if params.normalization == "batch" else nn.Identity()

        super().__init__(
            nn.Linear(in_width, params.hidden),
            norm(params.hidden, True),
            nn.GELU(),
            nn.Linear(params.hidden, params.width),
            norm(params.width, False),
        )


def projectors(params: ProjectorParams, width: int, text_width: int) -> dict[str, nn.Module]:
    """P_e and P_t, by which ECGs and texts are compared, as parts of a model."""
    return {"project_ecg": Projector(params, width), "project_text": Projector(params, text_width)}


def unit(x: Tensor) -> Tensor:
    """Vectors of length 1, in single precision."""
    return F.normalize(x.float(), dim=-1)
