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


def drop_damaged(out: Any) -> list[str]:
    """Delete what is damaged of an output in DVC's cache, so that its stage runs instead of restoring it.

    A file of an output and its copy in the cache can be one file with two names, and then they are damaged together;
    DVC trusts every file in its cache that is write-protected.

    Args:
        out: a ``dvc.output.Output`` that is not as recorded.

    Returns:
        The hashes of the deleted files.
    """
    from dvc_data.hashfile.db import HashFileDB
    from dvc_objects.errors import ObjectFormatError

    dropped = []
    for oid in _objects(out):
        try:
            HashFileDB.check(out.cache, oid)
        except ObjectFormatError:
            dropped.append(oid)
        except FileNotFoundError:
            continue
    return dropped


def _objects(out: Any) -> list[str]:
    """The hashes of an output in DVC's cache: that of its list of files, if it is a folder, and those of its files."""
    listed = out.get_obj() if out.hash_info else None
    inside = [info.value for _, _, info in listed] if listed is not None and out.hash_info.isdir else []
    return [*([out.hash_info.value] if listed is not None else []), *inside]
