"""How many processors may be used, and how many processes preprocessing starts."""

import os

import pytest

from kmerl.errors import UserError
from kmerl.processors import GRANTS, processors
from stages import preprocess


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine of 16 processors, and no grant of any scheduler or engine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for name in (*GRANTS, "KMERL_THREADS"):
        monkeypatch.delenv(name, raising=False)


def groups(root, name, **quotas):
    """A tree of control groups; ``quotas`` are contents of ``cpu.max`` by the group's path, / written _."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"0::/{name}\n")
    for group, text in quotas.items():
        folder = root / "sys/fs/cgroup" / group.replace("_", "/").strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(text)
    return root


def test_all_processors_of_the_affinity_are_used_where_nothing_limits_them(tmp_path):
    assert processors(tmp_path) == 16


@pytest.mark.parametrize(
    ("name", "quotas", "found"),
    [
        ("", {"_": "200000 100000\n"}, 2),
        ("job/step", {"job": "300000 100000\n", "job_step": "max 100000\n"}, 3),
        ("job/step", {"job": "max 100000\n"}, 16),
        ("job", {"job": "50000 100000\n"}, 1),  # half a processor
        ("../job", {"_": "400000 100000\n"}, 4),
        ("job", {"job": "damaged"}, 16),
    ],
)
def test_a_containers_share_is_not_exceeded(tmp_path, name, quotas, found):
    assert processors(groups(tmp_path, name, **quotas)) == found


@pytest.mark.parametrize(("grant", "found"), [("2", 2), ("64", 16), ("", 16), ("many", 16), ("0", 1)])
def test_a_schedulers_grant_is_not_exceeded(tmp_path, monkeypatch, grant, found):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", grant)
    assert processors(tmp_path) == found


@pytest.mark.parametrize(("granted", "found"), [("8", 2), ("1", 1), ("0", 1), ("", 2)])
def test_preprocessing_starts_as_many_processes_as_are_granted_and_no_more_than_the_node_has(
    monkeypatch, granted, found
):
    monkeypatch.setattr(preprocess, "processors", lambda: 2)
    monkeypatch.setenv("KMERL_THREADS", granted)
    assert preprocess.processes() == found


def test_a_grant_that_is_no_number_is_answered_in_one_line(monkeypatch):
    monkeypatch.setenv("KMERL_THREADS", "many")
    with pytest.raises(UserError, match="KMERL_THREADS is 'many'; set it to a number"):
        preprocess.processes()
