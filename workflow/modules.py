"""The map of all modules, each with its first sentence: ``python -m workflow.modules`` writes ``docs/modules.md``."""

import ast
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

MAP = Path("docs/modules.md")
DATA = (".csv", ".json", ".txt")
ROOMS = ("kmerl", "stages", "workflow")
HEAD = """# Modules

Every module with the first line of its docstring, room by room. Written by `python -m workflow.modules`; how the rooms
hang together: [architecture.md](architecture.md); which of them a stage may import: `tests/test_walls.py`.
"""


def first_line(file: Path) -> str:
    """What a module says of itself, in its first line, ready for a cell of a Markdown table."""
    text = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return text.partition("\n")[0].replace("|", r"\|").replace("``", "`")


def lines() -> Iterator[str]:
    """The map, line by line."""
    yield from HEAD.splitlines()
    files = sorted(
        (path for room in ROOMS for path in Path(room).rglob("*.py")),
        key=lambda path: (ROOMS.index(path.parts[0]), path.parent.as_posix(), path.name),
    )
    for folder, several in groupby(files, key=lambda path: path.parent):
        modules = list(several)
        about = next((first_line(path) for path in modules if path.name == "__init__.py"), "")
        rows = [f"| `{path.stem}` | {first_line(path)} |" for path in modules if path.name != "__init__.py"]
        data = sorted(f"`{path.name}`" for path in folder.iterdir() if path.suffix in DATA)
        yield from ("", f"## {folder.as_posix()}", "", about)
        yield from ("", "| module | what |", "| --- | --- |", *rows) if rows else ()
        yield from ("", f"Data beside them: {', '.join(data)}.") if data else ()


def main() -> None:
    """Write the map."""
    MAP.write_text("\n".join(lines()) + "\n", "utf-8")


if __name__ == "__main__":
    main()
