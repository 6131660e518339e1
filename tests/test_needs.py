"""What stages ask a node for: GPUs as the parameters have it, and cards that jobs do not share."""

import os
import re
import subprocess
import sys
import time

import pytest
import yaml
from engines.project import ROOT, real

from kmerl.params import check
from workflow.gpus import present, taken
from workflow.needs import resources

RULES = yaml.safe_load((ROOT / "workflow/rules.yaml").read_text())
EIGHT = {"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}
LISTED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0a)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-1b)
  MIG 3g.40gb     Device  0: (UUID: MIG-2c)
  MIG 3g.40gb     Device  1: (UUID: MIG-3d)
GPU 2: NVIDIA H100 80GB HBM3 (UUID: GPU-4e)
"""


def parameters(**changes):
    """``params.yaml``, with dotted names set (``__`` for the dot)."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        section = values
        for name in parents:
            section = section[name]
        section[last] = value
    return check(values, "params.yaml")


def of(stage, params, gpus=8, **item):
    """What an item asks for, but for memory and minutes."""
    asked = resources(RULES[stage], params, [item], gpus)
    values = {name: value(item) if callable(value) else value for name, value in asked.items()}
    return {name: value for name, value in values.items() if value is not None and name not in ("mem_mb", "runtime")}


def test_stages_ask_for_the_gpus_that_the_parameters_let_them_use():
    params = parameters(pretrain__loop__processes=8)
    assert of("pretrain", params, item="kmerl") == {"gpu": 8}
    assert of("pretrain", params, gpus=4, item="kmerl") == {"gpu": 4}  # all; pretraining then says that they are few
    assert of("embed_text", params, item="reports") == of("zeroshot", params, item="kmerl") == {"gpu": 1}
    assert of("extract", params, variant="base", part="1of1") == {}  # the lexicon needs none
    mined = parameters(knowledge__engine__name="vllm", knowledge__engine__vllm__tensor_parallel=4)
    assert of("extract", mined, variant="base", part="1of1") == of("merge", mined, item="base") == {"gpu": 4}
    assert of("linear_probe", params, item="kmerl") == of("tables", params) == {}


def test_a_run_that_changes_its_processes_asks_for_as_many():
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["runs"]["random_init"]["pretrain"]["loop"] |= {"processes": 2}
    params = check(values, "params.yaml")
    assert of("pretrain", params, item="random_init") == {"gpu": 2}
    assert of("pretrain", params, item="kmerl") == {"gpu": 1}


@pytest.mark.parametrize("stage", RULES)
def test_where_there_are_no_gpus_nobody_asks_for_any(stage):
    params = parameters(pretrain__loop__processes=8, knowledge__engine__name="vllm")
    items = [{"item": "kmerl", "variant": "base"}] if "gpu" in RULES[stage] else [{}]
    if RULES[stage].get("gpu") == "engine":
        items = [{"variant": "base"}]
    assert set(resources(RULES[stage], params, items, 0)) == {"mem_mb", "runtime"}


def test_a_run_on_several_nodes_asks_slurm_for_tasks_and_for_the_gpus_of_each():
    params = parameters(pretrain__loop__nodes=2, pretrain__loop__processes=8)
    several = {"nodes": 2, "tasks": 2, "mpi": "srun"}
    assert of("pretrain", params, item="kmerl") == several | {"gres": "gpu:8"}
    assert of("pretrain", params, gpus=0, item="kmerl") == several


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("0,1,2", ["0", "1", "2"]),
        (" GPU-8932f937 ,MIG-4d8a", ["GPU-8932f937", "MIG-4d8a"]),
        ("", []),
        ("-1", []),
        ("0,-1,2", ["0"]),
    ],
)
def test_gpus_that_are_hidden_are_not_counted(visible, found):
    assert present({"CUDA_VISIBLE_DEVICES": visible}) == found


def test_gpus_are_counted_without_torch_and_a_divided_one_by_its_parts(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<END\n{LISTED}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert present({}) == ["0", "MIG-2c", "MIG-3d", "2"]
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed; exit 9\n")
    assert present({}, tmp_path) == []
    for name in ("0000:07:00.0", "0000:0a:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / name).mkdir(parents=True)
    assert present({}, tmp_path) == ["0", "1"]


HOLD = """
import sys, time
from pathlib import Path
from workflow.gpus import taken
with taken(int(sys.argv[2]), ["0", "1", "2", "3"], Path(sys.argv[1])) as mine:
    print(*mine, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that takes cards and keeps them; gives the process and the cards."""
    started = []

    def start(count):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path, str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, process.stdout.readline().split()

    yield start
    for process in started:
        process.kill()


def test_no_two_jobs_have_the_same_card_and_a_killed_one_lets_its_go(tmp_path, holder):
    first, mine = holder(2)
    _, others = holder(1)
    assert (mine, others) == (["0", "1"], ["2"])
    told = []

    def killed(line):
        told.append(line)
        first.kill()

    with taken(3, ["0", "1", "2", "3"], tmp_path, killed) as rest:
        assert sorted(rest) == ["0", "1", "3"]
    assert told == ["waits for 3 of 4 GPUs, which other jobs have"]


def test_who_wants_many_is_not_passed_by_those_who_want_few(tmp_path, holder):
    first, _ = holder(2)
    waiting = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path, "4"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )  # fmt: skip
    until(lambda: held(tmp_path / "3"), "the second has the free ones")
    late = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path, "1"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    first.kill()
    assert sorted(waiting.stdout.readline().split()) == ["0", "1", "2", "3"]
    waiting.kill()
    assert len(late.stdout.readline().split()) == 1
    late.kill()


def held(path):
    return path.exists() and subprocess.run(["flock", "--nonblock", path, "true"]).returncode == 1


def until(met, what):
    end = time.monotonic() + 120
    while not met():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The real pipeline before it ran, with pretraining in eight processes."""
    made = real(tmp_path_factory.mktemp("needs") / "project", "tiny")
    made.replace("params.yaml", "processes: 1 ", "processes: 8 ")
    return made


def dry(project, *options, **environment):
    """Rule -> the GPUs and cards of its jobs, as Snakemake would start them."""
    started = subprocess.run(
        ["snakemake", "-n", "--cores", "8", "--printshellcmds", "--quiet", "host", *options], cwd=project.folder,
        env=project.environment() | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = started.stdout + started.stderr
    jobs = re.split(r"^rule ", said, flags=re.MULTILINE)[1:]
    return {
        job.split(":")[0]: (int(found[1]) if (found := re.search(r"gpu=(\d+)", job)) else 0, int(shell[1]))
        for job in jobs
        if (shell := re.search(r"workflow.run \S+ \S+ \d+ (\d+)", job))
    }


def test_snakemake_gives_jobs_the_gpus_of_the_node_and_no_more(project):
    asked = dry(project, **EIGHT)
    assert asked["pretrain"] == (8, 8) and asked["zeroshot"] == asked["embed_text"] == (1, 1)
    assert {rule for rule, (gpus, _) in asked.items() if gpus} == {
        "embed_text", "pretrain", "zeroshot", "partial_leads", "embed_ecg",
    }  # fmt: skip
    assert dry(project, "--resources", "gpu=4", **EIGHT)["pretrain"] == (
        4,
        4,
    )  # alone on them; it then says they are few
    assert {*dry(project, CUDA_VISIBLE_DEVICES="").values()} == {(0, 0)}
