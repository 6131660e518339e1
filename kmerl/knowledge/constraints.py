"""What an answer may look like, and whether one does.

A constraint goes with a question under vLLM's name ``structured_outputs``. Servers ignore a key that they do not know,
and then answer in free text without a word about it; so every answer is checked here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from kmerl.knowledge.parsing import LENIENT, LONGEST_NAME, UnusableError

BROKEN = "breaks its constraint"
"""Reason of an answer that is not as its constraint demands."""

_MOST_NAMES = 60
NAMES: dict[str, Any] = {
    "json": {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
        "maxItems": _MOST_NAMES,
    }
}
"""A list of names, as the first prompt asks for."""
YES_NO: dict[str, Any] = {"choice": ["YES", "NO"]}
"""As the second prompt asks for."""


def merged_names(entities: Sequence[str]) -> dict[str, Any]:
    """A name for each of ``entities``, for these only: what the third prompt asks for."""
    name = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    return {"json": {"type": "object", "properties": dict.fromkeys(entities, name), "required": list(entities),
                     "additionalProperties": False}}  # fmt: skip


def members(entities: Sequence[str]) -> dict[str, Any]:
    """Lists of ``entities`` by any names: what the fourth prompt asks for."""
    listed = {"type": "array", "items": {"type": "string", "enum": list(entities)}, "maxItems": len(entities)}
    return {"json": {"type": "object", "additionalProperties": listed}}


def check(constraint: Mapping[str, Any] | None, content: str) -> None:
    """Whether an answer keeps its constraint; a grammar is not checked here, as no library of ours reads one.

    Raises:
        UnusableError: it does not.
    """
    for kind, value in (constraint or {}).items():
        if kind == "choice" and content.strip() not in value:
            raise UnusableError(BROKEN)
        if kind == "regex" and not re.fullmatch(value, content.strip()):
            raise UnusableError(BROKEN)
        if kind == "json":
            try:
                found = LENIENT.decode(content)
            except (ValueError, RecursionError):
                raise UnusableError(BROKEN) from None
            if not _fits(value, found):
                raise UnusableError(BROKEN)


def _fits(schema: Any, found: Any) -> bool:
    if schema is NAMES["json"]:  # asked for with every report, and the library takes twenty times as long
        return (
            isinstance(found, list)
            and len(found) <= _MOST_NAMES
            and all(isinstance(name, str) and 1 <= len(name) <= LONGEST_NAME for name in found)
        )
    return _validator(json.dumps(schema)).is_valid(found)


@lru_cache(maxsize=64)
def _validator(schema: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema))
