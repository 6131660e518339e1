"""The classes of the downstream tasks, by the plain names that a zero-shot query asks for."""

import csv
from functools import cache
from importlib.resources import files

from kmerl.errors import UserError

TABLE = "classes.csv"


@cache
def _rows() -> list[dict[str, str]]:
    with files("kmerl.archives").joinpath(TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tasks() -> list[str]:
    """The downstream tasks, in the table's order."""
    return list(dict.fromkeys(row["task"] for row in _rows()))


def class_names(task: str) -> dict[str, str]:
    """The name of each class of a task by its published code, in the table's order.

    Raises:
        UserError: no such task.
    """
    names = {row["code"]: row["name"] for row in _rows() if row["task"] == task}
    if not names:
        raise UserError(f"task {task!r} has no classes; the tasks are {', '.join(tasks())}")
    return names
