"""The large toy's parameters."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml


def load(path: Path) -> Any:
    """The parameters as attributes."""
    return SimpleNamespace(**yaml.safe_load(path.read_text()))
