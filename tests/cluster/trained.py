"""What a stage of pretraining does in a slurm job, on small data: ``python -m tests.cluster.trained FOLDER NODES``."""

import sys
from functools import partial
from pathlib import Path

from kmerl.training.nodes import here, start
from kmerl.training.processes import launch


def main() -> None:
    """Start itself on all nodes, and there one process each."""
    nodes = int(sys.argv[2])
    node = here(nodes)
    if node is None:
        start(nodes)
        return
    from tests.ranked import train_and_note

    launch(2 // nodes, partial(train_and_note, Path(sys.argv[1])), node=node)


if __name__ == "__main__":
    main()
