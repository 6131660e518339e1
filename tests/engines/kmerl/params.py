"""The toy's parameters, checked as the real ones are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from kmerl.errors import UserError
from kmerl.naming import checked

SECTIONS = {"seed", "simulated", "fetched", "simulate", "archives", "preprocess", "scores", "tables"}


def load(path: Path) -> Any:
    """The parameters as attributes, archives and simulations by name."""
    values = yaml.safe_load(path.read_text())
    if unknown := set(values) - SECTIONS:
        raise UserError(f"{path}: unknown parameter {', '.join(sorted(unknown))}")
    try:
        for name in [*values["simulated"], *values["archives"]]:
            checked(name)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return SimpleNamespace(**values)
