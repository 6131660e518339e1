"""Runs and suites of ``params.yaml``, and what follows from them: the items of each stage, and what each is made of."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from kmerl.evaluation.params import distinct
from kmerl.evaluations.registry import NAMES
from kmerl.naming import check_distinct, checked, shortened
from kmerl.section import Section

BASE = "base"
"""The variant of texts or of knowledge that the parameters themselves describe."""
STEPS = ("engine", "ask", "extract", "verify", "merge", "superclass", "labels")
"""The sections of ``knowledge`` that a run may change."""
CLASSES = "kmerl/archives/classes.csv"
_LONGEST = 48  # characters of a variant's name


def known(evaluations: list[str]) -> list[str]:
    """The list itself, if it names evaluations only, each once.

    Raises:
        ValueError: it does not.
    """
    for name in distinct(evaluations):
        if name not in NAMES:
            raise ValueError(f"{shortened(name)} is no evaluation; name some of {', '.join(NAMES)}")
    return evaluations


class Run(Section):
    """One run of ``runs``: what it is, and what it lays over the base."""

    method: str = Field(description="how it is pretrained: a file in kmerl/methods")
    title: str | None = Field(default=None, description="what people call it; null: its name")
    paper: str | None = Field(default=None, description="the paper's table and row that it belongs to")
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(distinct)] | None = Field(
        default=None, min_length=1, description="it is pretrained once from each; null: from `seed`"
    )
    pretrain: dict[str, Any] = Field(default_factory=dict, description="what differs from `pretrain`")
    options: dict[str, Any] = Field(
        default_factory=dict, description="what differs from `methods`' section of its method"
    )
    text: dict[str, Any] = Field(default_factory=dict, description="what differs from `text`")
    knowledge: dict[str, Any] = Field(
        default_factory=dict, description=f"what differs from `knowledge`, of {', '.join(STEPS)}"
    )


class Suite(Section):
    """One suite of ``suites``: runs that belong together."""

    title: str = Field(description="what it shows")
    runs: Annotated[list[str], AfterValidator(distinct)] = Field(min_length=1, description="of `runs`")
    evaluations: Annotated[list[str], AfterValidator(known)] = Field(
        min_length=1, description="what is evaluated of them: folders of kmerl/evaluations"
    )
    compare_with: str | None = Field(description="the run that the others are compared with; null: all with all")


def items_of(name: str, run: Run, seed: int) -> dict[str, int]:
    """What a run is pretrained as, item -> seed: the first bears the run's own name."""
    first, *others = run.seeds or [seed]
    return {name: first} | {f"{name}-{other}": other for other in others}


def variant(changes: Mapping[str, Any]) -> str:
    """The name of what is laid over a base: equal changes have the same, e.g. ``merge_enabled_false``."""
    if not changes:
        return BASE
    text = json.dumps(changes, sort_keys=True)
    name = re.sub("[^A-Za-z0-9]+", "_", "_".join(_words(changes))).strip("_")[:_LONGEST] or "changed"
    return f"{name}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _words(changes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in sorted(changes.items()):
        yield str(key)
        yield from _words(value) if isinstance(value, Mapping) else [str(value).lower()]


def vectors(of: str, text: str, knowledge: str = BASE) -> str:
    """The name of stored vectors: of ``reports``, ``classes`` or a ``vocabulary``, by a variant of the text encoder."""
    names = (knowledge, text) if of == "vocabulary" else (text,)
    return of if {*names} == {BASE} else "-".join([of, *names])


def plan(runs: Mapping[str, Run], suites: Mapping[str, Suite], baselines: Sequence[str], seed: int) -> dict[str, Any]:
    """The items of each stage, by names that folders can bear.

    Args:
        runs: by name.
        suites: by name.
        baselines: features that no run makes and that are probed, too.
        seed: of the runs that name none.

    Returns:
        ``text`` and ``knowledge``: variant -> what it lays over the section (of knowledge, over each of :data:`STEPS`);
        ``embed_text``: stored vectors -> the variant, and the file or folder that holds the texts; ``pretrain``: item
        -> run, seed, method, changes and where its labels and vectors are; every evaluation: item -> run, seed,
        and vectors of what asks by name; ``embed_ecg``: items; ``compare``: pairs of runs.

    Raises:
        ValueError: two items have the same name.
    """
    made = {name: items_of(name, run, seed) for name, run in runs.items()}
    everything = [item for items in made.values() for item in items]
    for item in everything:
        if everything.count(checked(item)) > 1:
            raise ValueError(f"runs: {item} is a run, and a seed of another run; rename it")
    check_distinct([*everything, *baselines])
    evaluated = {name: list(_evaluated(name, suites, made)) for name in NAMES}
    of_run = {item: name for name, items in made.items() for item in items}
    pretrain = {item: _recipe(name, runs[name], made[name][item]) for item, name in of_run.items()}
    asking = {
        item: {
            "run": one["run"], "seed": one["seed"], "classes": vectors("classes", one["text"]),
            "vocabulary": one["vocabulary"],
        }
        for item, one in pretrain.items()
    }  # fmt: skip
    return {
        "text": {BASE: {}} | {variant(run.text): run.text for run in runs.values()},
        "knowledge": {
            name: {step: changes.get(step, {}) for step in STEPS}
            for name, changes in [(BASE, {}), *((variant(run.knowledge), run.knowledge) for run in runs.values())]
        },
        "embed_text": dict(_stored(pretrain.values())),
        "pretrain": pretrain,
        **{name: {item: asking[item] for item in items} for name, items in evaluated.items()},
        "embed_ecg": evaluated["linear_probe"],
        "linear_probe": {
            item: {"run": of_run[item], "seed": pretrain[item]["seed"]} for item in evaluated["linear_probe"]
        }
        | {name: {"run": name, "seed": None} for name in baselines},
        "compare": [list(pair) for pair in dict.fromkeys(_pairs(suites))],
    }


def _recipe(name: str, run: Run, seed: int) -> dict[str, Any]:
    """What an item of ``pretrain`` is made of."""
    text, knowledge = variant(run.text), variant(run.knowledge)
    return {
        "run": name, "seed": seed, "method": run.method, "pretrain": run.pretrain, "options": run.options,
        "text": text, "knowledge": knowledge, "reports": vectors("reports", text),
        "vocabulary": vectors("vocabulary", text, knowledge),
    }  # fmt: skip


def _stored(recipes: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    """The lists of texts that are embedded, for the base and for every recipe."""
    for text, knowledge in dict.fromkeys([(BASE, BASE), *((one["text"], one["knowledge"]) for one in recipes)]):
        sources = {"reports": "data/reports", "vocabulary": f"data/labels/{knowledge}", "classes": CLASSES}
        for of, source in sources.items():
            yield vectors(of, text, knowledge), {"list": of, "text": text, "of": source}


def _evaluated(name: str, suites: Mapping[str, Suite], made: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """The items that some suite has evaluated so."""
    runs = [run for suite in suites.values() if name in suite.evaluations for run in suite.runs]
    yield from (item for run in dict.fromkeys(runs) for item in made[run])


def _pairs(suites: Mapping[str, Suite]) -> Iterator[tuple[str, str]]:
    """Which runs are compared."""
    for suite in suites.values():
        if "zeroshot" not in suite.evaluations:
            continue
        base = suite.compare_with
        yield from ((base, run) for run in suite.runs if run != base) if base else combinations(suite.runs, 2)
