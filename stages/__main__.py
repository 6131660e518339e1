"""Run one stage: ``python -m stages NAME [ITEM]``, as every command of ``dvc.yaml`` does.

There ITEM is ``"$DVC_STAGE"``, in which DVC tells the stage's whole name, NAME@ITEM: an item is named in params.yaml,
and what stands there must not become part of what a shell reads.

All that stages share is here: the parameters are validated, a stage is handed only those that ``dvc.yaml``
declares for it, a change of them while it runs is noticed, a user's mistake becomes one line, and timings go
to ``logs/`` (never into an artifact, whose bytes depend on its inputs alone).
"""

import importlib
import itertools
import json
import os
import platform
import re
import resource
import signal
import sys
import time
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from types import SimpleNamespace
from typing import Any

try:
    from ruamel.yaml import YAML
except ImportError:
    sys.exit(f"stages: error: {sys.executable} is not the project's Python; `source .venv/bin/activate` names it")

from kmerl.errors import UserError
from kmerl.escapes import one_line, printable

PARAMS, PLAN = Path("params.yaml"), Path("plan.yaml")
DAG = Path("dvc.yaml")
ERROR = "error: "  # before a message, so that it is told from progress

# threads that wait for one another soon let go of the core: on a busy machine they would else take turns at waiting
os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, as DVC reads it."""
    return _parsed(path.read_text("utf-8"))


@cache
def _parsed(text: str) -> Any:
    """The same text is parsed once; nobody changes what comes of it."""
    return YAML(typ="safe").load(text)


def declared(stage: str, item: str | None, dag: dict[str, Any]) -> list[str]:
    """The dotted parameter names that ``dvc.yaml`` lists for a stage (its code fingerprint left out)."""
    names = {"item": item or "", "key": item or ""}
    _, items = context(stage, dag)
    value = (items or {}).get(item or "")
    names |= {f"item.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {}
    definition = dag["stages"][stage]
    entries = definition.get("do", definition).get("params", [])
    listed = [name for one in entries for name in (one.get(PLAN.name, []) if isinstance(one, dict) else [one])]
    return [re.sub(r"\$\{([\w.]+)\}", lambda found: names[found[1]], one) for one in listed]


def context(stage: str, dag: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """All parameters as they stand in the file, and the items that ``dvc.yaml`` makes a stage for (None if one).

    An item's value is what ``${item}`` stands for; in a matrix it is a mapping.
    """
    params: dict[str, Any] = dict(read_yaml(PARAMS)) | (read_yaml(PLAN) if PLAN.name in dag.get("vars", []) else {})
    definition = dag["stages"][stage]
    axes = {name: resolved(values, params) for name, values in definition.get("matrix", {}).items()}
    if axes:
        found = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        return params, {"-".join(map(str, one.values())): one for one in found}
    items = resolved(definition.get("foreach"), params)
    return params, {one: one for one in items} if isinstance(items, list) else items


def resolved(value: Any, params: dict[str, Any]) -> Any:
    """A value of ``dvc.yaml``, or the parameter that it names."""
    return look_up(value, params) if isinstance(value, str) else value


def look_up(name: str, params: dict[str, Any]) -> Any:
    """The value of ``${dotted.name}``."""
    return reduce(getitem, name.strip("${}").split("."), params)


def check_item(stage: str, item: str | None, dag: dict[str, Any]) -> None:
    """Let a stage that ``dvc.yaml`` makes for several items have one of them, and any other stage none.

    Raises:
        UserError: it is not so; the message names the items.
    """
    _, items = context(stage, dag)
    if items is None:
        if item is not None:
            raise UserError(f"{stage} is one stage, not one of several; leave {item!r} out")
    elif item not in items:
        problem = "name one" if item is None else f"no item {item!r}"
        raise UserError(f"{problem}; the items of {stage} are {', '.join(items)}")


def select(params: Any, names: list[str]) -> SimpleNamespace:
    """Only the named parameters, so that no stage can use one that does not make it stale.

    ``archives.ptb_xl`` becomes ``result.archives.ptb_xl``; names already selected stay.
    """
    result = SimpleNamespace()
    for name in names:
        source, target = params, result
        *parents, last = name.split(".")
        for parent in parents:
            source = source[parent] if isinstance(source, dict) else getattr(source, parent)
            if not hasattr(target, parent):
                setattr(target, parent, SimpleNamespace())
            target = getattr(target, parent)
        setattr(target, last, source[last] if isinstance(source, dict) else getattr(source, last))
    return result


def run(stage: str, item: str | None) -> str:
    """Run a stage and return its summary line.

    Raises:
        UserError: whatever the user has to mend.
    """
    # imported by name: the assembled tree must not count as code of the stages
    load = importlib.import_module("kmerl.params").load
    dag = read_yaml(DAG)
    if stage not in dag["stages"] or not Path(f"stages/{stage}.py").exists():
        known = ", ".join(sorted(path.stem for path in Path("stages").glob("[a-z]*.py")))
        raise UserError(f"no stage {stage!r}; the stages are {known}")
    everything = load(PARAMS)
    if PLAN.name in dag.get("vars", []):
        importlib.import_module("workflow.plan").check(everything)
    check_item(stage, item, dag)
    names = declared(stage, item, dag)
    params = select(everything, names)
    for path in paths(stage, item, "outs", "metrics", "plots"):
        check_writable(Path(path))
    module = importlib.import_module(f"stages.{stage}")
    summary: str = module.main(params) if item is None else module.main(params, item)
    if select(load(PARAMS), names) != params:
        raise UserError(f"{PARAMS} changed while {stage} ran; run the pipeline again, nothing of this run was kept")
    return summary


def explain(error: BaseException, stage: str, item: str | None) -> str | None:
    """One line for an error that is not a mistake of ours: the machine's limits, or an input that is damaged.

    Returns:
        None if it may well be a mistake of ours, whose traceback is needed.
    """
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in ("kmerl", "stages"):
        return f"{sys.executable} has no {error.name}; run `source .venv/bin/activate` first, or `make` to install it"
    name = getattr(error, "filename", None)
    where = f"{os.fsdecode(name)}: " if name else ""
    if isinstance(error, FileNotFoundError) and name:
        return f"{where}no such file; run the stage that makes it"
    if isinstance(error, MemoryError) or re.search("out of memory|can't allocate memory", str(error)):
        return "not enough memory; end other programs, or lower the stage's batch in params.yaml"
    if reason := importlib.import_module("kmerl.artifacts").remedy(error):
        return f"{where}{reason} and run again"
    try:
        found = list(importlib.import_module("workflow.damage").damaged(paths(stage, item, "deps")))
    except Exception:  # what went wrong first is what has to be told
        return None
    if not found:
        return None
    (path, maker), *_ = found
    return f"{path}: not as {maker} wrote it: damaged, or changed by hand; `snakemake --cores all` makes it again"


def paths(stage: str, item: str | None, *kinds: str) -> list[str]:
    """The files and folders that ``dvc.yaml`` lists for a stage under ``kinds``: deps, outs, metrics, plots."""
    dag = read_yaml(DAG)
    params, items = context(stage, dag)
    params = params | {"key": item, "item": items[item] if items and item else item}
    entry = dag["stages"][stage].get("do", dag["stages"][stage])
    listed = [next(iter(one)) if isinstance(one, dict) else one for kind in kinds for one in entry.get(kind, [])]
    return [re.sub(r"\$\{[\w.]+\}", lambda name: str(look_up(name[0], params)), path) for path in listed]


def check_writable(path: Path) -> None:
    """Find out before the work is done, not after it.

    Raises:
        UserError: the folder in which ``path`` is to be made cannot be written.
    """
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{path}: cannot be written, read-only or no permission; make {folder} writable and run again")


def main(argv: list[str]) -> int:
    """Returns the exit status: 0, or 1 after one line that says what the user has to do.

    A stage's first process has a summary; further ones have none and write nothing.
    """
    if not 1 <= len(argv) <= 2:
        print("usage: python -m stages NAME [ITEM]", file=sys.stderr)
        return 2
    stage, *items = argv
    item = items[0].rpartition("@")[2] if items else None
    name, started = stage if item is None else f"{stage}@{item}", time.monotonic()
    try:
        # Ctrl-C was held back while Python started, see workflow/guard.py
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        summary = run(stage, item)
        if summary:  # of several processes of one stage, one tells
            note(name, time.monotonic() - started)
            print(f"{name}: {printable(summary)} [{time.monotonic() - started:.1f} s]", flush=True)
    except UserError as error:
        print(f"{name}: {ERROR}{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        if __name__ == "__main__":  # the program ends with this line, however often it is told to
            for further in (signal.SIGINT, signal.SIGTERM):
                signal.signal(further, signal.SIG_IGN)
        where = f" {stop}" if str(stop) else ""  # what it was at, if that is kept
        print(f"{name}: {ERROR}stopped{where}; run it again when you like", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads our output any more; nor shall Python try to write at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Exception as error:
        line = explain(error, stage, item)
        if line is None:
            raise
        print(f"{name}: {ERROR}{one_line(line)}", file=sys.stderr)
        return 1
    return 0


def note(name: str, seconds: float) -> None:
    """Keep what a stage took, and where, beside its log."""
    largest = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = {
        "seconds": round(seconds, 2),
        "peak_memory_mib": largest // 1024,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    Path("logs").mkdir(exist_ok=True)
    Path(f"logs/{name}.json").write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
