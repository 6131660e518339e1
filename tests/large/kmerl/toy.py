"""What the stages of the large toy need."""

import random
from collections.abc import Iterator
from pathlib import Path

PIECE = 1 << 20  # bytes


def pieces(seed: int, number: int, size: int) -> Iterator[bytes]:
    """The bytes of one file: the same each time, and no compression makes them fewer."""
    source = random.Random(f"{seed} {number}")
    for start in range(0, size, PIECE):
        yield source.randbytes(min(PIECE, size - start))


def ran(stage: str) -> None:
    """Remember that a stage was computed, not restored."""
    with Path("ran.txt").open("a") as file:
        file.write(f"{stage}\n")
