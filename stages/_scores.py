"""The scores that tables and figures show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kmerl.evaluation.schemas import LEAD_SETS, SEEN
from kmerl.results.scores import RunScores, read_runs


def read_scores(params: Any) -> tuple[list[RunScores], list[RunScores], list[RunScores]]:
    """Zero-shot scores, scores with partial leads, and linear probes, of the runs and features that ``params`` name."""
    return (
        read_runs(Path("data/scores"), params.zeroshot.runs, {"seen": SEEN}, first_scope=True),
        read_runs(Path("data/partial"), params.partial_leads.runs, {"leads": LEAD_SETS}),
        read_runs(Path("data/probes"), params.linear_probe.features),
    )


def counts_of(params: Any, features: Sequence[RunScores]) -> dict[str, int]:
    """Lead set -> number of its leads, of the zero-shot evaluation and of the probes."""
    probed = {name: leads for one in features for name, leads in one.metadata.get("leads", {}).items()}
    return {name: len(leads) for name, leads in (probed | params.zeroshot.leads).items()}
