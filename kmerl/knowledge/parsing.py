"""Reading answers: tolerant of decoration, strict about garbage."""

import json
import re
from typing import Any

from kmerl.knowledge.words import normal_name

LONGEST_NAME = 100
"""Characters of the longest item that a list of names may hold, a constant of the answers' format: a longer one is a
sentence, and makes the whole answer unusable. The lexicon's longest form has 75."""

LENIENT = json.JSONDecoder(strict=False)
"""Of answers: engines let a model write control characters into a text, which is no JSON to the letter."""

_NOTHING = {"", "none", "n/a", "null", "no entities", "no positive entities"}
_PLACEHOLDER = re.compile(r"entity ?\d+|\.\.\.|…")
_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


class UnusableError(ValueError):
    """An answer that does not have the form that was asked for; the message says why in a few words."""


def parse_list(content: str) -> list[str]:
    """The distinct names in ``[a, b]``, in order; quotes, code fences and text around the list do not matter.

    Raises:
        UnusableError: there is no whole list, or an item cannot be a name (no letter, a placeholder, brackets, or more
            than :data:`LONGEST_NAME` characters).
    """
    start, end = content.find("["), content.find("]")
    # a JSON list may hold brackets inside its strings
    if start >= 0 and (value := _json_at(content, start)) is not None and isinstance(value, list):
        if not all(isinstance(item, str) for item in value):
            raise UnusableError("an item is not a name")
        items = value
    elif 0 <= start < end:
        items = content[start + 1 : end].split(",")
    else:
        raise UnusableError("no list")
    names = [normal_name(item.strip().strip("\"'`*")) for item in items]
    names = list(dict.fromkeys(name for name in names if name not in _NOTHING))
    for name in names:
        if len(name) > LONGEST_NAME or _PLACEHOLDER.fullmatch(name) or re.search(r"[\[\]{}<>]", name):
            raise UnusableError("an item is not a name")
        if not re.search(r"[a-z]", name) or not name.isprintable():
            raise UnusableError("an item is not a name")
    return names


def parse_yes_no(content: str) -> bool:
    """YES or NO, alone or at the beginning of a sentence.

    Raises:
        UnusableError: neither, or both.
    """
    found = {match.lower() for match in _YES_NO.findall(content)}
    first = re.match(r"\W*(yes|no)\b", content, re.IGNORECASE)
    if first is None or len(found) != 1:
        raise UnusableError("neither YES nor NO" if not found else "not one of YES and NO")
    return first[1].lower() == "yes"


def parse_object(content: str) -> dict[str, Any]:
    """The JSON object in an answer; code fences and text around it do not matter.

    Raises:
        UnusableError: there is no whole JSON object.
    """
    for match in re.finditer(r"\{", content):
        value = _json_at(content, match.start())
        if isinstance(value, dict):
            return value
    raise UnusableError("no JSON object")


def _json_at(content: str, start: int) -> Any:
    """The JSON value that begins at ``start``, or None."""
    try:
        return LENIENT.raw_decode(content, start)[0]
    except (ValueError, RecursionError):
        return None
