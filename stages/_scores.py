"""The scores that tables and figures show."""

from pathlib import Path
from typing import Any

from kmerl.evaluations.registry import rooms
from kmerl.results.scores import RunScores, read_runs


def read_scores(params: Any) -> dict[str, list[RunScores]]:
    """Evaluation -> the scores of the runs, or features, that the plan names, over all seeds of each."""
    found = {}
    for name, room in rooms().items():
        runs: dict[str, list[str]] = {}
        for item, one in getattr(params.plan, name).items():
            runs.setdefault(one["run"], []).append(item)
        beside, one_scope = getattr(room, "BESIDE", {}), getattr(room, "ONE_SCOPE", False)
        found[name] = read_runs(Path("data/scores") / name, runs, params.evaluation.confidence, beside, one_scope)
    return found
