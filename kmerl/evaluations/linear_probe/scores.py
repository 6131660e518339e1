"""Scores of linear probes as tables and figures read them."""

from collections.abc import Mapping, Sequence

from kmerl.results.scores import RunScores


def pretrained(run: RunScores) -> bool:
    """Whether anything was learnt before the probe."""
    return run.trained_on is not None


def baselines_first(runs: Sequence[RunScores]) -> list[RunScores]:
    """The same, features without pretraining first: a reader must see what they reach."""
    return sorted(runs, key=pretrained)


def shares_of(runs: Sequence[RunScores]) -> list[float]:
    """The shares of all features, least first."""
    return sorted({share for run in runs for share in run.scores["share"]})


def other_scopes(run: RunScores) -> list[str]:
    """The sets of features whose normalisation saw other leads than that of the first."""
    scopes: Mapping[str, str] = run.metadata.get("scopes", {})
    return [name for name, scope in scopes.items() if scope != next(iter(scopes.values()))]


def kinds_of(runs: Sequence[RunScores]) -> list[str]:
    """The kinds of probes, in the order asked for."""
    return list(dict.fromkeys(kind for run in runs for kind in run.scores["kind"].unique(maintain_order=True)))


def lead_counts(runs: Sequence[RunScores]) -> dict[str, int]:
    """Lead set of any features -> number of its leads."""
    return {name: len(leads) for run in runs for name, leads in run.metadata.get("leads", {}).items()}
