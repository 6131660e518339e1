"""Clusters for real: slurm's programs on this machine, and Snakemake's plugins. `make test-cluster`."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import small
import yaml
from cluster import slurm
from engines.project import ROOT, Project, real

from kmerl.training.nodes import hosts

PLUGINS = ("slurm", "slurm-jobstep", "cluster-generic")
PATIENCE = 3600  # s, for a busy machine
LOOP = {"processes": 2, "batch": 4, "steps": 400, "checkpoint_every": 50, "validate_every": 200}
"""Pretraining long enough to be killed within."""


def on_slurm(test):
    """Mark a test that needs slurm, or say why it is left out."""
    return pytest.mark.cluster(pytest.mark.skipif(bool(slurm.missing()), reason=slurm.missing() or "-")(test))


@pytest.fixture(scope="module")
def nodes():
    """A cluster of two nodes, as variables by which slurm's commands find it."""
    with tempfile.TemporaryDirectory(prefix="slurm") as folder, slurm.cluster(Path(folder) / "s") as environment:
        yield environment


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """Snakemake's plugins in a folder of their own; KMERL_SNAKEMAKE_PLUGINS may name one that has them."""
    if given := os.environ.get("KMERL_SNAKEMAKE_PLUGINS"):
        return given
    folder = tmp_path_factory.mktemp("plugins")
    names = [f"snakemake-executor-plugin-{name}" for name in PLUGINS]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *names]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"Snakemake's plugins cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return str(folder)


class Clustered(Project):
    """A project whose Snakemake finds the cluster and the plugins."""

    own: dict[str, str]

    def environment(self):
        return super().environment() | self.own


@pytest.fixture(scope="module")
def pipeline(nodes, plugins, tmp_path_factory):
    """The whole pipeline on the profile `tiny`, pretraining in two processes."""
    made = real(tmp_path_factory.mktemp("cluster") / "project", "tiny")
    project = Clustered(made.folder)
    project.own = nodes | {"PYTHONPATH": plugins, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{nodes['PATH']}"}
    params = yaml.safe_load((made.folder / "params.yaml").read_text())
    params["pretrain"]["loop"] |= LOOP
    (made.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    return project


SLURM = [
    "snakemake", "--profile", "profiles/slurm", "--jobs", "3", "--resources", "gpu=0", "--set-threads", "pretrain=2",
    "--set-resources", "pretrain:mem_mb=2000", "--latency-wait", "20", "--slurm-init-seconds-before-status-checks", "2",
    "--slurm-partition-config", "partitions.yaml", "--slurm-no-account", "--slurm-status-command", "squeue",
]  # fmt: skip
"""The profile on nodes of two processors and no GPU."""


def until(met, what, process):
    end = time.monotonic() + PATIENCE
    while not met():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.1)


def contents(folder):
    """File -> its bytes, but for what Snakemake leaves there."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".snakemake_timestamp"}


def jobs(project, rule):
    """The numbers of a rule's jobs in the queue."""
    said = project.run("squeue", "--noheader", "--states=RUNNING", "--format=%i %k").stdout
    return [line.split()[0] for line in said.splitlines() if rule in line]


@on_slurm
def test_the_pipeline_runs_on_slurm_and_goes_on_after_a_kill_of_a_job_with_the_same_bytes(pipeline):
    (pipeline.folder / "partitions.yaml").write_text("partitions: {cpu: {max_threads: 2}}\n")
    process = pipeline.start(*SLURM)
    scratch = pipeline.folder / ".scratch/pretrain"
    until(lambda: [*scratch.glob("kmerl-*/checkpoint.pt")], "a checkpoint is there", process)
    (number,) = jobs(pipeline, "pretrain_wildcards_kmerl")
    pipeline.run("scancel", "--signal=KILL", "--full", number)
    said, _ = process.communicate()
    assert process.returncode != 0 and not (pipeline.folder / "data/runs/kmerl").exists(), said
    pipeline.run(*SLURM)
    assert re.search(r"continues after step \d+ of 400", (pipeline.folder / "logs/pretrain@kmerl.log").read_text())
    assert (pipeline.folder / "results/report.html").exists()
    assert pipeline.agreed()
    run = pipeline.folder / "data/runs/kmerl"
    before = contents(run)
    shutil.rmtree(pipeline.folder / ".scratch")
    pipeline.run("dvc", "repro", "--single-item", "--force", "pretrain@kmerl")  # here, without a kill
    assert contents(run) == before


@on_slurm
def test_a_generic_cluster_runs_what_changed_and_tells_of_a_job_that_was_killed(pipeline):
    pipeline.snakemake("data/reports")
    pipeline.replace("params.yaml", "strip_ends_of: report", "strip_ends_of: statement")
    generic = ["snakemake", "data/labels/base", "--profile", "profiles/cluster-generic", "--jobs", "2", "--resources"]
    generic += ["gpu=0", "--latency-wait", "20"]
    process = pipeline.start(*generic)
    until(lambda: jobs(pipeline, "") != [], "a job runs", process)
    pipeline.run("scancel", *jobs(pipeline, ""))
    process.communicate()
    assert process.returncode != 0
    pipeline.run(*generic)
    assert (pipeline.folder / "data/labels/base/vocabulary.json").exists()


@on_slurm
def test_two_nodes_of_slurm_give_the_bytes_of_one(nodes, tmp_path):
    weights = []
    for count, processors in ((1, 2), (2, 1)):
        folder = tmp_path / str(count)
        small.store(folder / "store")
        job = ["sbatch", "--wait", f"-N{count}", f"-n{count}", f"-c{processors}", f"--output={folder}/log"]
        command = f"{sys.executable} -m tests.cluster.trained {folder} {count}"
        own = os.environ | nodes | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        done = subprocess.run([*job, f"--wrap={command}"], cwd=ROOT, env=own, capture_output=True, text=True)
        assert done.returncode == 0, (folder / "log").read_text()
        weights.append(contents(folder / "data/runs/small"))
    assert weights[0] == weights[1]


@on_slurm
@pytest.mark.parametrize("text", ["a[08-10,12],b", "n[8-11]", "n[008-010,12],m-1.x", "rack[1-2]n[3,05]"])
def test_lists_of_nodes_are_read_as_slurm_reads_them(nodes, text):
    scontrol = ["scontrol", "show", "hostnames", text]
    said = subprocess.run(scontrol, env=os.environ | nodes, capture_output=True, text=True, check=True).stdout
    assert said.split() == [*hosts(text)]


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """A ``kubectl`` that keeps what it is given and says what it is told to."""
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n[ "$1" != create ] || cat > {tmp_path}/made\n')
    program.write_text(program.read_text() + 'echo "$SAYS"\n[ -n "$SAYS" ]\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def script(name, *arguments, **environment):
    path = ROOT / "profiles/kubernetes" / name
    own = os.environ | environment
    return subprocess.run([path, *arguments], cwd=ROOT, env=own, capture_output=True, text=True)


def test_a_job_for_kubernetes_asks_for_what_the_stage_asks(kubectl):
    said = script("submit", "4", "3500", "8", "/a b/job.sh", SAYS="job/kmerl-x", KMERL_IMAGE="i:1", KMERL_CLAIM="c")
    assert said.stdout == "job/kmerl-x\n", said.stderr
    pod = yaml.safe_load((kubectl / "made").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"] == ["sh", "/a b/job.sh"] and container["workingDir"] == str(ROOT)
    assert container["resources"]["requests"] == {"cpu": "4", "memory": "3500M", "nvidia.com/gpu": "8"}
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "c"}
    assert "KMERL_IMAGE" in script("submit", "4", "3500", "0", "job.sh", SAYS="job/kmerl-x", KMERL_CLAIM="c").stderr


@pytest.mark.parametrize(("says", "status"), [("/", "running"), ("1/", "success"), ("/1", "failed"), ("", "failed")])
def test_what_became_of_a_job_of_kubernetes_is_told_in_snakemakes_words(kubectl, says, status):
    assert script("status", "job/kmerl-x", SAYS=says).stdout == f"{status}\n"
