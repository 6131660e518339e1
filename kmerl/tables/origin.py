"""What stands above every table: what its numbers come from."""

from collections.abc import Sequence

from kmerl.escapes import md, md_code
from kmerl.results.scores import SIMULATED, RunScores


def notice(runs: Sequence[RunScores]) -> str:
    """One or two sentences that say what the numbers come from, and what they can therefore mean."""
    if any(SIMULATED in run.origin for run in runs):
        return "Simulated data: these numbers say that the pipeline works, not how good a method is."
    if any(SIMULATED in run.data for run in runs):
        return "Recorded ECGs, asked of a model that was pretrained on simulated data: not the method's performance."
    return "Recorded ECGs, pretrained on recorded ECGs."


def provenance(runs: Sequence[RunScores]) -> str:
    """Which archives the runs were pretrained and evaluated on, in one sentence per kind of training."""
    groups: dict[str, list[str]] = {}
    for run in runs:
        on = run.trained_on
        text = f"pretrained on {md(on['archive'])} ({md(on['origin'])})" if on else "not pretrained"
        groups.setdefault(text, []).append(md_code(run.name))
    archives = dict.fromkeys(f"{md(name)} ({md(origin)})" for run in runs for name, origin in run.archives.items())
    trained = "; ".join(f"{', '.join(names)}: {text}" for text, names in groups.items())
    return f"Evaluated on {', '.join(archives)}. {trained[:1].upper()}{trained[1:]}."
