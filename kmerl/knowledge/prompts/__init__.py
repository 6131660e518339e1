"""The paper's four prompts (section 2.4), kept as text files: its sentences, then where our inputs go."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

Task = Literal["extract", "verify", "merge", "superclass"]
TASKS: tuple[Task, ...] = get_args(Task)

_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt with named fields, ``{report}`` or ``{entities}``."""

    task: Task
    template: str

    def fill(self, **fields: str) -> str:
        """The message with every field set; text in braces inside a field's value stays as it is."""
        return _FIELD.sub(lambda match: fields[match[1]], self.template)

    def read(self, message: str) -> dict[str, str] | None:
        """The fields' values in a message made by :meth:`fill`, or None if it was not."""
        pattern = "".join(
            f"(?P<{part}>.*)" if i % 2 else re.escape(part) for i, part in enumerate(_FIELD.split(self.template))
        )
        match = re.fullmatch(pattern, message, re.DOTALL)
        return match.groupdict() if match else None


@cache
def prompt(task: Task) -> Prompt:
    """The prompt of a task, from its file beside this module."""
    return Prompt(task, Path(__file__).with_name(f"{task}.txt").read_text("utf-8").strip())


@dataclass(frozen=True)
class Example:
    """A question's fields and the answer that is wanted, for ``prompting: few_shot``."""

    fields: dict[str, str]
    answer: str


@cache
def examples(task: Task) -> tuple[Example, ...]:
    """The examples of a task, from its file beside this module; written for this purpose, of no archive.

    Their answers have no white space between items: vLLM's constraint allows none there, and a model that is shown one
    thing and forced to another stumbles (it wrote brackets as names).
    """
    text = Path(__file__).with_name(f"{task}.json").read_text("utf-8")
    return tuple(Example(one["fields"], one["answer"]) for one in json.loads(text))


def recognise(message: str) -> tuple[Task, dict[str, str]] | None:
    """Which task a message asks for, and its fields' values; None if it is none of ours."""
    for task in TASKS:
        fields = prompt(task).read(message)
        if fields is not None:
            return task, fields
    return None
