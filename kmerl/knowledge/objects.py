"""Questions about lists of entities that are answered with a JSON object: the third and the fourth prompt."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kmerl.artifacts import frame, write_table
from kmerl.errors import UserError
from kmerl.knowledge.asking import Asking, Dialogue
from kmerl.knowledge.parsing import parse_object
from kmerl.knowledge.prompts import Task
from kmerl.knowledge.schemas import UNUSABLE


class Objects:
    """The dialogue of a step over lists of entities; what cannot be used of it is listed in ``unusable.parquet``.

    Args:
        asking: who is asked, and how.
        task: which prompt is put.
        max_tokens: longest answer at the first try.
        folder: gets the dialogue's files and unusable.parquet.
    """

    def __init__(self, asking: Asking, task: Task, max_tokens: int, folder: Path) -> None:
        self._task, self._folder = task, folder
        self._dialogue = Dialogue(asking, task, max_tokens, parse_object, folder)
        self._lost: list[tuple[None, str, str, str]] = []

    def __enter__(self) -> "Objects":
        self._dialogue.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._dialogue.__exit__(kind, error, at)
        if kind is None:
            write_table(self._folder / "unusable.parquet", frame(self._lost, UNUSABLE), UNUSABLE)

    @property
    def questions(self) -> int:
        """How many there were."""
        return self._dialogue.tally.questions

    @property
    def unusable(self) -> int:
        """How many answers could not be used."""
        return len(self._lost)

    def ask(
        self, lists: Sequence[tuple[Sequence[str], dict[str, Any]]], needed: bool = True, task: Task | None = None
    ) -> list[dict[str, Any] | None]:
        """The object that answers the question about each list; None if it cannot be used. Nothing is asked about none.

        Args:
            lists: entities, and the constraint of their answer.
            needed: whether there is an error if no answer can be used.
            task: another prompt than the step's own.

        Raises:
            UserError: no answer can be used, or the engine cannot go on.
        """
        asked = [(names, constraint) for names, constraint in lists if names]
        answers = self._dialogue.ask(
            self._dialogue.request(constraint, task=task, entities=json.dumps(list(names), ensure_ascii=False))
            for names, constraint in asked
        )
        replies: list[dict[str, Any] | None] = []
        for answer in answers:
            replies.append(answer.value)
            if answer.problem:
                self._lost.append((None, answer.problem, answer.content, answer.request))
        if needed and replies and not any(reply is not None for reply in replies):
            _, reason, content, _ = self._lost[-1]
            start = " ".join(content.split())[:80]
            raise UserError(
                f"the answer to the {self._task} prompt cannot be used ({reason}: {start!r}); raise "
                f"knowledge.{self._task}.max_tokens, lower knowledge.{self._task}.chunk, take another model, or set "
                f"knowledge.{self._task}.enabled to false"
            )
        return replies


def windows(names: Sequence[str], size: int, overlap: int) -> list[Sequence[str]]:
    """Names in chunks of at most ``size``, each of which begins with the last ``overlap`` of the one before."""
    if len(names) <= size:
        return [names] if names else []
    step = size - overlap
    return [names[start : start + size] for start in range(0, len(names) - overlap, step)]
