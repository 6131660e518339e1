"""A slurm cluster of two nodes on this machine, with all of its state in one folder: ``python -m tests.cluster.slurm``.

It needs Debian's packages slurmctld, slurmd, slurm-client and munge, and root. The second node is a slurmd that sees
another name of the machine (a UTS namespace), as Debian's slurm allows one for each name.

``python -m tests.cluster.slurm FOLDER COMMAND...`` runs a command that finds the cluster, and takes it down again.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kmerl.children import bound, terminable

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "sinfo", "unshare")
CPUS = 2  # of each node, whatever the machine has
PATIENCE = 120  # s, for a busy machine
CONFIG = """
ClusterName=test
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=5
NodeName={name} NodeHostname={name} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory=16000
NodeName={name}2 NodeHostname={name}2 NodeAddr=127.0.0.2 Port={ports[2]} CPUs={cpus} RealMemory=16000
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}; Debian has slurmctld, slurmd, slurm-client and munge"
    return "" if os.geteuid() == 0 else "slurmd needs root"


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Two nodes that are up; gives the variables by which slurm's commands find them. Nothing of it is left running.

    Args:
        folder: for all of its files; its path must be short, as sockets' are.
    """
    name = socket.gethostname().partition(".")[0]
    text = CONFIG.format(name=name, folder=folder, ports=_ports(3), cpus=CPUS)
    for place in ("munge", "state", name, f"{name}2"):
        (folder / place).mkdir(parents=True, mode=0o700)
    folder.chmod(0o755)
    (folder / "slurm.conf").write_text(text)
    key = folder / "munge/key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    of_munge = {"key-file": key} | {f"{one}-file": folder / "munge" / one for one in ("pid", "log", "seed")}
    options = [f"--{option}={path}" for option, path in of_munge.items()]
    # Snakemake's plugin hides slurm's variables from the srun of a job, which elsewhere finds /etc/slurm/slurm.conf
    srun = folder / "bin/srun"
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    environment = {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": f"{srun.parent}{os.pathsep}{os.environ['PATH']}"}
    daemons = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *options],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D", "-c"],
        ["unshare", "--uts", "sh", "-c", f"hostname {name}2; exec slurmd -D -c"],
    ]
    running = []
    try:
        for command in daemons:
            with (folder / "daemons.log").open("ab") as log:
                told = {"env": os.environ | environment, "stdout": log, "stderr": log}
                running.append(subprocess.Popen(command, preexec_fn=bound(), **told))
            _until(lambda: (folder / "munge/socket").exists(), "munge is there")
        _until(lambda: _up(environment), f"two nodes are up; see {folder}/*.log")
        yield environment
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], env=os.environ | environment, capture_output=True)
        time.sleep(1)
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        for process in reversed(running):
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _ports(count: int) -> list[int]:
    """Ports that are free a moment later."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


def _up(environment: dict[str, str]) -> bool:
    asked = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%T"], env=os.environ | environment, capture_output=True, text=True
    )
    return asked.stdout.split() == ["idle", "idle"]


def _until(met, what) -> None:
    end = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.2)


def main() -> int:
    """Run a command beside a cluster."""
    with terminable(), cluster(Path(sys.argv[1])) as environment:
        return subprocess.run(sys.argv[2:], env=os.environ | environment).returncode


if __name__ == "__main__":
    sys.exit(main())
