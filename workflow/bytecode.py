"""Delete compiled modules that are cut short, before any is imported: Python leaves such where a disk was full.

Run from its source (``runpy.run_path``) with ``root``, the project's folder: its own compiled form may be one of them.
"""

import marshal
from contextlib import suppress
from pathlib import Path

_HEADER = 16  # bytes


def drop_cut(root: Path) -> None:
    """Look at all compiled modules of the project."""
    for package in ("workflow", "kmerl", "stages"):
        for compiled in (root / package).rglob("*.pyc"):
            try:
                marshal.loads(compiled.read_bytes()[_HEADER:])
            except (EOFError, ValueError, TypeError):
                with suppress(OSError):
                    compiled.unlink()
            except OSError:  # another process replaces it
                continue


if "root" in globals():
    drop_cut(Path(globals()["root"]))
