"""Write ``plan.yaml``, what follows from the runs and suites of ``params.yaml``: ``python -m workflow.plan``.

DVC makes stages of it, and can only read it. It is therefore a file in git; the environment's ``dvc`` and ``snakemake``
write it before they read it, and the stage ``code``, for which all others wait, refuses one that does not fit.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from kmerl.artifacts import whole
from kmerl.errors import UserError
from kmerl.params import load

PARAMS, PLAN = Path("params.yaml"), Path("plan.yaml")
HEADER = "# Written from params.yaml by `dvc` and `snakemake` (workflow/plan.py): what stages are made for, and of.\n"


class _Dumper(yaml.SafeDumper):
    """Repeats what is the same rather than referring to it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text_of(params: Any) -> str:
    """The file's text for checked parameters."""
    return HEADER + yaml.dump({"plan": params.plan}, Dumper=_Dumper, sort_keys=False, width=120)


def refresh(params: Any) -> None:
    """Write the file, if it is not there or differs; a pipeline without a plan has none."""
    if getattr(params, "plan", None) is not None and not fits(params):
        with whole(PLAN) as temporary:
            temporary.write_text(text_of(params), "utf-8")


def fits(params: Any) -> bool:
    """Whether the file is of these parameters."""
    return PLAN.is_file() and PLAN.read_bytes() == text_of(params).encode()


def check(params: Any) -> None:
    """Refuse a file that is of other parameters.

    Raises:
        UserError: it is.
    """
    if not fits(params):
        raise UserError(f"{PLAN} is not of this {PARAMS}; run `python -m workflow.plan`")


def main() -> int:
    """Returns the exit status: 0, or 1 after one line."""
    try:
        refresh(load(PARAMS))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
