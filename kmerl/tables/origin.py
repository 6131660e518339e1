"""What stands above every table of scores: what its numbers come from."""

from collections.abc import Sequence

from kmerl.documents import Code, Text, listed
from kmerl.origins import of_scores
from kmerl.results.scores import RunScores


def notice(runs: Sequence[RunScores]) -> str:
    """One or two sentences that say what the numbers come from, and what they can therefore mean."""
    return of_scores((run.origin for run in runs), (run.data for run in runs))


def caveat(runs: Sequence[RunScores]) -> Text:
    """What intervals are over, and what is not in them."""
    once = "Intervals are over patients only: what another seed of pretraining would change is not in them."
    several = [run for run in runs if run.seeds > 1]
    if not several:
        return once
    named = listed([Code(run.name), f" ({run.seeds})"] for run in several)
    return [
        "Pretrained from several seeds: ", *named, ". Their values are means over the seeds, ± the deviation "
        "over them. Their intervals are over patients, for these seeds.",
        *([" Of the others, what another seed would change is in no interval."] if len(several) < len(runs) else []),
    ]  # fmt: skip


def provenance(runs: Sequence[RunScores]) -> Text:
    """Which archives the runs were pretrained and evaluated on, in one sentence per kind of training."""
    groups: dict[str, list[Text]] = {}
    for run in runs:
        on = run.trained_on
        text = f"pretrained on {on['archive']} ({on['origin']})" if on else "not pretrained"
        groups.setdefault(text, []).append(Code(run.name))
    archives = dict.fromkeys(f"{name} ({origin})" for run in runs for name, origin in run.archives.items())
    trained = [[*listed(names), f": {text}"] for text, names in groups.items()]
    return [f"Evaluated on {', '.join(archives)}. ", *listed(trained, "; "), "."]
