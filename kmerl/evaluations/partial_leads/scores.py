"""Scores with some of the leads as tables and figures read them."""

from typing import Any

import polars as pl

from kmerl.results.scores import RunScores


def sets_of(run: RunScores, kind: str) -> list[dict[str, Any]]:
    """The lead sets of a kind, ``nested`` or ``single``, as evaluated."""
    return run.tables["leads"].filter(pl.col("kind") == kind).to_dicts()


def scopes_of(run: RunScores) -> list[str]:
    """What normalisation saw, in the order evaluated; one only if all give the same scores."""
    scopes = run.scores["scope"].unique(maintain_order=True).to_list()
    first, *others = [run.scores.filter(scope=scope).drop("scope") for scope in scopes]
    return scopes if any(not first.equals(other) for other in others) else scopes[:1]
