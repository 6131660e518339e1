"""Fingerprint the code of every stage: ``python -m workflow.fingerprint`` writes ``data/code.json``, {stage: hash}.

Methods of pretraining are loaded by their names, so each has a hash of its own, {"methods": {name: hash}}: ``dvc.yaml``
lists that of its method for each run, and all for stages that load any run. So are the tables and the figures of
evaluations, {"evaluations": {"tables": hash, "figures": hash}}.

As every stage waits for this file, the parameters are checked here, and whether ``plan.yaml`` is theirs: under DVC
nothing runs, and no output is cleared for a stage to run, while a name or a value is wrong.

What counts for a stage is its own module and every project module that it imports, directly or not, without
comments, docstrings and layout. What is imported for type checkers only does not count, and neither do
``stages/__main__.py`` and ``kmerl/params.py``, which no stage imports: a new parameter of one stage leaves the others
alone.

A data file (a suffix of ``DATA``) in a module's folder, or below it in a folder without modules, counts if the
module's code holds the file's name or the end of an f-string with its suffix (``f"{task}.txt"``). A file that
``dvc.yaml`` lists among a stage's dependencies is left out for that stage, as DVC compares it itself.
"""

import ast
import hashlib
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

try:
    from workflow.commands import Stops

    if __name__ == "__main__":
        Stops("code").allow()  # before what takes long to import

    import yaml

    from kmerl.artifacts import write_json
    from kmerl.errors import UserError
except ImportError:
    sys.exit(f"code: error: {sys.executable} is not the project's Python; `source .venv/bin/activate` names it")

PACKAGES = ("stages", "kmerl")
DATA = (".csv", ".txt", ".json", ".html", ".css", ".js")
OUT, PARAMS, PLAN = Path("data/code.json"), Path("params.yaml"), Path("plan.yaml")


class _Bare(ast.NodeTransformer):
    """Drops docstrings and blocks for type checkers."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        checking = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        return node.orelse if checking else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def source_file(module: str) -> Path | None:
    """Where a project module's source is; None if there is no such module."""
    if module.split(".")[0] not in PACKAGES:
        return None
    path = Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def parse(file: Path) -> ast.Module:
    """A module without docstrings and type checkers' imports.

    Raises:
        UserError: it is not valid Python.
    """
    try:
        tree: ast.Module = _Bare().visit(ast.parse(file.read_text("utf-8")))
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: {error.msg}; mend it") from None
    return tree


@cache
def code_of(file: Path) -> str:
    """A module without comments, docstrings and layout."""
    return ast.unparse(parse(file))


def forget() -> None:
    """Read every module anew: they are remembered by their paths."""
    for remembered in (parse, code_of, imports, data_files):
        remembered.cache_clear()


@cache
def imports(module: str, file: Path) -> tuple[str, ...]:
    """The names that a module may import, its parent packages among them."""
    return tuple(dict.fromkeys(_imports(module, file)))


def _imports(module: str, file: Path) -> Iterator[str]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    yield module.rpartition(".")[0]
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


@cache
def data_files(file: Path) -> set[Path]:
    """The data files near a module that it names, or may name with an f-string."""
    code, here = code_of(file), file.parent
    folders = [here, *(path for path in here.rglob("*/") if path.is_dir() and not any(path.glob("*.py")))]
    near = [path for folder in folders for path in folder.iterdir() if path.suffix in DATA]
    return {path for path in near if path.name in code or f"}}{path.suffix}" in code}


def files_of(*modules: str) -> set[Path]:
    """The source of modules, that of all project modules they need, and the data files they name."""
    found: set[Path] = set()
    todo = [*modules]
    while todo:
        name = todo.pop()
        file = source_file(name)
        if file and file not in found:
            found |= {file} | data_files(file)
            todo += imports(name, file)
    return found


def fingerprint(*modules: str, definition: Any = None) -> str:
    """The hash of the code of modules.

    Args:
        *modules: their dotted names.
        definition: of their stage in ``dvc.yaml`` and in the plan; data files that this names are left out.
    """
    compared = yaml.safe_dump(definition)
    digest = hashlib.sha256()
    for file in sorted(files_of(*modules)):
        if file.suffix == ".py":
            digest.update(f"\0{file.as_posix()}\0{code_of(file)}".encode())
        elif file.as_posix() not in compared:
            digest.update(f"\0{file.as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def planned() -> dict[str, Any]:
    """What ``plan.yaml`` says; a pipeline without one has no plan, and one that cannot be read is told of elsewhere."""
    try:
        return dict(yaml.safe_load(PLAN.read_bytes())["plan"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return {}


def fingerprints() -> dict[str, Any]:
    """{stage: hash}, and hashes of what is loaded by name, of the project in this folder.

    Raises:
        UserError: a module is not valid Python.
    """
    dag = yaml.safe_load(Path("dvc.yaml").read_text("utf-8"))["stages"]
    stages, methods = (sorted(file.stem for file in Path(f).glob("[a-z]*.py")) for f in ("stages", "kmerl/methods"))
    plan = planned()
    found: dict[str, Any] = {
        stage: fingerprint(f"stages.{stage}", definition=[dag.get(stage), plan.get(stage)]) for stage in stages
    }
    rooms = sorted(file.parent.name for file in Path("kmerl/evaluations").glob("*/tables.py"))
    found["evaluations"] = {
        part: fingerprint(*(f"kmerl.evaluations.{room}.{part}" for room in rooms)) for part in ("tables", "figures")
    }
    return found | {"methods": {name: fingerprint(f"kmerl.methods.{name}") for name in methods if name != "method"}}


def main() -> int:
    """Returns the exit status: 0, or 1 after one line."""
    try:
        found = fingerprints()
        params = importlib.import_module("kmerl.params").load(PARAMS)  # by name: no part of a stage's code
        if getattr(params, "plan", None) is not None:
            importlib.import_module("workflow.plan").check(params)
        write_json(OUT, found)
    except UserError as error:
        print(f"code: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
