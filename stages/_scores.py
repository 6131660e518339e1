"""The scores that tables, figures and cards show."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
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
        found[name] = read_room(name, room, runs, params.evaluation.confidence)
    return found


def read_room(name: str, room: ModuleType, runs: Mapping[str, Sequence[str]], confidence: float) -> list[RunScores]:
    """The scores that an evaluation wrote of runs, each over some items of the plan."""
    beside, one_scope = getattr(room, "BESIDE", {}), getattr(room, "ONE_SCOPE", False)
    return read_runs(Path("data/scores") / name, runs, confidence, beside, one_scope)
