"""Probe one set of frozen features with linear classifiers: all tasks, lead sets and shares of the training split."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from kmerl.archives import classes
from kmerl.artifacts import whole, write_table
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES
from kmerl.evaluation.scoring import Answered, Item, score
from kmerl.evaluations.linear_probe.run import probe_archive, splits_left_to_test
from kmerl.features.store import Features
from stages._stores import open_store, read_targets


def main(params: Any, item: str) -> str:
    """Write ``data/scores/linear_probe/<item>/``: scores and their resamples."""
    evaluation, probing = params.evaluation, params.linear_probe
    torch.set_num_threads(probing.threads)
    features = Features(Path("data/features") / item)

    def answers() -> Iterator[Answered]:
        for archive in evaluation.archives:
            codes = {task: list(classes.class_names(task)) for task in classes.tasks(archive)}
            if not codes:
                raise UserError(f"evaluation.archives: {archive} has no classes to learn; leave it out")
            records = open_store(archive).records
            targets = read_targets(archive)
            yield from probe_archive(archive, features, records, targets, codes, probing, evaluation, params.seed)

    found = score(answers(), Item(**getattr(params.plan.linear_probe, item)), "linear_probe", evaluation)
    described = features.description
    metadata = {
        "run": item,
        "method": described.method,
        "archives": {archive: described.archives[archive].origin for archive in evaluation.archives},
        "trained_on": described.trained_on,
        "leads": described.leads,
        "scopes": described.scopes,
        "splits": splits_left_to_test(evaluation.splits, probing),
    }
    with whole(Path("data/scores/linear_probe") / item) as folder:
        write_table(folder / "scores.parquet", found.scores, SCORES, metadata)
        write_table(folder / "resamples.parquet", found.resamples, RESAMPLES, metadata)
    average = found.scores.filter(dataset=AVERAGE, metric=MACRO, kind=probing.kinds[0])
    values = ", ".join(f"{row['leads']} {row['share']:.0%} {row['value']:.3f}" for row in average.iter_rows(named=True))
    untrained = int(average["untrained"].list.len().sum())
    return f"macro AUC by {probing.kinds[0]}, averaged: {values}; {untrained} classes without a head, counted as 0.5"
