"""The tables of zero-shot evaluation."""

from collections.abc import Iterator, Sequence
from typing import Any

from kmerl.documents import Caption
from kmerl.evaluations.zeroshot import table_auc, table_comparisons, table_queries, table_scopes
from kmerl.results.scores import RunScores
from kmerl.tables.metrics import tree
from kmerl.tables.table import Section, Table

SECTIONS = [
    Section(
        "zeroshot",
        "Zero-shot classification",
        "A pretrained model is asked for classes it was never trained to classify, by their names alone. Nothing "
        "is fitted to the evaluated archives. The macro AUC is the mean over the classes of a task, so that a rare "
        "class counts as much as a common one; 0.5 is chance.",
    ),
    Section(
        "queries",
        "How a class is asked",
        "A class may bear a name that the model met in training, or another one. Here the same classes are asked "
        "by plain and by other names, and in several ways: by the query network (the paper's way), by comparing "
        "the projected ECG with the projected name (MERL's way), by the mean of both, and by a weighted mixture of "
        "the nearest training queries.",
    ),
]


def tables(runs: Sequence[RunScores], params: Any) -> Iterator[Table]:
    """Macro AUC, differences, scopes, every class, other names and ways of asking.

    Args:
        runs: at least one.
        params: the sections evaluation and zeroshot.
    """
    sure, own = params.evaluation.confidence, params.zeroshot
    compared = table_comparisons.tidy(runs, {name: len(leads) for name, leads in own.leads.items()}, sure)
    yield Table(
        Caption(
            "zeroshot_auc",
            "zeroshot",
            "Zero-shot AUC by task and lead set",
            "The numbers behind the figure above, with intervals, and the same over well-supported classes only.",
        ),
        table_auc.tidy(runs),
        table_auc.for_people(runs, params.evaluation.min_positives, sure),
    )
    yield Table(
        Caption(
            "comparisons_auc",
            "zeroshot",
            "Differences between runs",
            "Paired: both runs are scored on the same resamples of patients, so that the interval is that of the "
            "difference. A difference is clear, for these trained models, where its interval does not hold 0; what "
            "another seed of pretraining would change is not in it.",
        ),
        compared,
        table_comparisons.for_people(compared, runs, sure),
    )
    yield Table(
        Caption(
            "zeroshot_scopes_auc",
            "zeroshot",
            "Zero-shot AUC by what normalisation sees",
            "Where a waveform is scaled by all leads of its record, as in the paper, hidden leads reach the model "
            "through the scale. Results are in the scope that stands first.",
        ),
        table_scopes.tidy(runs),
        table_scopes.for_people(runs, sure),
    )
    yield Table(
        Caption(
            "zeroshot_auc_by_class",
            "zeroshot",
            "Zero-shot AUC of every class",
            "Classes with few positives have wide intervals; those without any have no AUC and are in no average.",
        ),
        table_auc.tidy_by_class(runs),
        table_auc.classes_for_people(runs, sure),
    )
    yield Table(
        Caption(
            "queries_auc",
            "queries",
            "Ways of asking, for known and for renamed classes",
            "The numbers behind the figure above. Known by plain name against known by other name is a paired "
            "comparison: the same classes, asked differently.",
        ),
        table_queries.tidy(runs),
        table_queries.for_people(runs, compared, own.seen_similarity, sure),
    )


def metrics(runs: Sequence[RunScores]) -> dict[str, Any]:
    """{run: {leads: {task: AUC}}}."""
    return {run.name: tree(run.asked(), "leads", "dataset") for run in runs}
