"""What several outputs put into the same words."""

from collections import Counter


def counts(counter: Counter[str]) -> str:
    """Names and how often each occurs, in the order of the names."""
    return ", ".join(f"{name} {n}" for name, n in sorted(counter.items())) or "none"


def size_text(size: float) -> str:
    """A number of bytes, readably."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
