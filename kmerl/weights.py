"""What a file of weights announces, before anything of it is read into memory."""

from math import prod
from pathlib import Path

from safetensors import SafetensorError, safe_open

from kmerl.regular import open_regular

Shapes = dict[str, tuple[int, ...]]

_LONGEST_HEADER = 1 << 24  # bytes; a hundred bytes a tensor, so more tensors than any model here has


def shapes_of(path: Path) -> Shapes:
    """Every tensor's shape by its name; together they are as large as the file.

    Raises:
        OSError: there is no regular file, or it cannot be read.
        ValueError: its header is damaged, or lies about the file.
    """
    with open_regular(path) as file:
        length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    try:
        with safe_open(path, framework="numpy") as opened:
            return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(" ".join(str(error).split())[:200]) from None


def count(shapes: Shapes) -> int:
    """How many numbers there are."""
    return sum(map(prod, shapes.values()))
