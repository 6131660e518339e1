"""Copies of a project in which tests run the engines."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TOY = Path(__file__).parent
# what the toy takes from the real project
SHARED = [".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitattributes", ".gitignore", "profiles", "workflow"]
SHARED += [
    "stages/__main__.py",
    "kmerl/__init__.py",
    "kmerl/errors.py",
    "kmerl/artifacts.py",
    "kmerl/children.py",
    "kmerl/escapes.py",
    "kmerl/naming.py",
    "kmerl/processors.py",
    "kmerl/regular.py",
]

INSTALLED = ("vllm", "llama")
"""Environments below ``workflow/envs``: gigabytes, of no use to a copy."""

READ = [f"preprocess@{archive}-{part}" for archive in "ab" for part in ("1of2", "2of2")]
"""The toy stages that read archives."""
ALL = sorted(
    [*READ, "scores@a", "tables", *(f"{name}@{one}" for name in ("catalogue", "register", "simulate") for one in "ab")]
)
"""The toy stages."""

ENGINES = {"snakemake": ("snakemake", "--cores", "2", "all"), "dvc": ("dvc", "repro")}
"""How each engine runs everything."""


@dataclass
class Project:
    """A project in a folder of its own, with its own git, cache and state."""

    folder: Path

    def environment(self) -> dict[str, str]:
        """The variables of a command: none of this test run's own, and a state of its own for DVC."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "DVC_", "PYTEST_"))}
        paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        state = str(self.folder.parent / f"{self.folder.name}-state")
        clean.pop("PYTHONDONTWRITEBYTECODE", None)  # it would cost each of many processes a second
        clean.pop("SHELL", None)  # as in a container; DVC then takes sh
        environment = {**clean, "PATH": paths, "DVC_SITE_CACHE_DIR": state}
        identity = {f"GIT_{who}_{what}": "test@test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return environment | identity

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in the project; stdout and stderr together."""
        done = self.start(*command)
        said, _ = done.communicate()
        assert not check or done.returncode == 0, said
        return subprocess.CompletedProcess(command, done.returncode, said)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Begin what :meth:`run` runs to its end, in a process group of its own."""
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), text=True, stdout=-1, stderr=-2, start_new_session=True
        )

    def snakemake(self, *options: str, check: bool = True) -> str:
        return self.run("snakemake", "--cores", "2", *options, check=check).stdout

    def dvc(self, *arguments: str, check: bool = True) -> str:
        return self.run("dvc", *arguments, check=check).stdout

    def planned(self) -> set[str]:
        """The rules that Snakemake would run."""
        said = self.snakemake("-n")
        assert "Exception" not in said
        if "Nothing to be done" in said:
            return set()
        jobs = set(re.findall(r"^(\w+) +\d+$", said, re.MULTILINE))
        assert jobs, said
        return jobs - {"all", "total"}

    def stale(self) -> set[str]:
        """The stages that DVC finds changed by themselves."""
        said = self.run("dvc", "status", "--json").stdout.splitlines()
        (found,) = (line for line in said if line.startswith("{"))
        return set(json.loads(found))

    def agreed(self) -> bool:
        """Whether both engines find nothing to do."""
        return self.planned() == set() and self.stale() == set()

    def computed(self) -> list[str]:
        """What toy stages were really computed since the last call."""
        file = self.folder / "ran.txt"
        stages = sorted(file.read_text().split()) if file.exists() else []
        file.unlink(missing_ok=True)
        return stages

    def wait_for(self, stage: str, process: "subprocess.Popen[str]") -> None:
        """Return when ``process`` has come to the computing of a toy stage."""
        patience = time.monotonic() + 120
        while not (ran := self.folder / "ran.txt").exists() or stage not in ran.read_text().split():
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.1)

    def replace(self, file: str, old: str, new: str) -> None:
        """Edit a file."""
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def contents(self) -> dict[str, bytes]:
        """The bytes of every file of every output, but for what Snakemake leaves there."""
        roots = [self.folder / out["path"] for entry in self.record().values() for out in entry["outs"]]
        files = [file for root in roots for file in [root, *root.rglob("*")] if file.is_file()]
        kept = [file for file in files if file.name != ".snakemake_timestamp"]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in kept}

    def record(self) -> dict[str, Any]:
        """The stages in ``dvc.lock``."""
        stages: dict[str, Any] = yaml.safe_load((self.folder / "dvc.lock").read_text())["stages"]
        return stages

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "state")

    def copy(self, folder: Path) -> "Project":
        """The same state in another folder."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)


def toy(folder: Path) -> Project:
    """A toy pipeline, run by the real bridge, rules and settings."""
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__", "project.py"))
    for name in SHARED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", *INSTALLED))
        else:
            shutil.copy(ROOT / name, folder / name)
    with (folder / ".gitignore").open("a") as file:
        file.write("/ran.txt\n")
    return _with_git(folder)


def real(folder: Path, profile: str) -> Project:
    """This project without its data, switched to a profile."""
    left_out = (".git", ".venv", ".snakemake", "data", "logs", "tmp", "cache", "__pycache__", "dvc.lock", ".*_cache")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*left_out, *INSTALLED))
    project = _with_git(folder)
    project.run("python", "-m", "workflow.profile", profile)
    return project


def _with_git(folder: Path) -> Project:
    project = Project(folder)
    project.run("git", "init", "-q")
    project.commit()
    return project
