"""Answers that were paid for: kept as they come, found again whichever run asks.

One folder per model holds append-only files of JSON lines. A process writes a file of its own, one line per answer and
at once, so that a process that is killed loses nothing and processes on several machines never write into one file. A
line that was cut by a crash has no end and is not read.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kmerl.artifacts import remedy
from kmerl.errors import UserError
from kmerl.knowledge.engines.messages import Response

_LINE = re.compile(rb'\{"custom_id": "([0-9a-f]{32})", "max_tokens": (\d+), "error": null, .*\}\n', re.DOTALL)
_PLACE_BITS = 44  # of a place: offsets up to 16 TiB


class AnswerStore:
    """The kept answers of one model.

    A *place* is an integer that names a line of a file, for as long as this object lives.

    Args:
        folder: of all kept answers.
        model: whose answers; also those of the same name asked through another engine.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder / re.sub(r"[^\w.-]+", "_", model)[:120]
        self._files = sorted(self.folder.glob("*.jsonl"))
        self._handles: dict[int, BinaryIO] = {}
        self._own: BinaryIO | None = None
        self._own_number = -1

    def find(self, number_of: Callable[[str], int | None]) -> Iterator[tuple[int, int, int]]:
        """What was kept by earlier runs: (question's number, limit of its length in tokens, place), oldest first.

        Args:
            number_of: a question's number by its id, None if it is of no interest.
        """
        for number, path in enumerate(self._files):
            offset = 0
            with path.open("rb") as file:
                for line in file:
                    match = _LINE.fullmatch(line)
                    if match and (question := number_of(match[1].decode())) is not None:
                        yield question, int(match[2]), number << _PLACE_BITS | offset
                    offset += len(line)

    def keep(self, response: Response, max_tokens: int) -> int:
        """Write one result down at once; returns its place. A fault is written too, but never found again.

        Raises:
            UserError: it cannot be written.
        """
        line = {
            "custom_id": response["custom_id"],
            "max_tokens": max_tokens,
            "error": response.get("error"),
            "response": response.get("response"),
        }
        try:
            file = self._own or self._begin()
            offset = file.tell()
            file.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            file.flush()
        except OSError as error:
            raise UserError(
                f"{self.folder}: answers cannot be kept, {remedy(error) or error.strerror} and run again; those that "
                "were kept are not asked for again"
            ) from None
        return self._own_number << _PLACE_BITS | offset

    def read(self, place: int) -> Response | None:
        """The result at a place; None if it is damaged, so that it is asked again."""
        number, offset = place >> _PLACE_BITS, place & ((1 << _PLACE_BITS) - 1)
        file = self._handles.get(number)
        if file is None:
            file = self._handles[number] = self._files[number].open("rb")
        file.seek(offset)
        try:
            value = json.loads(file.readline())
        except ValueError:
            return None
        return value if isinstance(value, dict) and isinstance(value.get("response") or {}, Mapping) else None

    def close(self) -> None:
        """Close all files."""
        for file in [*self._handles.values(), *([self._own] if self._own else [])]:
            file.close()
        self._handles.clear()
        self._own = None

    def _begin(self) -> BinaryIO:
        """A file of this process; its name sorts behind all that were there before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}.jsonl"
        self._own = path.open("xb")
        self._own_number = len(self._files)
        self._files.append(path)
        return self._own


def canonical(response: Response) -> dict[str, Any]:
    """A result without what differs from run to run: the engine's prefix cache."""
    result = response.get("response")
    if (
        isinstance(result, dict)
        and isinstance(result.get("body"), dict)
        and isinstance(result["body"].get("usage"), dict)
    ):
        usage = {name: n for name, n in result["body"]["usage"].items() if name != "cached_tokens"}
        result = {**result, "body": {**result["body"], "usage": usage}}
    return {"custom_id": response.get("custom_id"), "response": result, "error": response.get("error")}
