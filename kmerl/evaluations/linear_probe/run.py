"""Probes of one archive: every task, lead set and share, on features that were computed before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kmerl.errors import UserError
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluation.scoring import Answered, resamples_of
from kmerl.evaluations.linear_probe import Kind, LinearProbeParams
from kmerl.evaluations.linear_probe.probe import Examples, Task, draw_share, learnable, probe, read_task
from kmerl.features.store import Features
from kmerl.randomness import generator

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def splits_left_to_test(evaluated: Sequence[str], params: LinearProbeParams) -> list[str]:
    """The evaluated splits that no probe learns from or chooses by; the same for all features.

    Raises:
        UserError: none is left.
    """
    chooses = "logistic" in params.kinds or (params.select == "best" and {"paper", "standardized"} & {*params.kinds})
    used = {"train", "valid"} if chooses else {"train"}
    tested = [split for split in evaluated if split not in used]
    if not tested:
        raise UserError(
            f"evaluation.splits {', '.join(evaluated)}: probes learn from train"
            f"{' and choose by valid' if chooses else ''}; name a split to test them on, or leave linear_probe out"
        )
    return tested


def probe_archive(
    archive: str,
    features: Features,
    records: pl.DataFrame,
    targets: pl.DataFrame,
    codes: Mapping[str, Sequence[str]],
    params: LinearProbeParams,
    evaluation: EvaluationParams,
    seed: int,
) -> Iterator[Answered]:
    """What the probes of all tasks answer, for each lead set of the features, each share and kind of probe.

    The records of a share and the order of the batches depend on the task, the share and the draw alone, so that all
    features, lead sets and kinds learn from the same records in the same order. Records with none of the leads are left
    out.

    Args:
        archive: its name.
        features: of its records.
        records: the index of its waveform store.
        targets: record_id, task, code of every positive label.
        codes: task -> codes of its classes.
        params: the section ``linear_probe``.
        evaluation: splits and resamples.
        seed: of shares, batches and resamples.

    Raises:
        UserError: the features are of other records or damaged, or nothing is left to test on.
    """
    splits = splits_left_to_test(evaluation.splits, params)
    tasks = [read_task(task, list(names), records, targets) for task, names in codes.items()]
    tested = np.unique(np.concatenate([task.rows[task.within(splits)] for task in tasks]))
    if not len(tested):
        raise UserError(
            f"evaluation.splits: {archive} has no labelled record in {', '.join(splits)} to test probes on; "
            "name other splits, or leave the archive out of evaluation.archives"
        )
    weights = resamples_of(records[tested], evaluation, seed, archive)
    scopes = features.description.scopes
    for leads in features.description.sets:
        stored = features.read(archive, records, leads)
        for task in tasks:
            part = _Part(task, np.array(stored[task.rows]))
            test = part.usable(task.within(splits))
            places = np.searchsorted(tested, task.rows[test])
            for share, kind in product(params.shares, params.kinds):
                drawn = [part.answer(kind, test, share, draw, params, seed) for draw in range(draws_of(share, params))]
                yield Answered(
                    condition={"leads": leads, "scope": scopes.get(leads), "share": share, "kind": kind},
                    archive=archive, task=task.name, codes=task.codes, train_records=len(drawn[0][0]),
                    trained=np.all([learnable(task.labels[train]) for train, _ in drawn], axis=0),
                    rows=task.rows[test], answers=np.stack([logits for _, logits in drawn]), labels=task.labels[test],
                    weights=weights[:, places],
                )  # fmt: skip


def draws_of(share: float, params: LinearProbeParams) -> int:
    """How often a share is drawn; all records can be drawn in one way only."""
    return params.draws if share < 1 else 1


@dataclass(frozen=True)
class _Part:
    """A task with the features (n, D) of its records."""

    task: Task
    features: Floats

    def usable(self, chosen: Indices) -> Indices:
        """Those that have any of the leads."""
        return chosen[~np.isnan(self.features[chosen]).any(1)]

    def examples(self, chosen: Indices) -> Examples:
        """Features and labels."""
        return Examples(self.features[chosen], self.task.labels[chosen])

    def answer(
        self, kind: Kind, test: Indices, share: float, draw: int, params: LinearProbeParams, seed: int
    ) -> tuple[Indices, Floats]:
        """The training records of a draw of a share, and the logits of ``test`` of the probe that learnt from them."""
        every = self.task.within(["train"])
        train = self.usable(every[draw_share(len(every), share, seed, self.task.name, draw)])
        valid = self.usable(self.task.within(["valid"]))
        rng = generator(seed, "linear probe", "batches", self.task.name, share, draw)
        return train, probe(self.examples(train), self.examples(valid), self.examples(test), params, kind, rng)
