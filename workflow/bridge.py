"""What makes the engines agree: ``dvc.yaml`` is the only description of the pipeline, ``dvc.lock`` the only record.

When the Snakefile is parsed, DVC is asked which stages are stale; everything downstream of a stale stage counts as
stale too. Snakemake itself decides by modification times only, so it is made to see DVC's answer in them:

* every input of a clean stage is ``ancient()``: whatever its date, the stage does not run;
* a stale stage has one input more, a mark that is newer than any output: the stage runs.

A job is then ``dvc repro --single-item STAGE`` (workflow/run.py), which restores the outputs of a known state from
DVC's cache, or runs the stage and records it in ``dvc.lock``.
"""

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError
from snakemake.io import AnnotatedString, ancient, directory
from snakemake.shell import shell

from kmerl.artifacts import remedy
from kmerl.errors import UserError
from workflow.guard import guard, hold_interrupts, repair
from workflow.leftovers import clear_away
from workflow.locks import locked
from workflow.nogit import without_git

CODE = "code"  # the stage that fingerprints the code of all others
MARK = Path(".dvc/tmp/stale")
LOCK = Path(".dvc/tmp/snakemake.lock")

# a job finds the interpreter and the tools of this environment, whether it is activated or not
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


class Pipeline:
    """The stages of ``dvc.yaml``, as the rules need them.

    Args:
        ask: find out which stages are stale. Only Snakemake's main process does; a job that an executor starts
            by itself parses the Snakefile as well, and has been told what to run.

    Raises:
        UserError: ``dvc.yaml`` and ``params.yaml`` do not fit together, an input is missing that no stage makes, the
            code of a stage does not parse, Snakemake is already at work here, or the disk is full.
    """

    def __init__(self, ask: bool) -> None:
        without_git()
        guard()
        shell._process_args["preexec_fn"] = hold_interrupts
        self.definitions: dict[str, Any] = yaml.safe_load(Path("dvc.yaml").read_text("utf-8"))["stages"]
        try:
            if ask:
                MARK.parent.mkdir(exist_ok=True)
                self.lock = hold(LOCK)
                repair()
            with Repo(".", _wait_for_lock=True) as repo:
                self.stages = {stage.addressing: stage for stage in repo.index.stages}
                self.made = {out.def_path: name for name, stage in self.stages.items() for out in stage.outs}
                self.check_inputs()
                self.stale = self.ask(repo) if ask else set(self.stages)
        except UserError:
            raise
        except Exception as error:
            if reason := remedy(error):  # of an error that DVC gave its own form, too
                where = getattr(error, "filename", None) or "DVC's notes"
                raise UserError(f"{where}: cannot be written, {reason} and run again") from None
            if not isinstance(error, (DvcException, SCMError)):
                raise
            raise UserError(one_line(error)) from None

    def ask(self, repo: Repo) -> set[str]:
        """The names of the stages that are stale or follow a stale one."""
        clear_away(self.made, [dep.def_path for stage in self.stages.values() for dep in stage.deps])
        # first the fingerprint, so that the stages' status tells whether their code changed
        if repo.status([CODE]):
            with redirect_stdout(None):
                repo.reproduce([CODE], single_item=True)
        changed: dict[str, list[Any]] = repo.status()
        stale, todo = set[str](), list(changed)
        while todo:
            name = todo.pop()
            if name not in stale:
                stale.add(name)
                todo += self.followers[name]
        for name in stale:
            for out in self.stages[name].outs:
                # a hardlink into DVC's cache is write-protected, and Snakemake makes no protected file again
                if Path(out.fs_path).is_file() and not os.access(out.fs_path, os.W_OK):
                    out.cache.unprotect(out.fs_path)
        MARK.write_text(str(time.time_ns()))  # new content each time: Snakemake compares small files by it
        return stale

    def before(self, name: str) -> set[str]:
        """The stages that make what a stage reads."""
        return {self.made[path] for path in self.reads(name) if path in self.made}

    def reads(self, name: str) -> list[str]:
        """What a stage reads: outputs of other stages where they make it (or part of it, or all around it)."""
        paths = dict.fromkeys(dep.def_path for dep in self.stages[name].deps if dep.def_path != "params.yaml")
        return [one for path in paths for one in [out for out in self.made if overlap(out, path)] or [path]]

    def check_inputs(self) -> None:
        """Name an input that is missing and that no stage makes, before anything runs."""
        for name in self.stages:
            for path in self.reads(name):
                if path not in self.made and not Path(path).exists():
                    raise UserError(f"{path}: no such file or folder, but {name} reads it; add it or mend params.yaml")

    def inputs(self, rule: str) -> Callable[[Any], list[str | AnnotatedString]]:
        """The input function of a rule."""

        def of(wildcards: Any) -> list[str | AnnotatedString]:
            name = self.named(rule, wildcards)
            paths = self.reads(name)
            return [*paths, str(MARK)] if name in self.stale else [ancient(path) for path in paths]

        return of

    def priority(self, rule: str) -> Callable[[Any], int]:
        """The priority function of a rule: first what most stages wait for, one after another; else as in dvc.yaml.

        Items stand there in the order of ``params.yaml``, so the run that is listed first begins first.
        """
        return lambda wildcards: self._priorities[self.named(rule, wildcards)]

    @cached_property
    def _priorities(self) -> dict[str, int]:
        @cache
        def behind(name: str) -> int:
            """How many stages follow, one after another."""
            return max((1 + behind(follower) for follower in self.followers[name]), default=0)

        return {name: behind(name) * len(self.stages) - place for place, name in enumerate(self.stages)}

    @cached_property
    def followers(self) -> dict[str, list[str]]:
        """Stage -> those that read what it makes."""
        found: dict[str, list[str]] = {name: [] for name in self.stages}
        for name in self.stages:
            for maker in self.before(name):
                found[maker].append(name)
        return found

    @staticmethod
    def named(rule: str, wildcards: Any) -> str:
        """A stage, of the item that the wildcards tell."""
        return f"{rule}@{'-'.join(wildcards)}" if wildcards else rule

    def outputs(self, rule: str) -> list[str | AnnotatedString]:
        """The outputs of a rule, with wildcards where the stage is made for several; no suffix means a folder.

        The wildcard is ``{item}``, or those of a matrix by their names. They stand for the stage's own items only, as
        two rules may write into one folder.
        """
        definition = self.definitions[rule].get("do", self.definitions[rule])
        entries = [entry for kind in ("outs", "metrics", "plots") for entry in definition.get(kind, [])]
        paths = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
        items = self.items(rule)
        for axis in self.axes(rule):
            allowed = "|".join(dict.fromkeys(re.escape(item[axis]) for item in items)) or "none"
            names = ("${item}", "${key}") if axis == "item" else (f"${{item.{axis}}}",)
            for name in names:
                paths = [path.replace(name, f"{{{axis},{allowed}}}") for path in paths]
        return [path if Path(path).suffix else directory(path) for path in paths]

    def axes(self, rule: str) -> list[str]:
        """The wildcards of a rule: none, ``item``, or those of a matrix."""
        definition = self.definitions[rule]
        return [*definition["matrix"]] if "matrix" in definition else ["item"] if "foreach" in definition else []

    def items(self, rule: str) -> list[dict[str, str]]:
        """The wildcards' values of each stage of a rule; one stage that is not one of several has none."""
        if not (axes := self.axes(rule)):
            return [{}]
        names = [name.removeprefix(f"{rule}@") for name in self.stages if name.startswith(f"{rule}@")]
        return [dict(zip(axes, name.rsplit("-", len(axes) - 1), strict=True)) for name in names]

    def patterns(self) -> dict[str, str]:
        """Rule -> the name of its stages, with wildcards where there are several: ``preprocess@{archive}-{part}``."""
        axes = {rule: self.axes(rule) for rule in self.definitions if rule != CODE}
        return {rule: rule + ("@" + "-".join(f"{{{axis}}}" for axis in of) if of else "") for rule, of in axes.items()}

    def results(self) -> list[str]:
        """Everything that the stages make."""
        return [path for path, name in self.made.items() if name != CODE]


def overlap(one: str, other: str) -> bool:
    """Whether two paths are the same or one lies within the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def hold(path: Path) -> Any:
    """A lock that ends with this process, however it ends."""
    if (file := locked(path)) is None:
        raise UserError("Snakemake is already at work in this folder; wait for it or stop it")
    return file


def one_line(error: BaseException) -> str:
    """A message of DVC with its causes, in one line."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause:
        parts += [" ".join(str(cause).split())]
        cause = cause.__cause__
    return ": ".join(dict.fromkeys(part for part in parts if part))
