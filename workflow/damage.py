"""Find artifacts that are no longer what their stage wrote."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

RECORD = Path("dvc.lock")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where that is possible
MOST = 4 << 30  # bytes: more is not hashed, as it would take minutes


def damaged(paths: Iterable[str], record: Path = RECORD) -> Iterator[tuple[str, str]]:
    """Which of ``paths`` are damaged or were changed by hand, and the stages that make them.

    Yields:
        (path, stage): the file or folder has not the content that DVC recorded for it.
    """
    if not record.exists():
        return
    stages: dict[str, dict[str, Any]] = (yaml.load(record.read_text("utf-8"), LOADER) or {}).get("stages", {})
    for path in paths:
        for stage, entry in stages.items():
            for out in entry.get("outs", []):
                inside = out["path"] == path or out["path"].startswith(f"{path}/")
                if inside and out.get("size", 0) <= MOST and digest(Path(out["path"])) != out["md5"]:
                    yield out["path"], stage


def digest(path: Path) -> str | None:
    """The MD5 sum that DVC records of a file or folder; None if it cannot be read."""
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "md5").hexdigest()
        files = [file for file in path.rglob("*") if file.is_file() and not _ignored(file)]
        listed = [{"md5": digest(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    except OSError:
        return None
    text = json.dumps(sorted(listed, key=lambda entry: str(entry["relpath"])), sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _ignored(file: Path) -> bool:
    """As ``.dvcignore`` says of what may stand in an output."""
    return file.name == ".snakemake_timestamp" or any(part.endswith((".partial", ".pyc")) for part in file.parts)
