"""The evaluations, in the order in which results show them; an evaluation is registered by its line here.

A room is a folder beside this file. Its parts are loaded by name, and only those that are needed:

- the room itself: ``PARAMS``, its section of the parameters, of the same name; ``BESIDE``, name and schema of
  its tables beside the scores, if any; ``ONE_SCOPE``, where results are in the scope that stands first;
- ``tables``: ``SECTIONS`` of the page, ``tables(runs, params)``, and ``metrics(runs)``;
- ``figures``: ``figures(runs, params, colours)``.

``workflow/fingerprint.py`` keeps one hash of all tables and one of all figures, which ``dvc.yaml`` lists.
"""

import importlib
from types import ModuleType
from typing import Literal

NAMES = (
    "zeroshot",
    "partial_leads",
    "linear_probe",
)


def rooms(part: Literal["tables", "figures"] | None = None) -> dict[str, ModuleType]:
    """Evaluation -> its room, or a module of it."""
    return {name: importlib.import_module(f"kmerl.evaluations.{name}" + f".{part}" * bool(part)) for name in NAMES}
