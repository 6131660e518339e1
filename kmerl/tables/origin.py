"""What stands above every table of scores: what its numbers come from."""

from collections.abc import Sequence

from kmerl.documents import Code, Text, listed
from kmerl.origins import of_scores
from kmerl.results.scores import RunScores


def notice(runs: Sequence[RunScores]) -> str:
    """One or two sentences that say what the numbers come from, and what they can therefore mean."""
    return of_scores((run.origin for run in runs), (run.data for run in runs))


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
