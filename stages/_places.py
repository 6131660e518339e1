"""Where stages keep what they make."""

from pathlib import Path

DATA = Path("data")
REPORTS = DATA / "reports"
BASE = "base"  # the variant of knowledge that the parameters themselves describe


def knowledge(variant: str = BASE) -> Path:
    """What the steps of the mining made under a variant of its parameters."""
    return DATA / "knowledge" / variant


def labels(variant: str = BASE) -> Path:
    """The label vectors of a variant."""
    return DATA / "labels" / variant
