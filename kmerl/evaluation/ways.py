"""Ways of asking a pretrained model for classes by their names (paper sections 2.5 and 3.3).

query: the logits of the query network, the classes of a list asked together (the paper's way).
contrastive: the cosine of ECG and name in the contrastive space over the temperature of training (MERL's way).
average: the mean of these two logits.
mixture: the training queries are asked together, as in training; a class gets the weighted mean of the logits of
those most similar to its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from kmerl.errors import UserError
from kmerl.evaluation.params import MixtureParams, Way
from kmerl.inference import encode_records, probabilities
from kmerl.leads import canonical
from kmerl.model.network import Network
from kmerl.waveforms import NormalizeParams, WaveformStore

WAYS: tuple[Way, ...] = get_args(Way)


@dataclass(frozen=True)
class Training:
    """The queries that a run was trained with.

    Attributes:
        texts: V names.
        vectors: (V, text width) float32.
    """

    texts: Sequence[str]
    vectors: NDArray[np.float32]


def default_way(model: Network) -> Way:
    """How a model is asked if nothing else is said.

    Raises:
        UserError: it cannot be asked at all.
    """
    if not model.method.ways:
        raise UserError(str(model.method.unaskable()))
    return model.method.ways[0]


def usable_ways(model: Network, ways: Sequence[Way]) -> list[Way]:
    """Those of ``ways`` that a model knows."""
    return [way for way in ways if way in model.method.ways]


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """(n, width), (m, width) -> (n, m)."""
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def mixture_weights(queries: Tensor, training: Tensor, mixture: MixtureParams) -> Tensor:
    """How much each training query counts for each query.

    Args:
        queries: (Q, text width).
        training: (V, text width).
        mixture: how many count, and how sharply.

    Returns:
        (Q, V), rows add up to 1; 0 but for the nearest.
    """
    similar, which = cosines(queries, training).sort(dim=1, descending=True, stable=True)
    nearest = min(mixture.nearest, len(training))
    weights = torch.zeros(len(queries), len(training), dtype=similar.dtype, device=similar.device)
    return weights.scatter(1, which[:, :nearest], (similar[:, :nearest] / mixture.temperature).softmax(1))


def _on(device: torch.device, vectors: NDArray[np.float32] | Tensor) -> Tensor:
    copied = vectors if isinstance(vectors, Tensor) else torch.from_numpy(np.array(vectors))  # it may be a memory map
    return copied.to(device, torch.float32)


class Questions:
    """Lists of queries made ready to be put to one model in several ways, about any number of records.

    Args:
        model: in eval mode.
        lists: query vectors, each (Q, text width); the query network lets those of one list see one another.
        ways: how to ask.
        training: needed for ``mixture`` only, as is ``mixture``.

    Raises:
        UserError: the model does not know one of the ways.
        ValueError: ``mixture`` without the training queries; a mistake of ours.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model: Network,
        lists: Sequence[NDArray[np.float32] | Tensor],
        ways: Sequence[Way],
        training: Training | None = None,
        mixture: MixtureParams | None = None,
    ):
        unknown = [way for way in ways if way not in usable_ways(model, ways)]
        if unknown:
            reason = model.method.unaskable() or f"the model knows the ways {', '.join(model.method.ways)}"
            raise UserError(f"way {unknown[0]!r}: {reason}")
        device = next(model.parameters()).device
        parts = [_on(device, one) for one in lists]
        self.model, self.ways = model, list(ways)
        self.sizes = [len(part) for part in parts]
        queries = torch.cat(parts)
        self._names = model.embed_text(queries) if {"contrastive", "average"} & {*ways} else None
        # what the query network is asked: the lists of queries, then the training queries as a list of their own
        asked = parts if {"query", "average"} & {*ways} else []
        self._own = sum(len(part) for part in asked)
        self._weights = None
        if "mixture" in ways:
            if training is None or mixture is None:
                raise ValueError("a mixture needs the training queries and its parameters")
            trained = _on(device, training.vectors)
            self._weights = mixture_weights(queries, trained, mixture)
            asked = [*asked, trained]
        self._asked = asked

    @torch.inference_mode()
    def __call__(self, tokens: Tensor) -> dict[Way, Tensor]:
        """Token features (b, n, D) -> probabilities (b, Q) of each way, the lists' queries one after another.

        Raises:
            UserError: the model's answers are not finite.
        """
        logits: dict[Way, Tensor] = {}
        if self._names is not None:
            logits["contrastive"] = self.model.embed_ecg(tokens) @ self._names.T / self.model.method.temperature
        if self._asked:
            asked = self.model.ask(tokens, torch.cat(self._asked), [len(one) for one in self._asked])
            logits["query"] = asked[:, : self._own]
            if self._weights is not None:
                logits["mixture"] = asked[:, self._own :] @ self._weights.T
        if "average" in self.ways:
            logits["average"] = (logits["query"] + logits["contrastive"]) / 2
        return {way: probabilities(logits[way]) for way in self.ways}


def ask_store(
    questions: Questions,
    store: WaveformStore,
    rows: Sequence[int],
    leads: Sequence[str],
    normalize: NormalizeParams,
    batch: int,
) -> dict[Way, list[NDArray[np.float32]]]:
    """Answers about stored records; each record is encoded once for all lists and ways.

    Args:
        questions: what is asked, and of which model.
        store: where the records are.
        rows: (n,) rows of the store.
        leads: the leads to show, in any spelling.
        normalize: how mV become the model's input.
        batch: records encoded at a time.

    Returns:
        For each way and list (n, Q); NaN where a record has none of the leads.

    Raises:
        UserError: a lead is unknown, or the model's answers are not finite.
    """
    shown = [canonical(lead) for lead in leads]
    answers = {way: np.full((len(rows), sum(questions.sizes)), np.nan, np.float32) for way in questions.ways}
    for features in encode_records(questions.model, store, rows, shown, normalize, batch):
        for way, answer in questions(features.tokens).items():
            answers[way][features.records] = answer.cpu().numpy()
    ends = np.cumsum(questions.sizes)[:-1]
    return {way: np.split(answer, ends, axis=1) for way, answer in answers.items()}
