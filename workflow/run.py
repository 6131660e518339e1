"""Run one stage for Snakemake: ``python -m workflow.run STAGE LOG``.

Everything goes to the log; the terminal gets the stage's own lines: its progress, its summary, or its message if it
fails. They begin with its name.
"""

import subprocess
import sys
from pathlib import Path

from stages.__main__ import ERROR


def main(stage: str, log: str) -> int:
    """Returns DVC's exit status."""
    print(f"{stage}: started, see {log}", flush=True)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    last = ""  # of the stage's own lines
    with (
        Path(log).open("w", encoding="utf-8") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
        ) as process,
    ):
        for line in process.stdout or ():
            file.write(line)
            file.flush()
            if line.startswith(f"{stage}: "):
                last = line
                print(line, end="", flush=True)
    if process.returncode == 0 and not last:
        print(f"{stage}: nothing to compute, outputs are as recorded", flush=True)
    elif process.returncode and not last.startswith(f"{stage}: {ERROR}"):
        print(f"{stage}: failed; the end of {log} says why", file=sys.stderr, flush=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
