"""No fault of the machine costs more than the time it took: all stages of ``dvc.yaml``, on the tiny profile.

A stage that fails says so in one line; its outputs are then absent or the old ones, never half of new ones.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from engines.project import ROOT, Project
from faults import Outcome, Server

from workflow.damage import digest
from workflow.leftovers import unfinished

STAGES = [name for name in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"] if name not in ("code", "fetch")]
"""The stage `fetch` has no item in the tiny profile; tests/test_fetch.py has its faults."""
ONE_OF_A_KIND = {"preprocess", "extract", "labels", "embed_text", "pretrain", "zeroshot", "tables"}
"""Together they read and write every kind of file: raw records, Parquet, JSON lines, JSON, arrays, weights, CSV."""
EVERY = [stage if stage in ONE_OF_A_KIND else pytest.param(stage, marks=pytest.mark.thorough) for stage in STAGES]
# a stage that opens such a file must notice that it was cut short; what is left of other files may well be whole
CHECKED = {".parquet", ".npy", ".json", ".jsonl", ".safetensors"}
OF_ARCHIVES = {"simulate", "register", "catalogue", "preprocess"}


@dataclass
class Instance:
    """One stage for one item, as DVC recorded it.

    Attributes:
        made: its inputs, and the stages that make them.
        ins: inputs that are outputs of other stages.
        outs: output -> digest.
        opened: the files that it opens, once it ran.
    """

    name: str
    made: dict[str, str]
    ins: list[str]
    outs: dict[str, str]
    opened: list[str] | None = None

    @property
    def command(self) -> list[str]:
        return self.name.split("@")


@dataclass
class Faults:
    """The finished pipeline, its stages, and what runs them."""

    project: Project
    server: Server
    instances: list[Instance]
    scratch: Path
    number: int = 0

    def sandbox(self, instance: Instance, *, outs: bool = True) -> Path:
        """A project with what a stage needs; files are shared with the finished pipeline, so they are never changed.

        Args:
            outs: whether its outputs of an earlier run are there, too.
        """
        self.number += 1
        folder = self.scratch / str(self.number)
        (folder / "data").mkdir(parents=True)
        for name in ("stages", "kmerl"):
            (folder / name).symlink_to(self.project.folder / name)
        for name in ("params.yaml", "plan.yaml", "dvc.yaml", "dvc.lock", "data/code.json"):
            os.link(self.project.folder / name, folder / name)
        for path in [*instance.ins, *(instance.outs if outs else [])]:
            source, target = self.project.folder / path, folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, copy_function=os.link, dirs_exist_ok=True)
            elif not target.exists():
                os.link(source, target)
        for path in instance.outs:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        return folder

    def run(self, instance: Instance, folder: Path, fault: str = "") -> Outcome:
        return self.server.run(folder, instance.command, fault, instance.ins, list(instance.outs))

    def run_damaged(self, instance: Instance, files: list[str], kind: str) -> Outcome:
        folder = self.sandbox(instance)
        for path in files:
            damage(folder / path, kind)
        return self.run(instance, folder)

    def of(self, stage: str) -> list[Instance]:
        """A stage for the item that takes least time; for all archives, as each has a reader of its own."""

        def seconds(instance: Instance) -> float:
            return float(json.loads((self.project.folder / f"logs/{instance.name}.json").read_text())["seconds"])

        found = sorted((one for one in self.instances if one.command[0] == stage), key=seconds)
        assert found, f"the tiny profile runs {stage} for no item"
        return found if stage in OF_ARCHIVES else found[:1]

    def after_a_kill(self, instance: Instance) -> tuple[Outcome, Outcome, Path]:
        """A killed run and the next one."""
        folder = self.sandbox(instance)
        killed, again = self.run(instance, folder, "kill"), self.run(instance, folder)
        instance.opened = again.opened or []
        return killed, again, folder

    def inputs(self, instance: Instance) -> list[str]:
        """The largest file that a stage opens in each folder of ``data/``, of each kind."""
        if instance.opened is None:
            self.after_a_kill(instance)
        assert instance.opened is not None
        kinds: dict[tuple[str, ...], str] = {}
        for path in sorted(instance.opened, key=lambda file: (self.project.folder / file).stat().st_size):
            if any(f"{path}/".startswith(f"{made}/") for made in instance.made):
                kinds[*path.split("/")[:2], Path(path).suffix] = path
        return list(kinds.values())


@pytest.fixture(scope="module")
def faults(tiny, tmp_path_factory):
    record = yaml.safe_load((tiny.folder / "dvc.lock").read_text())["stages"]
    made = {out["path"]: name for name, entry in record.items() for out in entry["outs"] if name != "code"}
    instances = []
    for name, entry in record.items():
        named = str(entry.get("params"))  # the folder of a raw archive, of which DVC compares only the list of files
        deps = [dep["path"] for dep in entry.get("deps", [])] + [path for path in made if f"folder': '{path}'" in named]
        below = {path: maker for path, maker in made.items() if any(f"{path}/".startswith(f"{dep}/") for dep in deps)}
        if name != "code":
            instances.append(Instance(name, below, list(below), {out["path"]: out["md5"] for out in entry["outs"]}))
    server = Server(tiny.folder)
    yield Faults(tiny, server, instances, tmp_path_factory.mktemp("faults"))
    server.close()


def damage(file: Path, kind: str) -> None:
    """Cut a file to its half, or turn over one bit in its middle."""
    content = bytearray(file.read_bytes())
    if kind == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 4
    file.unlink()  # others have the old content
    file.write_bytes(content)


def failed_in_one_line(instance: Instance, outcome: Outcome) -> None:
    """The exit status and one line tell it, and nothing half-written is there."""
    assert outcome.status == 1, outcome
    assert re.fullmatch(rf"{instance.name}: error: \S[^\n]*[;,] [^\n]+\n", outcome.complained), outcome.complained
    assert outcome.left == []
    for path, found in outcome.outs.items():
        assert found in (None, instance.outs[path])


@pytest.mark.parametrize("stage", EVERY)
def test_what_a_killed_stage_left_does_not_count_and_the_next_run_gives_the_same_bytes(faults, stage, monkeypatch):
    for instance in faults.of(stage):
        killed, again, folder = faults.after_a_kill(instance)
        assert killed.status == -9
        assert len(killed.left) == 1
        for path, found in killed.outs.items():
            assert found in (None, instance.outs[path])
        assert (again.status, again.complained) == (0, "")
        assert again.outs == instance.outs
        monkeypatch.chdir(folder)  # what the engines delete before they start
        assert [str(path) for path in unfinished({Path(out) for out in instance.outs})] == killed.left == again.left


@pytest.mark.parametrize("stage", EVERY)
def test_an_input_that_was_cut_short_is_told_in_one_line(faults, stage):
    for instance in faults.of(stage):
        for path in faults.inputs(instance):
            outcome = faults.run_damaged(instance, [path], "cut")
            if outcome.status or Path(path).suffix in CHECKED:
                failed_in_one_line(instance, outcome)
            assert "Traceback" not in outcome.complained


@pytest.mark.parametrize("stage", EVERY)
@pytest.mark.parametrize("kind", ["checked", "unchecked"])
def test_a_flipped_bit_in_an_input_is_told_in_one_line_or_left_to_the_engines(faults, stage, kind):
    tried = 0
    for instance in faults.of(stage):
        files = [file for file in faults.inputs(instance) if (Path(file).suffix == ".parquet") == (kind == "checked")]
        if files:
            tried += 1
            outcome = faults.run_damaged(instance, files, "flip")
            if outcome.status:
                failed_in_one_line(instance, outcome)
            elif kind == "checked":  # our tables hold sums over what is in them; what was flipped was not needed
                assert outcome.outs == instance.outs
            assert "Traceback" not in outcome.complained
    if not tried:
        pytest.skip(f"{stage} reads no such file that another stage made")


@pytest.mark.parametrize("stage", EVERY)
def test_a_full_disk_is_told_in_one_line(faults, stage):
    for instance in faults.of(stage):
        outcome = faults.run(instance, faults.sandbox(instance, outs=False), "full")
        failed_in_one_line(instance, outcome)
        assert "disk is full" in outcome.complained or "ulimit" in outcome.complained


@pytest.mark.parametrize("stage", EVERY)
def test_a_read_only_folder_is_told_in_one_line(faults, stage):
    for instance in faults.of(stage):
        outcome = faults.run(instance, faults.sandbox(instance), "read-only")
        if not outcome.by:
            pytest.skip("root may write everywhere, and this system lets it mount nothing")
        failed_in_one_line(instance, outcome)
        assert "read-only" in outcome.complained or "permission" in outcome.complained
        assert outcome.outs == instance.outs


@pytest.mark.thorough
def test_dvc_names_the_producer_of_every_damaged_artifact_and_the_next_run_restores_it(faults, tmp_path):
    project = Project(tmp_path / "project")
    subprocess.run(["cp", "-a", str(faults.project.folder), str(project.folder)], check=True)
    outs = {path: (instance.name, right) for instance in faults.instances for path, right in instance.outs.items()}
    for path in outs:
        files = [file for file in [project.folder / path, *(project.folder / path).rglob("*")] if file.is_file()]
        damage(max(files, key=lambda file: file.stat().st_size), "flip")
    (told,) = (line for line in project.dvc("status", "--json").splitlines() if line.startswith("{"))
    changed = {
        path: stage
        for stage, reasons in json.loads(told).items()
        for reason in reasons
        if isinstance(reason, dict)
        for path in reason.get("changed outs", {})
    }
    assert changed == {path: stage for path, (stage, _) in outs.items()}
    assert "Running stage" not in project.dvc("repro")
    assert {path: digest(project.folder / path) for path in outs} == {path: right for path, (_, right) in outs.items()}
