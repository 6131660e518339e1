"""Plain names of the archives."""

import csv
from pathlib import Path


def names() -> dict[str, str]:
    """Archive -> name."""
    with Path(__file__).with_name("names.csv").open() as file:
        return dict(csv.reader(file))
