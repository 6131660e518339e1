"""What a user may call a thing: a name becomes part of file names, of stages' names and of commands."""

import re
from collections.abc import Iterable

PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
SHOWN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _+.,()-]*(?<! )")  # stands in tables and figures, never in a path
LONGEST = 100  # characters: file systems take 255 bytes, and a log, or a file that is being written, adds some


def checked(name: object, pattern: re.Pattern[str] = PATTERN) -> str:
    """The name itself.

    Raises:
        ValueError: it is no text, too long, or has other characters; the message tells which are allowed.
    """
    if not isinstance(name, str):
        raise ValueError(f"{shortened(name)} is no text to YAML, so no name; put it in quotes or choose another")
    if len(name) > LONGEST:
        raise ValueError(f"{shortened(name)} is no name, as it is too long; take at most {LONGEST} characters")
    if not pattern.fullmatch(name):
        more = "" if pattern is PATTERN else ", blanks and + . , ( )"
        raise ValueError(f"{shortened(name)} is no name; take letters and digits, and after the first _ and -{more}")
    return name


def check_distinct(names: Iterable[str]) -> None:
    """Names that differ by case only are one folder on some disks.

    Raises:
        ValueError: two do.
    """
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise ValueError(f"{other} and {name} differ by case only, which some disks do not tell apart; rename one")


def shortened(value: object, most: int = 60) -> str:
    """A value as messages show it: in one line of ASCII, and no longer than a line."""
    try:
        text = ascii(value[: most + 1] if isinstance(value, str) else value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists without an end
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= most else f"{text[:most]}..."


def clipped(text: str, most: int = 500) -> str:
    """A message that is no longer than a few lines."""
    return text if len(text) <= most else f"{text[:most]}..."
