"""Memory of the benchmarks' processes."""

from pathlib import Path


def peak_mib() -> float:
    """The most that this process had at once; not ru_maxrss, which it takes over from the one that started it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
