"""How the page writes parameters and long texts."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def value(one: Any) -> str:
    """A parameter's value as ``params.yaml`` would hold it."""
    if one is None:
        return "null"
    if isinstance(one, bool):
        return str(one).lower()
    if isinstance(one, float):
        return f"{one:g}"
    if isinstance(one, (list, tuple)):
        return f"[{', '.join(map(value, one))}]"
    if isinstance(one, Mapping):
        return f"{{{', '.join(f'{key}: {value(inner)}' for key, inner in one.items())}}}"
    return str(one)


def plain(section: Any) -> Any:
    """A section of parameters as dictionaries."""
    if isinstance(section, BaseModel):
        return plain(section.model_dump())
    return {key: plain(inner) for key, inner in section.items()} if isinstance(section, Mapping) else section


def flat(section: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every parameter of a section; empty sections are values."""
    section = plain(section)
    if not isinstance(section, Mapping) or not section:
        return {prefix.removesuffix("."): section}
    return {name: one for key, inner in section.items() for name, one in flat(inner, f"{prefix}{key}.").items()}


def shortened(text: str, length: int = 160) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
