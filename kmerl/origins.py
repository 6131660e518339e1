"""What is said of simulated and of recorded data, above every table and on every page."""

from collections.abc import Iterable, Mapping

SIMULATED, RECORDED = "simulated", "recorded"
REPORTS = "Simulated reports", ": they say that the pipeline works, not what is in real ones."
"""Above what was mined from simulated reports; the first part stands out."""
LEARNT = (
    "Whatever was learnt from simulated records or scored on them says that the pipeline works, not how good a method "
    "is."
)
FLAWS = "Flaws of simulated records show that the checks work, not what is wrong with recorded ones."


def of_scores(tested: Iterable[str], data: Iterable[str]) -> str:
    """What scores come from, and what they can therefore mean.

    Args:
        tested: origins of the evaluated records.
        data: what scores are from, e.g. ``recorded (trained on simulated)``.
    """
    if any(SIMULATED in origin for origin in tested):
        return "Simulated data: these numbers say that the pipeline works, not how good a method is."
    if any(SIMULATED in one for one in data):
        return "Recorded ECGs, asked of a model that was pretrained on simulated data: not the method's performance."
    return "Recorded ECGs, pretrained on recorded ECGs."


def of_archives(origins: Mapping[str, str], shown: str, meaning: str) -> str:
    """Which archives are simulated, and what that means; empty where all are recorded.

    Args:
        origins: archive -> origin.
        shown: what a page shows of them, e.g. ``ECG``.
        meaning: :data:`LEARNT` or :data:`FLAWS`.
    """
    simulated = [name for name, origin in origins.items() if origin == SIMULATED]
    recorded = [name for name in origins if name not in simulated]
    if not simulated:
        return ""
    which = f"Simulated: {', '.join(simulated)}. Recorded: {', '.join(recorded)}."
    return f"{which if recorded else f'Every {shown} on this page was simulated.'} {meaning}"


def mark(shown: Iterable[str], learnt: Iterable[str] = ()) -> str:
    """What a page's title says of its data; nothing where all of them were recorded.

    Args:
        shown: origins of what is shown or scored.
        learnt: of what was learnt from.
    """
    origins, others = {*shown}, {*learnt}
    if origins == {SIMULATED}:
        return "simulated data"
    if SIMULATED in origins:
        return "partly simulated data"
    return "recorded data, trained on simulated ones" if SIMULATED in others else ""
