"""The figures of zero-shot evaluation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kmerl.documents import Caption
from kmerl.evaluations.zeroshot.figure_auc import zeroshot_figure
from kmerl.evaluations.zeroshot.figure_queries import queries_figure
from kmerl.plots.drawn import Drawn
from kmerl.results import published
from kmerl.results.scores import RunScores


def figures(runs: Sequence[RunScores], params: Any, colours: Mapping[str, tuple[str, str]]) -> Iterator[Drawn]:
    """AUC by task, and ways of asking.

    Args:
        runs: at least one.
        params: the sections evaluation and zeroshot.
        colours: run -> colour and marker.
    """
    sure, counts = params.evaluation.confidence, {name: len(leads) for name, leads in params.zeroshot.leads.items()}
    yield Drawn(
        Caption(
            "zeroshot_auc",
            "zeroshot",
            "Zero-shot AUC by task and lead set",
            "Each mark is a run's macro AUC on one task, its bar the bootstrap interval over patients; what another "
            "seed of pretraining would change is not in it. Published averages are drawn apart and marked as "
            "published: they come from recorded ECGs and from models trained on far more.",
        ),
        zeroshot_figure(runs, published.zeroshot(), counts, sure, colours),
    )
    yield Drawn(
        Caption(
            "queries_auc",
            "queries",
            "Ways of asking, for known and for renamed classes",
            "One row for each run and way of asking, one panel for each lead set. Filled dots: classes asked by the "
            "names known from training; hollow dots: the same classes by other names; triangles: classes whose names"
            " training did not know. A way whose three marks lie close together understands names; one whose filled "
            "dot lies far to the right of the others knows them by heart.",
        ),
        queries_figure(runs, sure, colours),
    )
