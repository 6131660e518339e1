"""Training on several nodes of a slurm cluster: the stage starts itself on each, and each learns where all meet.

Nothing is asked of the user but a job of so many nodes. torchrun on every node does as well, see ``one_of_several``.
"""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kmerl.children import bound, terminable, without_interrupts
from kmerl.errors import UserError

PORTS = range(16384, 32768)
"""Where processes of several nodes meet: below the ports that Linux gives out by itself, one for each job number."""
SRUN = ("srun", "--ntasks-per-node=1", "--cpu-bind=none", "--overlap", "--kill-on-bad-exit=1")
"""One task per node, with all that the job has there; they end when one of them fails."""


@dataclass(frozen=True)
class Node:
    """One of the nodes of a run.

    Attributes:
        index: of this node, from 0.
        count: of all nodes.
        address: of the first one, as the others reach it.
        port: there; 0: any that is free, of a run on one node.
    """

    index: int = 0
    count: int = 1
    address: str = "127.0.0.1"
    port: int = 0

    def listener(self) -> socket.socket | None:
        """Where all processes find each other, opened here so that nobody else takes the port; None on later nodes.

        Raises:
            UserError: the port is in use.
        """
        if self.index:
            return None
        try:
            return socket.create_server((self.address if self.count == 1 else "", self.port))
        except OSError as error:
            raise UserError(
                f"port {self.port}, where the nodes of this job would meet, cannot be had ({error.strerror}); "
                "submit the job again, as another job has another port"
            ) from None

    def environment(self, local: int, processes: int, port: int) -> dict[str, str]:
        """What a process of this node is told, as torchrun would.

        Args:
            local: its number on this node.
            processes: on each node.
            port: where they meet.
        """
        return {
            "RANK": str(self.index * processes + local), "LOCAL_RANK": str(local),
            "WORLD_SIZE": str(self.count * processes), "LOCAL_WORLD_SIZE": str(processes),
            "MASTER_ADDR": self.address, "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True",
        }  # fmt: skip


ALONE = Node()


def here(nodes: int, told: Mapping[str, str] = os.environ) -> Node | None:
    """This node among those of a run.

    Args:
        nodes: how many the run is to have.
        told: the environment, of which slurm's ``srun`` makes a part.

    Returns:
        None if there are to be several and this process is not one of a step on so many.
    """
    if nodes == 1:
        return ALONE
    if told.get("SLURM_STEP_NUM_NODES") != str(nodes):
        return None
    first = next(hosts(told["SLURM_STEP_NODELIST"]))
    return Node(int(told["SLURM_NODEID"]), nodes, first, PORTS[int(told["SLURM_JOB_ID"]) % len(PORTS)])


def hosts(text: str) -> Iterator[str]:
    """The names in slurm's short form of a list of nodes: ``a[08-10,12],b`` gives a08, a09, a10, a12, b."""
    for part in re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", text):
        pieces = re.split(r"\[([^\]]*)\]", part)  # outside and inside of brackets by turns
        choices = [[*_numbers(piece)] if place % 2 else [piece] for place, piece in enumerate(pieces)]
        yield from map("".join, itertools.product(*choices))


def _numbers(text: str) -> Iterator[str]:
    """``08-10,12``: all are as wide as the first of their range."""
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        yield from (str(number).zfill(len(first)) for number in range(int(first), int(last or first) + 1))


def start(nodes: int) -> None:
    """Run this very program once on each node of the slurm job that it is in, and wait until all have ended well.

    Raises:
        UserError: there is no such job, or the program failed on a node, which told why.
        KeyboardInterrupt: of Ctrl-C or SIGTERM, after all were ended.
    """
    if "SLURM_JOB_ID" not in os.environ:
        raise UserError(
            f"pretrain.loop.nodes: {nodes} but this is no slurm job; submit it (docs/clusters.md), start it by "
            "torchrun on every node, or set it to 1"
        )
    command = [*SRUN, f"--nodes={nodes}", f"--ntasks={nodes}", sys.executable, *sys.orig_argv[1:]]
    with terminable():
        try:
            with without_interrupts():  # ended by us, not by the terminal
                process = subprocess.Popen(command, preexec_fn=bound(signal.SIGTERM))
        except FileNotFoundError:
            raise UserError(f"pretrain.loop.nodes: {nodes} but there is no srun here; install slurm's client") from None
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if status:
        raise UserError(f"srun ended with status {status}; what it and the nodes said stands in the log; run again")
