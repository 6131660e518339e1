"""Ask a pretrained run for every downstream class by name, in every way it knows."""

from pathlib import Path
from typing import Any

import numpy as np

from kmerl.archives import classes
from kmerl.artifacts import whole, write_table
from kmerl.errors import UserError
from kmerl.evaluation.answers import predict, score_answers
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES
from kmerl.evaluation.scoring import joined
from kmerl.evaluation.ways import Questions, usable_ways
from kmerl.evaluations.zeroshot.run import predictions, seen_classes
from kmerl.evaluations.zeroshot.schemas import PREDICTIONS, SEEN
from kmerl.leads import LEADS
from stages._runs import Subject, summary


def main(params: Any, item: str) -> str:
    """Write ``data/scores/zeroshot/<item>/``: predictions, scores, their resamples, and which classes are seen."""
    evaluation, zeroshot = params.evaluation, params.zeroshot
    subject = Subject.load(item, evaluation.threads, getattr(params.plan.zeroshot, item))
    ways = usable_ways(subject.model, zeroshot.ways)
    if not ways:
        method = subject.model.method
        why = method.unaskable() or f"its method knows {', '.join(method.ways)}; add one of these"
        raise UserError(f"zeroshot.ways: none is for {item}: {why}, or leave its zero-shot evaluation out of suites")
    archives, training = subject.records(evaluation), subject.training()
    tasks = [task for records in archives for task in records.codes]
    vectors = {names: subject.class_vectors(tasks, names) for names in dict.fromkeys(["name", *zeroshot.names])}
    seen = seen_classes(
        {task: classes.class_names(task) for task in tasks}, vectors["name"], training, zeroshot.seen_similarity
    )
    normalize, (scope, *others) = subject.config.normalize, zeroshot.scopes
    few = {name: leads for name, leads in zeroshot.leads.items() if len(leads) < len(LEADS)}  # else all alike
    answers, elsewhere = [], []
    for records in archives:
        asked = [(names, task) for names in zeroshot.names for task in records.codes]
        lists = [np.stack([*vectors[names][task].values()]) for names, task in asked]
        questions = Questions(subject.model, lists, ways, training, zeroshot.mixture)
        answers.append(predict(questions, asked, records, zeroshot.leads, normalize, [scope], evaluation.batch))
        if others and few and normalize.depends_on_scope:
            names = [(column, task) for column, task in asked if column == zeroshot.names[0]]
            questions = Questions(subject.model, lists[: len(names)], ways[:1], training, zeroshot.mixture)
            elsewhere.append(predict(questions, names, records, few, normalize, others, evaluation.batch))
    found = score_answers(answers, subject.item, "zeroshot", evaluation, params.seed, seen)
    if elsewhere:
        further = score_answers(elsewhere, subject.item, "zeroshot", evaluation, params.seed, by_class=False)
        found = joined([found, further])
    metadata = subject.metadata(archives)
    with whole(Path("data/scores/zeroshot") / item) as folder:
        write_table(folder / "predictions.parquet", predictions(answers), PREDICTIONS, metadata)
        write_table(folder / "scores.parquet", found.scores, SCORES, metadata)
        write_table(folder / "resamples.parquet", found.resamples, RESAMPLES, metadata)
        write_table(folder / "seen.parquet", seen, SEEN, metadata)
    average = found.scores.filter(dataset=AVERAGE, metric=MACRO, way=ways[0], names=zeroshot.names[0], scope=scope)
    values = ", ".join(f"{row['leads']} {row['value']:.3f}" for row in average.iter_rows(named=True))
    return f"{summary(answers)}; macro AUC by {ways[0]}, averaged: {values}"
