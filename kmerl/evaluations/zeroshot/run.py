"""Zero-shot classification: every class of every task is asked by name, of any leads (paper section 3.3, App. D.3)."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from kmerl.errors import UserError
from kmerl.evaluation.answers import Answers, Vectors
from kmerl.evaluation.ways import Training
from kmerl.evaluations.zeroshot.schemas import PREDICTIONS, SEEN


def predictions(answers: Sequence[Answers]) -> pl.DataFrame:
    """The answers of all archives, one row per probability (schema ``PREDICTIONS``).

    A record counts in a task only if it belongs to it, as in the published splits. One with none of a lead set's
    leads has no row for it.
    """
    return pl.concat(frame for one in answers for frame in _frames(one)).select(PREDICTIONS.names)


def _frames(answers: Answers) -> Iterator[pl.DataFrame]:
    table = answers.records.table
    for condition, tasks in answers.probability.items():
        for task, probability in tasks.items():
            counted, codes = answers.counted(condition, task), answers.records.codes[task]
            which, size = np.flatnonzero(counted), len(codes)
            constant = {"archive": answers.records.archive, "task": task, **condition._asdict()}
            yield (
                table[np.repeat(which, size)]
                .with_columns(
                    pl.Series("code", codes * len(which), pl.String),
                    pl.Series("probability", probability[counted].ravel()),
                    pl.Series("positive", answers.records.positive[task][counted].ravel()),
                )
                .with_columns(pl.lit(value).alias(name) for name, value in constant.items())
            )


def seen_classes(
    names: Mapping[str, Mapping[str, str]], vectors: Vectors, training: Training, similarity: float
) -> pl.DataFrame:
    """Which classes a run knows by their plain names (schema ``SEEN``; paper section 3.3).

    Args:
        names: task -> code -> plain name.
        vectors: of these names, by the run's text encoder.
        training: the queries of the run, by the same encoder.
        similarity: cosine from which on a name counts as a training query; an equal text always does.

    Raises:
        UserError: the run was trained without queries.
    """
    if not len(training.texts):
        raise UserError("the run has no training queries, so no class is seen; pretrain it again with labels")
    trained = training.vectors / np.linalg.norm(training.vectors, axis=1, keepdims=True)
    equal = {text.casefold(): i for i, text in enumerate(training.texts)}
    rows = []
    for task, classes in names.items():
        for code, name in classes.items():
            vector = vectors[task][code]
            cosine = trained @ (vector / np.linalg.norm(vector))
            nearest = equal.get(name.casefold(), int(cosine.argmax()))
            seen = name.casefold() in equal or bool(cosine[nearest] >= similarity)
            rows.append((task, code, name, training.texts[nearest], float(cosine[nearest]), seen))
    return pl.DataFrame(rows, schema=SEEN.names, orient="row")
