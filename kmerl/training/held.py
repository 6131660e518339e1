"""Validation records, and how good a model in training is on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kmerl.evaluation.auc import auc, macro
from kmerl.inference import encode_records, probabilities
from kmerl.leads import LEADS
from kmerl.model.network import Network
from kmerl.training.batches import Batch, Batches, Examples
from kmerl.training.text_vectors import Texts
from kmerl.waveforms import NormalizeParams, WaveformStore

if TYPE_CHECKING:
    from kmerl.evaluation.params import Way


@dataclass(frozen=True)
class Held:
    """Records that a run does not learn from.

    Attributes:
        store, examples: where they are, and which.
        texts: of reports and queries.
        normalize: the rule of the run.
        batch: records encoded at a time.
        seed: of the views that :meth:`batches` shows.
    """

    store: WaveformStore
    examples: Examples
    texts: Texts
    normalize: NormalizeParams
    batch: int
    seed: int

    def batches(self, network: Network) -> Iterator[Batch]:
        """The records in the views that the method shows, the same ones each time; a last partial batch is left out."""
        most = min(self.batch, len(self.examples))
        if most < 2:
            return
        shown = Batches(
            self.store, self.examples, network.method, network.params.tokens, self.normalize, most, self.seed,
            names=self.texts.names,
        )  # fmt: skip
        for step in range(shown.steps_per_epoch):
            yield shown[step].to(network.device)

    def by_vocabulary(self, network: Network, way: Way) -> dict[str, float]:
        """Macro AUC over the queries, each asked by its own name, from all leads; by the query network its loss, too.

        Without validation records they are NaN.
        """
        if not len(self.examples):
            return {"auc": math.nan}
        rows, queries = self.examples.rows.tolist(), torch.from_numpy(np.array(self.texts.canonical()))
        answers, queries = np.full((len(rows), len(queries)), np.nan, np.float32), queries.to(network.device)
        for features in encode_records(network, self.store, rows, LEADS, self.normalize, self.batch):
            if way == "query":
                logits = network.ask(features.tokens, queries)
            else:
                logits = network.compare(features.tokens, queries) / network.method.temperature
            answers[features.records] = probabilities(logits).cpu().numpy()
        answered = ~np.isnan(answers).any(1)
        probability, labels = answers[answered].astype(np.float64), self.examples.labels[answered] > 0
        area = float(macro(auc(probability, labels), np.ones(labels.shape[1], bool)))
        if way != "query":
            return {"auc": area}
        likelihood = np.where(labels, probability, 1 - probability)
        return {"query": float(-np.log(likelihood.clip(1e-12)).mean()), "auc": area}


@torch.inference_mode()
def validated(network: Network, held: Held) -> dict[str, float]:
    """How good a model is by its own method, as values of the history."""
    network.eval()
    values = network.method.validate(network, held)
    network.train()
    return {f"valid_{name}": value for name, value in values.items()}
