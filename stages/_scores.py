"""The scores that tables and figures show."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kmerl.results.scores import PartialScores, RunScores, ZeroshotScores, read_partial, read_probes, read_zeroshot


def read_scores(params: Any) -> tuple[list[ZeroshotScores], list[PartialScores], list[RunScores]]:
    """Zero-shot scores, scores with partial leads, and linear probes, of the runs and features of the plan."""
    return (
        read_zeroshot(Path("data/scores"), [*params.plan.zeroshot]),
        read_partial(Path("data/partial"), [*params.plan.partial_leads]),
        read_probes(Path("data/probes"), params.plan.linear_probe),
    )


def counts_of(params: Any, features: Sequence[RunScores]) -> dict[str, int]:
    """Lead set -> number of its leads, of the zero-shot evaluation and of the probes."""
    probed = {name: leads for one in features for name, leads in one.metadata.get("leads", {}).items()}
    return {name: len(leads) for name, leads in (probed | params.zeroshot.leads).items()}
