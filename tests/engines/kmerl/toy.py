"""What the toy stages compute."""

from pathlib import Path


def draw(seed: int, n: int) -> list[float]:
    """n numbers that depend on the seed."""
    return [(seed * 7919 + i * 104729) % 1000 / 10 for i in range(n)]


def ran(stage: str) -> None:
    """Remember that a stage was computed, not restored."""
    with Path("ran.txt").open("a") as file:
        file.write(f"{stage}\n")
