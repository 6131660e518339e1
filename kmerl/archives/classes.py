"""The classes of the downstream tasks, by the names that a zero-shot query asks for."""

import csv
from functools import cache
from importlib.resources import files
from typing import Literal

from kmerl.errors import UserError

TABLE = "classes.csv"


@cache
def _rows() -> list[dict[str, str]]:
    with files("kmerl.archives").joinpath(TABLE).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def archive_of(task: str) -> str:
    """The archive whose records a task classifies.

    Raises:
        UserError: no such task.
    """
    if all(row["task"] != task for row in _rows()):
        raise UserError(f"task {task!r} has no classes; the tasks are {', '.join(tasks())}")
    return "ptb_xl" if task.startswith("ptbxl_") else task


def tasks(archive: str | None = None) -> list[str]:
    """The downstream tasks (of one archive), in the table's order; none for an archive without labels."""
    every = list(dict.fromkeys(row["task"] for row in _rows()))
    return every if archive is None else [task for task in every if archive_of(task) == archive]


def class_names(task: str, column: Literal["name", "other_name"] = "name") -> dict[str, str]:
    """The name of each class of a task by its published code, in the table's order.

    Args:
        task: one of :func:`tasks`.
        column: ``name`` is the plain name by the archive's own description, ``other_name`` another accepted one.

    Raises:
        UserError: no such task.
    """
    archive_of(task)
    return {row["code"]: row[column] for row in _rows() if row["task"] == task}
