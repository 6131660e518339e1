"""A model: the ECG encoder and what its method trains beside it, over a text encoder that is not part of it.

Knowledge-enhanced Multimodal ECG Representation Learning with Arbitrary-Lead Inputs, section 2. Texts come as vectors.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.methods.method import Method
from kmerl.model.encoder import EcgEncoder, Group
from kmerl.model.heads import AttentionProjector, Projector, unit
from kmerl.model.params import ModelParams
from kmerl.model.query import QueryNetwork
from kmerl.model.resnet import ResNet18, positions


class Network(nn.Module):
    """The trainable model.

    Args:
        params: of tokens and encoder.
        method: what makes its other parts, each an attribute of its name.
        text_width: width of the text encoder's vectors.
        samples: samples S per lead that it is trained on.

    Attributes:
        query, project_ecg, project_text: F_CQ, P_e and P_t, by which it can be asked; None where the method has none.

    Raises:
        UserError: a record holds no whole token.
    """

    def __init__(self, params: ModelParams, method: Method[Any], text_width: int, samples: int):
        super().__init__()
        if samples < params.tokens.length:
            raise UserError(
                f"model.tokens.length: {params.tokens.length} samples, but records have {samples}; shorten it"
            )
        self.params, self.method, self.text_width, self.samples = params, method, text_width, samples
        self.encoder = self._make_encoder()
        self.query: QueryNetwork | None = None
        self.project_ecg: Projector | AttentionProjector | None = None
        self.project_text: Projector | None = None
        length = params.tokens.length
        seen = positions(samples // length * length)  # by a resnet18, whose records all have as many
        for name, part in method.parts(params.encoder, seen, text_width).items():
            setattr(self, name, part)

    def _make_encoder(self) -> EcgEncoder | ResNet18:
        tokens, encoder = self.params.tokens, self.params.encoder
        if encoder.kind == "resnet18":
            return ResNet18(encoder.resnet_width)
        token_width = tokens.length * (len(LEADS) if tokens.per == "segment" else 1)
        return EcgEncoder(encoder, token_width, self.samples // tokens.length)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def encode(self, segments: Tensor, leads: Tensor, times: Tensor) -> Tensor:
        """Visible tokens (B, n, p) with their leads and times (B, n) -> features z_e (B, n, D).

        A ResNet18 makes fewer positions n of its own.
        """
        features: Tensor = self.encoder([(segments, leads, times)])[0]
        return features

    def pool(self, groups: Sequence[Group]) -> tuple[list[Tensor], Tensor]:
        """Tokens of groups of records -> features (b, n, D) of each group, and their means (B, D) in one.

        Records that show equally many tokens form a group, so that nothing is padded and no mask is needed. What is
        made of the means is made of all at once, as BatchNorm must see the whole batch.
        """
        features = self.encoder(groups)
        return features, torch.cat([z.mean(1) for z in features])

    def embed_ecg(self, features: Tensor) -> Tensor:
        """z_e (B, n, D) -> unit vectors (B, P): AvgPool, then P_e."""
        return self.project([features], features.mean(1))

    def project(self, features: Sequence[Tensor], pooled: Tensor) -> Tensor:
        """z_e of groups (b, n, D) and their means (B, D) -> unit vectors (B, P) by P_e."""
        head = _there(self.project_ecg)
        if isinstance(head, AttentionProjector):
            return unit(torch.cat([head(z) for z in features]))
        return unit(head(pooled))

    def embed_text(self, texts: Tensor) -> Tensor:
        """z_t (B, text width) -> unit vectors (B, P) by P_t."""
        return unit(_there(self.project_text)(texts))

    def ask(self, features: Tensor, queries: Tensor, lists: Sequence[int] | None = None) -> Tensor:
        """z_e (B, n, D) and query vectors (Q, text width) -> logits (B, Q) of F_CQ.

        ``lists`` divides the queries into lists of so many, which do not see one another.
        """
        logits: Tensor = _there(self.query)(features, queries, lists)
        return logits.float()

    def compare(self, features: Tensor, queries: Tensor) -> Tensor:
        """z_e (B, n, D) and query vectors (Q, text width) -> cosines (B, Q) in the contrastive head's space."""
        return self.embed_ecg(features) @ self.embed_text(queries).T


def _there(part: nn.Module | None) -> nn.Module:
    """A part that the model must have to be asked so; which ways it knows, its method says."""
    if part is None:
        raise UserError("the model has no part for this way of asking; ask it in one of the ways of its method")
    return part
