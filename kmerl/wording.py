"""What several outputs put into the same words."""

from collections import Counter


def counts(counter: Counter[str]) -> str:
    """Names and how often each occurs, in the order of the names."""
    return ", ".join(f"{name} {n}" for name, n in sorted(counter.items())) or "none"
