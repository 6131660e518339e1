"""What was measured, as one Markdown table and a JSON file, both written again after every part."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kmerl.artifacts import whole


@dataclass(frozen=True)
class Row:
    """One figure, or why there is none.

    Attributes:
        part: what it belongs to.
        what: is measured.
        value: None where it could not be.
        unit: of the value.
        note: what else there is to know; the reason where there is no value.
    """

    part: str
    what: str
    value: float | None
    unit: str = ""
    note: str = ""


def shown(value: float) -> str:
    """A number with as many digits as tell something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """All rows as one table."""
    lines = [
        "# Pretraining on a GPU",
        "",
        "On simulated records, with random weights: these figures are about speed and agreement, not about quality.",
        "",
        ", ".join(f"{name}: {value}" for name, value in machine.items()),
        "",
        "| part | what | result | note |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        result = "none" if row.value is None else f"{shown(row.value)} {row.unit}".strip()
        cells = (" ".join(cell.split()).replace("|", "\\|") for cell in (row.part, row.what, result, row.note))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def write(folder: Path, machine: Mapping[str, str], rows: Sequence[Row], curves: Mapping[str, Sequence[float]]) -> None:
    """Write ``gpu.md`` and ``gpu.json`` into a folder."""
    content = {"machine": dict(machine), "rows": [asdict(row) for row in rows], "curves": dict(curves)}
    for name, text in (("gpu.md", markdown(machine, rows)), ("gpu.json", json.dumps(content, indent=1) + "\n")):
        with whole(folder / name) as temporary:
            temporary.write_text(text, "utf-8")
