"""Delete compiled modules that are cut short, before any is imported: Python leaves such where a disk was full.

Run from its source (``runpy.run_path``) with ``root``, the project's folder: its own compiled form may be one of them.
"""

import marshal
from contextlib import suppress
from pathlib import Path

_HEADER = 16  # bytes


def drop_cut(root: Path) -> int:
    """Returns how many modules were cut short."""
    dropped = 0
    for package in ("workflow", "kmerl", "stages"):
        for compiled in (root / package).rglob("*.pyc"):
            try:
                marshal.loads(compiled.read_bytes()[_HEADER:])
            except (EOFError, ValueError, TypeError):
                with suppress(OSError):
                    compiled.unlink()
                    dropped += 1
            except OSError:  # another process replaces it
                continue
    return dropped


if "root" in globals():
    drop_cut(Path(globals()["root"]))
