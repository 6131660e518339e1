"""K-MERL: an ECG encoder, two projectors and the cardiac query network over a frozen text encoder.

Knowledge-enhanced Multimodal ECG Representation Learning with Arbitrary-Lead Inputs, section 2. The text encoder is
not part of it: texts come in as vectors. Without a query network, and with tokens over all leads, it is MERL.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.model.encoder import EcgEncoder, Group
from kmerl.model.params import ModelParams, ProjectorParams
from kmerl.model.query import QueryNetwork
from kmerl.model.resnet import ResNet18


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


class View(nn.Sequential):
    """A linear map and dropout, (B, D) -> (B, P): one of the two that MERL's uni-modal loss compares."""

    def __init__(self, params: ProjectorParams, in_width: int):
        super().__init__(nn.Linear(in_width, params.width, bias=False), nn.Dropout(params.dropout))


class Outputs(NamedTuple):
    """What a training step compares, its rows in the order of the groups.

    Attributes:
        ecg, text: (B, P) unit vectors.
        logits: (B, Q), or None without a query network.
        views: two (B, P) unit vectors of each ECG, or None without projector dropout.
    """

    ecg: Tensor
    text: Tensor
    logits: Tensor | None
    views: tuple[Tensor, Tensor] | None


class KMERL(nn.Module):
    """The trainable model.

    Args:
        params: sizes.
        text_width: width of the text encoder's vectors.
        samples: samples S per lead that it is trained on.

    Raises:
        UserError: a record holds no whole token.
    """

    def __init__(self, params: ModelParams, text_width: int, samples: int):
        super().__init__()
        if samples < params.tokens.length:
            raise UserError(
                f"model.tokens.length: {params.tokens.length} samples, but records have {samples}; shorten it"
            )
        self.params, self.text_width, self.samples = params, text_width, samples
        width = params.encoder.width
        self.encoder = self._make_encoder()
        self.project_ecg = Projector(params.projector, width)
        self.project_text = Projector(params.projector, text_width)
        self.query = None if params.query is None else QueryNetwork(params.query, text_width, width)
        two = 2 if params.projector.dropout else 0
        self.views = nn.ModuleList(View(params.projector, width) for _ in range(two))

    def _make_encoder(self) -> EcgEncoder | ResNet18:
        tokens, encoder = self.params.tokens, self.params.encoder
        if encoder.kind == "resnet18":
            return ResNet18(encoder.resnet_width)
        token_width = tokens.length * (len(LEADS) if tokens.per == "segment" else 1)
        return EcgEncoder(encoder, token_width, self.samples // tokens.length)

    def encode(self, segments: Tensor, leads: Tensor, times: Tensor) -> Tensor:
        """Visible tokens (B, n, p) with their leads and times (B, n) -> features z_e (B, n, D).

        A ResNet18 makes fewer positions n of its own.
        """
        features: Tensor = self.encoder([(segments, leads, times)])[0]
        return features

    def embed_ecg(self, features: Tensor) -> Tensor:
        """z_e (B, n, D) -> unit vectors (B, P): AvgPool, then P_e."""
        return _unit(self.project_ecg(features.mean(1)))

    def embed_text(self, texts: Tensor) -> Tensor:
        """z_t (B, text width) -> unit vectors (B, P) by P_t."""
        return _unit(self.project_text(texts))

    def ask(self, features: Tensor, queries: Tensor) -> Tensor:
        """z_e (B, n, D) and query vectors (Q, text width) -> logits (B, Q) of F_CQ.

        Raises:
            UserError: the model has no query network.
        """
        if self.query is None:
            raise UserError("the run has no query network (model.query is null); ask it in the way contrastive")
        logits: Tensor = self.query(features, queries)
        return logits.float()

    def compare(self, features: Tensor, queries: Tensor) -> Tensor:
        """z_e (B, n, D) and query vectors (Q, text width) -> cosines (B, Q) in the contrastive head's space."""
        return self.embed_ecg(features) @ self.embed_text(queries).T

    def forward(self, groups: Sequence[Group], texts: Tensor, queries: Tensor) -> Outputs:
        """One training step's forward pass.

        Records that show equally many tokens form a group, so that nothing is padded and no mask is needed.

        Args:
            groups: segments (b, n, p), leads (b, n), times (b, n) of each group; the b add up to B.
            texts: (B, text width) report vectors, in the order of the groups.
            queries: (Q, text width); not looked at without a query network.
        """
        features = self.encoder(groups)
        # pooled by group, projected at once: BatchNorm must see the whole batch
        pooled = torch.cat([z.mean(1) for z in features])
        logits = None if self.query is None else self.query.of_groups(features, queries).float()
        views = (_unit(self.views[0](pooled)), _unit(self.views[1](pooled))) if len(self.views) else None
        return Outputs(_unit(self.project_ecg(pooled)), self.embed_text(texts), logits, views)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.float(), dim=-1)
