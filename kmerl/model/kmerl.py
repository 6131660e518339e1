"""K-MERL: an ECG encoder, two projectors and the cardiac query network over a frozen text encoder.

Knowledge-enhanced Multimodal ECG Representation Learning with Arbitrary-Lead Inputs, section 2. The text encoder is
not part of it: texts come in as vectors.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.model.encoder import EcgEncoder
from kmerl.model.params import ModelParams, ProjectorParams
from kmerl.model.query import QueryNetwork


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
        token_width = params.tokens.length * (len(LEADS) if params.tokens.per == "segment" else 1)
        self.encoder = EcgEncoder(params.encoder, token_width, samples // params.tokens.length)
        self.project_ecg = Projector(params.projector, self.encoder.width)
        self.project_text = Projector(params.projector, text_width)
        self.query = QueryNetwork(params.query, text_width, self.encoder.width)

    def encode(self, segments: Tensor, leads: Tensor, times: Tensor) -> Tensor:
        """Visible tokens (B, n, p) with their leads and times (B, n) -> features z_e (B, n, D)."""
        features: Tensor = self.encoder(segments, leads, times)
        return features

    def embed_ecg(self, features: Tensor) -> Tensor:
        """z_e (B, n, D) -> unit vectors (B, P): AvgPool, then P_e."""
        return F.normalize(self.project_ecg(features.mean(1)).float(), dim=-1)

    def embed_text(self, texts: Tensor) -> Tensor:
        """z_t (B, text width) -> unit vectors (B, P) by P_t."""
        return F.normalize(self.project_text(texts).float(), dim=-1)

    def ask(self, features: Tensor, queries: Tensor) -> Tensor:
        """z_e (B, n, D) and query vectors (Q, text width) -> logits (B, Q) of F_CQ."""
        logits: Tensor = self.query(features, queries)
        return logits.float()

    def forward(
        self, groups: list[tuple[Tensor, Tensor, Tensor]], texts: Tensor, queries: Tensor
    ) -> tuple[Tensor, ...]:
        """One training step's forward pass.

        Records that show equally many tokens form a group, so that nothing is padded and no mask is needed.

        Args:
            groups: segments (b, n, p), leads (b, n), times (b, n) of each group; the b add up to B.
            texts: (B, text width) report vectors, in the order of the groups.
            queries: (Q, text width).

        Returns:
            ECG unit vectors (B, P), text unit vectors (B, P), logits (B, Q), all in the order of the groups.
        """
        features = [self.encode(*group) for group in groups]
        # pooled by group, projected at once: BatchNorm must see the whole batch
        pooled = torch.cat([z.mean(1) for z in features])
        ecg = F.normalize(self.project_ecg(pooled).float(), dim=-1)
        logits = torch.cat([self.ask(z, queries) for z in features])
        return ecg, self.embed_text(texts), logits
