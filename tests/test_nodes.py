"""Training on several nodes: who meets where, and that nodes change nothing but where processes run."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import ranked
import small
from hypothesis import given
from hypothesis import strategies as st

from kmerl.errors import UserError
from kmerl.training import nodes
from kmerl.training.nodes import PORTS, Node, here, hosts
from kmerl.training.processes import launch

ROOT = Path(__file__).parents[1]
STEP = {
    "SLURM_JOB_ID": "40000", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "gpu[09-10]",
    "SLURM_JOB_NODELIST": "gpu[08-10]", "SLURM_NODEID": "1",
}  # fmt: skip
"""What slurm tells the second task of a step on two of the three nodes of a job."""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("localhost", ["localhost"]),
        ("a,b-1.example.org", ["a", "b-1.example.org"]),
        ("n[8-10]", ["n8", "n9", "n10"]),
        ("n[008-010,12],m", ["n008", "n009", "n010", "n12", "m"]),
        ("rack[1-2]n[3,05]x", ["rack1n3x", "rack1n05x", "rack2n3x", "rack2n05x"]),
    ],
)
def test_a_list_of_nodes_is_read_as_slurm_means_it(text, names):
    assert list(hosts(text)) == names


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z-]{0,5}", fullmatch=True),
            st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5)), max_size=3),
            st.integers(1, 4),
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_any_list_of_ranges_names_every_node_in_its_order(groups):
    written, expected = [], []
    for prefix, ranges, width in groups:
        texts = []
        for first, more in ranges:
            wide = str(first).zfill(width)
            texts.append(wide if not more else f"{wide}-{first + more}")
            expected += [f"{prefix}{number:0{len(wide)}d}" for number in range(first, first + more + 1)]
        written.append(f"{prefix}[{','.join(texts)}]" if texts else prefix)
        expected += [] if texts else [prefix]
    assert list(hosts(",".join(written))) == expected


def test_a_node_of_a_step_knows_its_number_and_where_all_meet():
    second = here(2, STEP)
    assert (second.index, second.count, second.address) == (1, 2, "gpu09")
    first = here(2, STEP | {"SLURM_NODEID": "0"})
    assert (first.address, first.port) == (second.address, second.port) and first.port in PORTS
    assert here(2, STEP | {"SLURM_JOB_ID": "40001"}).port != first.port


@pytest.mark.parametrize("told", [{}, STEP | {"SLURM_STEP_NUM_NODES": "1"}, {"SLURM_JOB_NUM_NODES": "2"}])
def test_a_process_outside_a_step_on_so_many_nodes_is_none_of_them(told):
    assert here(2, told) is None
    assert here(1, told) == Node()  # a run on one node asks nothing of slurm


def test_processes_are_numbered_node_by_node():
    told = [Node(index, 2, "a", 7).environment(local, 3, 7) for index in range(2) for local in range(3)]
    assert [one["RANK"] for one in told] == [*"012345"]
    assert [one["LOCAL_RANK"] for one in told] == [*"012012"]
    assert {(one["WORLD_SIZE"], one["MASTER_ADDR"], one["MASTER_PORT"]) for one in told} == {("6", "a", "7")}


def test_a_port_that_is_taken_is_told_in_one_line():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}, where the nodes of this job would meet, cannot be had"):
            Node(0, 2, "localhost", port).listener()


def test_several_nodes_without_slurm_are_refused_in_one_line(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(UserError, match=r"pretrain.loop.nodes: 2 but this is no slurm job; .* or set it to 1"):
        nodes.start(2)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A slurm job of two nodes, whose ``srun`` only notes how it was called."""
    program = tmp_path / "bin/srun"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexit ${{STATUS:-0}}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "stages", "pretrain", "kmerl"])
    return tmp_path / "called"


def test_the_stage_starts_itself_once_on_each_node(job):
    nodes.start(2)
    called = job.read_text().split()
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--kill-on-bad-exit=1"} <= {*called}
    assert called[-5:] == [sys.executable, "-m", "stages", "pretrain", "kmerl"]


def test_a_node_that_fails_makes_the_stage_fail(job, monkeypatch):
    monkeypatch.setenv("STATUS", "3")
    with pytest.raises(UserError, match="srun ended with status 3"):
        nodes.start(2)


def weights(folder):
    return {path.name: path.read_bytes() for path in (folder / "data/runs/small").iterdir()}


@pytest.fixture
def store(tmp_path):
    small.store(tmp_path / "store")
    return tmp_path


def test_two_nodes_of_one_process_give_the_bytes_of_one_node_of_two(store, tmp_path_factory):
    together = tmp_path_factory.mktemp("together") / "one"
    shutil.copytree(store, together)
    launch(2, partial(ranked.train_and_note, together))
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    program = "import sys; from pathlib import Path; from tests.ranked import on_node; on_node(*sys.argv[1:])"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, store, str(index), str(port)], cwd=ROOT, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )
        for index in (1, 0)  # the later one waits for the first
    ]  # fmt: skip
    errors = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert weights(store) == weights(together)
    said = [(store / f"said-{rank}").read_text() for rank in range(2)]
    assert said[0].startswith("8 steps on 16 records") and said[1] == ""
