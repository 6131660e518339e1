"""Run one stage: ``python -m stages NAME [ITEM]``, as every command of ``dvc.yaml`` does.

All that stages share is here: the parameters are validated, a stage is handed only those that ``dvc.yaml``
declares for it, a change of them while it runs is noticed, a user's mistake becomes one line, and timings go
to ``logs/`` (never into an artifact, whose bytes depend on its inputs alone).
"""

import importlib
import json
import os
import platform
import resource
import sys
import time
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from kmerl.errors import UserError

PARAMS = Path("params.yaml")
DAG = Path("dvc.yaml")
ERROR = "error: "  # before a message, so that it is told from progress

# threads that wait for one another soon let go of the core: on a busy machine they would else take turns at waiting
os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def declared(stage: str, item: str | None, dag: dict[str, Any]) -> list[str]:
    """The dotted parameter names that ``dvc.yaml`` lists for a stage (its code fingerprint left out)."""
    definition = dag["stages"][stage]
    entries = definition.get("do", definition).get("params", [])
    return [e.replace("${item}", item or "").replace("${key}", item or "") for e in entries if isinstance(e, str)]


def check_item(stage: str, item: str | None, dag: dict[str, Any], params: Any) -> None:
    """Let a stage that ``dvc.yaml`` makes for several items have one of them, and any other stage none.

    Raises:
        UserError: it is not so; the message names the items.
    """
    items = dag["stages"][stage].get("foreach")
    if isinstance(items, str):  # ${dotted.name} of a parameter
        items = reduce(getattr, items.strip("${}").split("."), params)
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
    dag = yaml.safe_load(DAG.read_text())
    if stage not in dag["stages"] or not Path(f"stages/{stage}.py").exists():
        known = ", ".join(sorted(path.stem for path in Path("stages").glob("[a-z]*.py")))
        raise UserError(f"no stage {stage!r}; the stages are {known}")
    everything = load(PARAMS)
    check_item(stage, item, dag, everything)
    names = declared(stage, item, dag)
    params = select(everything, names)
    module = importlib.import_module(f"stages.{stage}")
    summary: str = module.main(params) if item is None else module.main(params, item)
    if select(load(PARAMS), names) != params:
        raise UserError(f"{PARAMS} changed while {stage} ran; run the pipeline again, nothing of this run was kept")
    return summary


def main(argv: list[str]) -> int:
    """Returns the exit status: 0, or 1 after one line that says what the user has to do.

    A stage's first process has a summary; further ones, started by torchrun, have none and write nothing.
    """
    if not 1 <= len(argv) <= 2:
        print("usage: python -m stages NAME [ITEM]", file=sys.stderr)
        return 2
    name, started = "@".join(argv), time.monotonic()
    try:
        summary = run(argv[0], argv[1] if len(argv) == 2 else None)
    except UserError as error:
        print(f"{name}: {ERROR}{error}", file=sys.stderr)
        return 1
    if not summary:  # another process of the same stage says it
        return 0
    seconds = time.monotonic() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    record = {
        "seconds": round(seconds, 2),
        "peak_memory_mib": usage.ru_maxrss // 1024,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    Path("logs").mkdir(exist_ok=True)
    Path(f"logs/{name}.json").write_text(json.dumps(record) + "\n")
    print(f"{name}: {summary} [{seconds:.1f} s]")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
