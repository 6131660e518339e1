"""Clear away what removed stages and killed runs left, which a fresh clone would not have.

Some stages read a whole folder of others' outputs, ``data/runs`` for one. The outputs of a run that is no longer in
``params.yaml`` would still count for them there. They are moved, not deleted: DVC's cache may not have them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kmerl.artifacts import remove

ASIDE = Path(".scratch/removed")


def clear_away(made: Iterable[str], read: Iterable[str]) -> None:
    """Move aside or delete leftovers, and say so.

    Args:
        made: outputs of the stages.
        read: what stages read.
    """
    outputs = {Path(path) for path in made}
    for path in unmade(outputs, {Path(path) for path in read}):
        target = ASIDE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        remove(target)
        path.rename(target)
        print(f"{path}: no stage makes it any more; moved to {target}", flush=True)
    for path in unfinished(outputs):
        remove(path)
        print(f"{path}: left by a killed run; deleted", flush=True)


def unmade(outputs: set[Path], read: set[Path]) -> Iterator[Path]:
    """What lies beside outputs in a folder that a stage reads as a whole, if all outputs in it are one level down."""
    for folder in sorted(read - outputs):
        within = {path for path in outputs if folder in path.parents}
        if within and all(path.parent == folder for path in within) and folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if path not in within and path.name[0] != ".")


def unfinished(outputs: set[Path]) -> Iterator[Path]:
    """Temporary files and folders beside outputs (``kmerl.artifacts.whole``) whose process is no more."""
    for folder in sorted({path.parent for path in outputs}):
        for path in sorted(folder.glob(".*.partial")):
            process = re.fullmatch(r"\..+\.(\d+)\.partial", path.name)
            if process and not running(int(process[1])):
                yield path


def running(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's
        return True
    return True
