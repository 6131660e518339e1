"""The GPUs of this node, and jobs that take some of them; torch is not asked, which takes seconds and its memory."""

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from workflow.locks import locked

_NONE = {"", "-1", "NoDevFiles", "none", "void"}  # CUDA looks no further than at the first that it does not know
_ASK_SECONDS = 60.0  # a driver that has been idle takes its time
_AGAIN_SECONDS = 0.5


def present(environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> list[str]:
    """The NVIDIA GPUs that a process may use here, by the names that CUDA_VISIBLE_DEVICES has for them.

    That variable itself, if it is set; else what ``nvidia-smi`` lists, of a divided GPU its MIG devices; else what the
    driver shows in ``/proc``.

    Args:
        environment: of the process.
        root: above ``proc``.
    """
    if (visible := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = [name.strip() for name in visible.split(",")]
        return names[: next((place for place, name in enumerate(names) if name in _NONE), len(names))]
    try:
        asked = ["nvidia-smi", "-L"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # not installed, or no driver
        with suppress(OSError):
            return [str(number) for number, _ in enumerate((root / "proc/driver/nvidia/gpus").iterdir())]
        return []
    return list(_listed(said))


def _listed(said: str) -> Iterator[str]:
    """What ``nvidia-smi -L`` said, as names."""
    for gpu in re.split(r"^(?=GPU \d+:)", said, flags=re.MULTILINE):
        if number := re.match(r"GPU (\d+):", gpu):
            yield from re.findall(r"UUID: (MIG-[^)\s]+)", gpu) or [number[1]]


@contextmanager
def taken(
    count: int, names: Sequence[str], folder: Path, tell: Callable[[str], None] = lambda line: None
) -> Iterator[list[str]]:
    """So many of these GPUs, which no other job of this project on this node has meanwhile; waits until they are free.

    A GPU is let go when the block or the process ends, however that ends. Who came first is served first.

    Args:
        count: of GPUs; no more than there are.
        names: of all.
        folder: for locks, made if need be.
        tell: is told once if there is a wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        with (folder / "door").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            mine: list[str] = []
            told = False
            while True:
                for name in names:
                    if len(mine) < count and name not in mine and (lock := locked(folder / name)):
                        held.enter_context(lock)
                        mine.append(name)
                if len(mine) >= min(count, len(names)):
                    break
                if not told:
                    tell(f"waits for {count} of {len(names)} GPUs, which other jobs have")
                    told = True
                time.sleep(_AGAIN_SECONDS)
        yield mine
