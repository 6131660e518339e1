"""How many processors this process may use, which may be fewer than the machine has."""

import os
from collections.abc import Iterator
from pathlib import Path

GRANTS = ("SLURM_CPUS_PER_TASK", "NSLOTS")
"""Variables in which schedulers of clusters tell a job how many it got."""


def processors(root: Path = Path("/")) -> int:
    """The fewest of: those of the machine, of this process's affinity, of its control groups, of a scheduler's grant.

    Args:
        root: above ``proc`` and ``sys``.
    """
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = [int(text) for name in GRANTS if (text := os.environ.get(name, "")).isdecimal()]
    return max(1, min([own, *granted, *_quotas(root)]))


def _quotas(root: Path) -> Iterator[int]:
    """Processors that each control group around this process allows (version 2), as containers have them."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
        name = next((line.removeprefix("0::/") for line in groups if line.startswith("0::/")), "")
    except OSError:  # no Linux
        return
    mounted = root / "sys/fs/cgroup"
    group = mounted / name
    for folder in (group, *(parent for parent in group.parents if parent.is_relative_to(mounted))):
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            yield -(-int(quota) // int(period))
        except (OSError, ValueError, ZeroDivisionError):  # there is none, or it is "max"
            continue
