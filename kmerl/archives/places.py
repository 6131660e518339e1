"""Where archives may lie: anywhere but among the pipeline's own outputs, each in a folder of its own."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from kmerl.archives.archive import ArchiveParams
from kmerl.archives.registry import recognise

DATA = Path("data")
OUTPUTS = (
    "results", "data/simulated", "data/truth", "data/fetched", "data/manifests", "data/entries", "data/splits",
    "data/statements", "data/targets", "data/label_differences", "data/rejected", "data/waveforms", "data/reports",
    "data/knowledge", "data/labels", "data/embeddings", "data/runs", "data/scores", "data/features",
    "data/unusable_answers.parquet", "data/tables", "data/figures.json", "data/code.json",
)  # fmt: skip
"""What the stages of ``dvc.yaml`` write, by its first folder."""


def check_places(archives: Mapping[str, ArchiveParams], fetched: Mapping[str, str]) -> None:
    """Refuse folders that would be overwritten, read twice, or taken for what they are not. No folder is walked.

    Args:
        archives: by name.
        fetched: source -> the folder it goes into.

    Raises:
        ValueError: a place is or holds an output or the project, two archives share a folder, or a folder holds
            another archive than it is named for.
    """
    for parameter, place, allowed in _places(archives, fetched):
        if _inside(Path(), Path(place)) or _inside(DATA, Path(place)):
            raise ValueError(f"{parameter}: {place} holds the project or all its data; name a folder of its own")
        output = next((one for one in OUTPUTS if _inside(Path(place), Path(one))), None)
        if output and not any(_inside(Path(place), DATA / one) for one in allowed):
            raise ValueError(f"{parameter}: {place} is in {output}, which the pipeline writes; name another place")
    for name, archive in archives.items():
        folder = Path(archive.folder)
        for other in archives:
            if other != name and _inside(Path(archives[other].folder), folder):
                raise ValueError(f"archives.{name}.folder: {folder} holds {other}, too; give each a folder of its own")
        if os.path.lexists(folder) and not folder.is_dir():
            raise ValueError(f"archives.{name}.folder: {folder} is no folder; name the one that holds the archive")
        if (found := recognise(folder)) not in (None, name):
            raise ValueError(f"archives.{name}.folder: {folder} holds the files of {found}; name the folder of {name}")


def _places(archives: Mapping[str, ArchiveParams], fetched: Mapping[str, str]) -> Iterator[tuple[str, str, list[str]]]:
    """Every place that a user names: its parameter, the place, and in which of our outputs in ``data`` it may be."""
    for name, archive in archives.items():
        yield f"archives.{name}.folder", archive.folder, [f"simulated/{name}"]
        yield f"archives.{name}.watch", archive.watch, [f"simulated/{name}", f"fetched/{name}.json"]
    for name, folder in fetched.items():
        yield f"fetched.{name}", folder, []


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies within it, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
