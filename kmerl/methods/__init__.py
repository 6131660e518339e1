"""Methods of pretraining, each a file here, found by the name of its file.

What a file imports while it is imported needs no torch, so that parameters can be checked without.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kmerl.methods.method import Method

NAMES = tuple(sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py") if file.stem != "method"))


def load(name: str) -> type[Method[Any]]:
    """A method by its name.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in NAMES:  # a name may come from a stranger's file
        raise ValueError(f"{name[:80]!r} is no method; the methods are {', '.join(NAMES)}")
    found: type[Method[Any]] = importlib.import_module(f"kmerl.methods.{name}").METHOD
    return found


def made(name: str, options: Mapping[str, Any]) -> Method[Any]:
    """A method with its options.

    Raises:
        ValueError: there is none, or an option is unknown, missing or out of range (pydantic's ValidationError).
    """
    method = load(name)
    return method(method.section.model_validate(options))
