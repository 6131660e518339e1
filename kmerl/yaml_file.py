"""Read a YAML file that a person wrote, as DVC reads it, and refuse what YAML would take silently."""

import errno
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent

from kmerl.errors import UserError
from kmerl.naming import shortened
from kmerl.regular import TooLargeError, content_of

LARGEST = 4 << 20  # bytes
DEEPEST = 50  # mappings and lists within one another
MOST = 200_000  # values, those counted again that an alias (*name) repeats
_LIMIT = 2**63  # no number of ours is larger, and numpy, torch and Parquet take none that is


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        UserError: there is no such file, it cannot be read, is not YAML in UTF-8, holds no mapping or one key twice,
            or a key or value that no parameter can have.
    """
    text = read_text(path)
    try:
        values = parse(text, YAML(typ="safe"))
    except (YAMLError, ValueError) as error:
        raise UserError(f"{path}: not YAML ({reason(error)}); correct it") from None
    if values is None:
        raise UserError(f"{path}: is empty; `git checkout {path}` brings it back")
    if not isinstance(values, dict):
        raise UserError(f"{path}: holds a {type(values).__name__}, not parameters by name; correct it")
    for name, problem in _unfit(values):
        raise UserError(f"{path}: {name}: {problem}" if name else f"{path}: {problem}")
    return values


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        UserError: there is none, or it is not readable as such.
    """
    try:
        content = content_of(path, LARGEST)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this from the project's folder") from None
    except TooLargeError:
        raise UserError(f"{path}: is larger than {LARGEST >> 20} MiB, which no parameters are; replace it") from None
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EINVAL, errno.ENXIO):  # ENXIO: a socket
            raise UserError(f"{path}: is a folder or a device, not a file; move it away") from None
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it a file that you may read") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8") from None


def parse(text: str, yaml: YAML) -> Any:
    """What a text holds, read by a reader of any kind.

    Raises:
        YAMLError: it is not YAML, or a key stands twice.
        ValueError: it is too deep or would grow too large; a date that there is not, a number of thousands of digits.
    """
    _measure(YAML(typ="safe").parse(text))
    return yaml.load(text)


def reason(error: Exception) -> str:
    """Why :func:`parse` refused a text, in one line."""
    if not isinstance(error, MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    problem = " ".join(str(error.problem).split()).partition(" with value ")[0]  # of a key that stands twice
    return f"line {mark.line + 1}: {problem}" if mark else problem


def _measure(events: Iterator[Any]) -> None:
    """Find out what a file would grow to before it is built.

    Raises:
        ValueError: too deep, too large, or an alias within what it stands for.
    """
    sizes: dict[str, int] = {}
    nested: list[tuple[str | None, int]] = [(None, 0)]  # anchor and number of values
    for event in events:
        if isinstance(event, CollectionStartEvent):
            nested.append((event.anchor, 1))
            if len(nested) > DEEPEST:
                raise ValueError(f"holds more than {DEEPEST} lists and mappings within one another")
            continue
        if isinstance(event, CollectionEndEvent):
            anchor, size = nested.pop()
        elif isinstance(event, AliasEvent):
            anchor, size = None, sizes.get(event.anchor, 0)
            if not size:
                raise ValueError(f"the alias *{event.anchor} stands where &{event.anchor} is not complete")
        elif isinstance(event, NodeEvent):
            anchor, size = event.anchor, 1
        else:
            continue
        if anchor:
            sizes[anchor] = size
        nested[-1] = (nested[-1][0], nested[-1][1] + size)
        if nested[-1][1] > MOST:
            raise ValueError(f"holds more than {MOST:,} values, counting those that aliases repeat")


def _unfit(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Keys and values that no parameter can have: where, and what is wrong."""
    if isinstance(values, dict):
        for key, value in values.items():
            if not isinstance(key, str):
                yield name, f"the name {shortened(key)} is no text to YAML; put it in quotes"
            else:
                yield from _unfit(value, f"{name}.{key}" if name else key)
    elif isinstance(values, list):
        for place, value in enumerate(values):
            yield from _unfit(value, f"{name}.{place}")
    elif isinstance(values, str):
        if "\0" in values:
            yield name, "holds a character NUL; remove it"
    elif isinstance(values, float):
        if not math.isfinite(values):
            yield name, f"must be a finite number (it is {values})"
    elif isinstance(values, int) and not -_LIMIT <= values < _LIMIT:
        yield name, f"must be a number of 64 bits (it is {shortened(values)})"
