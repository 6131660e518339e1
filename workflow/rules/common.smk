# The pipeline as dvc.yaml describes it and DVC finds it; a mistake in the parameters or a missing input ends here.
import sys
from pathlib import Path

from snakemake.logging import logger

sys.path.insert(0, str(Path.cwd()))
from kmerl.errors import UserError
from kmerl.params import load
from kmerl.processors import processors
from workflow.bridge import Pipeline
from workflow.display import shorten

shorten(logger)
try:
    checked = load(Path("params.yaml"))
    pipeline = Pipeline(ask=workflow.is_main_process)
except UserError as error:
    raise SystemExit(str(error))


def at_most(threads):
    """Threads that a node can give: one like this one. A cluster's profile knows its nodes (profiles/slurm)."""
    return min(threads, processors())


wildcard_constraints:
    item=r"[A-Za-z0-9_-]+",
    archive=r"[A-Za-z0-9_]+",
    part=r"[A-Za-z0-9_]+",
