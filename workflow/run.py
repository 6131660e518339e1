"""Run one stage for Snakemake: ``python -m workflow.run STAGE LOG``.

Everything goes to the log; the terminal gets the stage's own one-line summary, or its message if it fails.
"""

import subprocess
import sys
from pathlib import Path


def main(stage: str, log: str) -> int:
    """Returns DVC's exit status."""
    print(f"{stage}: started, see {log}", flush=True)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    with Path(log).open("w") as file:
        status = subprocess.call(command, stdout=file, stderr=subprocess.STDOUT)
    said = [line for line in Path(log).read_text("utf-8", "replace").splitlines() if line.startswith(f"{stage}: ")]
    if status == 0:
        print(said[-1] if said else f"{stage}: nothing to compute, outputs are as recorded", flush=True)
    elif said:
        print(said[-1], file=sys.stderr, flush=True)
    else:
        print(f"{stage}: failed; the end of {log} says why", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
