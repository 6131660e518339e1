"""A small release to fetch, and ways to fetch it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from kmerl.archives.fetch import client
from kmerl.archives.fetch.job import Job
from kmerl.archives.fetch.params import FetchParams
from kmerl.archives.fetch.sources import SOURCES, Source

ROOT = Path(__file__).parent.parent
CHUNK = client.CHUNK
LARGE = bytes(range(256)) * 4000  # 4 pieces
FILES = {
    "a.csv": b"a,b\n1,2\n",
    "files/p1/1.dat": LARGE,
    "files/p1/1.hea": b"1 12 500 5000\n",
    "files/p2/2 ü.hea": b"2 12 500 5000\n",
}
RELEASE = "project/1.0"
SUMS = f"/{RELEASE}/SHA256SUMS.txt"
DATA = f"/{RELEASE}/files/p1/1.dat"
SOURCE = Source("csn", RELEASE)
CSN = SOURCES["csn"].release


def params(server, **changes):
    values = {
        "physionet_url": server.url, "merl_url": server.url, "leave_out": {}, "connections": 2, "connect_seconds": 5,
        "stall_seconds": 0.3, "attempts": 3, "first_wait_seconds": 0.01, "longest_wait_seconds": 1.5,
        "measured_files": 2,
    }  # fmt: skip
    return FetchParams.model_validate(values | changes)


def job(server, folder, source=SOURCE, verify=False, **changes):
    return Job(source, folder, params(server, **changes), verify)


def held(folder):
    """What a folder holds, without the downloader's own files."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not Path(name).name.startswith(".")}


def leftovers(folder):
    return sorted(path.name for path in folder.rglob(".*.partial*"))


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def command(server, folder, *options, **changes):
    """A run in another process."""
    values = params(server, **changes).model_dump() | {"leave_out": {}}
    project = folder.parent / "project"
    project.mkdir(exist_ok=True)
    (project / "params.yaml").write_text(yaml.safe_dump({"fetch": values}))
    return subprocess.Popen(
        [sys.executable, "-m", "kmerl.archives", "fetch", "csn", str(folder), *options], cwd=project, text=True,
        stdout=-1, stderr=-1, env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip


def until(condition):
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)
