"""Ask a pretrained run with 1 to 12 leads, and with every lead alone."""

from pathlib import Path
from typing import Any

import numpy as np

from kmerl.artifacts import whole, write_table
from kmerl.evaluation.answers import predict, score_answers
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES
from kmerl.evaluation.ways import Questions, default_way
from kmerl.evaluations.partial_leads.run import draw, lead_sets
from kmerl.evaluations.partial_leads.schemas import LEAD_SETS, NESTED
from stages._runs import Subject, summary


def main(params: Any, item: str) -> str:
    """Write ``data/scores/partial_leads/<item>/``: scores, their resamples, and the lead sets."""
    evaluation, partial = params.evaluation, params.partial_leads
    subject = Subject.load(item, evaluation.threads, getattr(params.plan.partial_leads, item))
    archives = [draw(records, partial.records, params.seed) for records in subject.records(evaluation)]
    sets = lead_sets(partial)
    shown = dict(sets.select("leads", "names").iter_rows())
    ways, config = [default_way(subject.model)], subject.config
    answers = []
    for records in archives:
        vectors = subject.class_vectors(list(records.codes), "name")
        lists = [np.stack([*classes.values()]) for classes in vectors.values()]
        questions = Questions(subject.model, lists, ways)
        asked = [("name", task) for task in vectors]
        answers.append(predict(questions, asked, records, shown, config.normalize, partial.scopes, evaluation.batch))
    found = score_answers(answers, subject.item, "partial_leads", evaluation, params.seed, by_class=False)
    metadata = subject.metadata(archives)
    with whole(Path("data/scores/partial_leads") / item) as folder:
        write_table(folder / "scores.parquet", found.scores, SCORES, metadata)
        write_table(folder / "resamples.parquet", found.resamples, RESAMPLES, metadata)
        write_table(folder / "leads.parquet", sets, LEAD_SETS, metadata)
    average = found.scores.filter(dataset=AVERAGE, metric=MACRO, scope=partial.scopes[0])
    values = dict(average.select("leads", "value").iter_rows())
    nested = sets.filter(kind=NESTED)["leads"].to_list()
    return f"{summary(answers)}; macro AUC, averaged: 1 lead {values[nested[0]]:.3f}, all {values[nested[-1]]:.3f}"
