"""Captions and explanations, looked up by the name of what they stand under."""

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any, Literal

OTHER = "other"

Kind = Literal["figures", "tables"]


@dataclass(frozen=True)
class Caption:
    """What stands over and under a figure or a table.

    Attributes:
        section: id of the page's section it belongs to.
        place: its position among the captions; those without one come last.
        title, caption: plain text.
        wide: needs more than a phone's width to be readable.
    """

    section: str
    place: int
    title: str
    caption: str
    wide: bool


@cache
def _texts() -> dict[str, Any]:
    texts: dict[str, Any] = json.loads(files("kmerl.page").joinpath("texts.json").read_text("utf-8"))
    return texts


def caption(kind: Kind, stem: str) -> Caption:
    """The caption of a file by its stem, e.g. ``zeroshot_auc``; a plain one for files that nobody described."""
    for place, (pattern, entry) in enumerate(_texts()[kind].items()):
        if fnmatchcase(stem, pattern):
            title = entry["title"].replace("{number}", stem.rpartition("_")[2])
            return Caption(entry["section"], place, title, entry["caption"], entry.get("wide", False))
    return Caption(OTHER, len(_texts()[kind]), stem.replace("_", " "), "", False)


def sections() -> list[dict[str, str]]:
    """``id``, ``title`` and ``text`` of the page's sections of results, in their order."""
    return list(_texts()["sections"])


Explained = Literal["flags", "reasons", "totals", "differences"]


def explain(kind: Explained, code: str) -> str:
    """What a flag, a reason, a total or a task's difference of labels means; empty if nobody explained it."""
    return str(_texts()[kind].get(code, ""))
