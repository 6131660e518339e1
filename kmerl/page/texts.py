"""Explanations of flags, reasons and the like, and the sections of the page that no evaluation brings."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, Literal


@cache
def _texts() -> dict[str, Any]:
    texts: dict[str, Any] = json.loads(files("kmerl.page").joinpath("texts.json").read_text("utf-8"))
    return texts


def sections() -> list[dict[str, str]]:
    """``id``, ``title`` and ``text`` of these sections, in their order; they follow those of evaluations."""
    return list(_texts()["sections"])


Explained = Literal["flags", "reasons", "totals", "differences"]


def explain(kind: Explained, code: str) -> str:
    """What a flag, a reason, a total or a task's difference of labels means; empty if nobody explained it."""
    return str(_texts()[kind].get(code, ""))
