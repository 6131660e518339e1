"""Step 3: one name for what is written in several ways (paper section 2.4, third prompt)."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from kmerl.artifacts import write_json
from kmerl.errors import UserError
from kmerl.knowledge.engines import EngineParams, open_engine
from kmerl.knowledge.parsing import UnusableError, parse_object
from kmerl.knowledge.prompts import Task, prompt
from kmerl.knowledge.requests import answers, ask, make_request
from kmerl.knowledge.words import normal_name, words
from kmerl.section import Section


class MergeParams(Section):
    """How names are merged."""

    max_tokens: int = Field(ge=1, description="tokens; longest answer, which names every entity twice")
    enabled: bool = Field(description="whether names are merged; if not, only variants of spelling are")


@dataclass
class MergeChecks:
    """What had to be mended in the answer."""

    missing: list[str] = field(default_factory=list)
    """Asked, not answered: they keep their names."""
    invented: list[str] = field(default_factory=list)
    """Answered, not asked: dropped."""
    unnamed: list[str] = field(default_factory=list)
    """Answered with something that is no name: they keep theirs."""
    cycles: list[list[str]] = field(default_factory=list)
    """Names merged into each other in a circle: the longest one is taken."""


def spelling_key(name: str) -> tuple[str, ...]:
    """Equal for names that differ only in case, spaces, punctuation, or the plural of their last word."""
    texts = [word.text for word in words(name)]
    if len(texts) > 1 and texts[-1] in {"s", "es"}:
        texts.pop()
    elif texts and len(texts[-1]) > 3 and texts[-1].endswith("s") and not texts[-1].endswith(("ss", "is", "us")):
        texts[-1] = texts[-1][:-1]
    return tuple(texts)


def merge_spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Every name -> the most frequent spelling of the same name, without asking a model.

    Args:
        counts: how often each name occurs; of equally frequent ones the shortest, then the first is taken.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(counts):
        groups.setdefault(spelling_key(name) or (name,), []).append(name)
    result: dict[str, str] = {}
    for group in groups.values():
        chosen = min(group, key=lambda name: (-counts[name], len(name), name))
        result |= dict.fromkeys(group, chosen)
    return dict(sorted(result.items()))


def mend(asked: Iterable[str], answer: Mapping[str, Any]) -> tuple[dict[str, str], MergeChecks]:
    """A total and idempotent mapping on exactly ``asked``, from whatever was answered."""
    known = set(asked)
    names = sorted(known)
    checks = MergeChecks()
    step: dict[str, str] = {}
    spelt: dict[str, str] = {}
    by_key = {spelling_key(name): name for name in reversed(names)}
    for key, value in answer.items():
        if (name := normal_name(key)) not in known:
            checks.invented.append(key)
        elif not isinstance(value, str) or not normal_name(value):
            checks.unnamed.append(name)
        else:
            step[name] = target = normal_name(value)
            if target not in known and (same := by_key.get(spelling_key(target))):
                # another spelling of an asked name stands for that one; of the name itself, it is the better one
                step[name] = same
                if same == name:
                    spelt[name] = target
    checks.missing = [name for name in names if name not in step and name not in checks.unnamed]
    ends = {name: _end_of_chain(name, step, checks) for name in names}
    merged = {name: spelt.get(end, end) for name, end in ends.items()}
    # merged names that differ in spelling only are one
    counts = Counter(merged.values())
    one = merge_spellings(counts)
    return {name: one[value] for name, value in merged.items()}, checks


def _end_of_chain(name: str, step: Mapping[str, str], checks: MergeChecks) -> str:
    path = [name]
    while (following := step.get(path[-1], path[-1])) not in path:
        path.append(following)
    if following == path[-1]:
        return following
    cycle = sorted(path[path.index(following) :])
    if cycle not in checks.cycles:
        checks.cycles.append(cycle)
    return min(cycle, key=lambda member: (-len(member), member))


def merge(counts: Mapping[str, int], engine: EngineParams, params: MergeParams, folder: Path) -> dict[str, int]:
    """Ask once over all entities; merged.json, checks.json and the dialogue go to ``folder``.

    Args:
        counts: every kept entity -> in how many reports.
        engine: which engine answers.
        params: whether it is asked.
        folder: gets requests.jsonl, responses.jsonl, merged.json (original -> merged name), checks.json.

    Returns:
        Counts: entities, after merging spellings, after asking, and mended keys of the answer.

    Raises:
        UserError: the answer cannot be used.
    """
    spellings = merge_spellings(counts)
    asked = sorted(set(spellings.values()))
    reply = ask_object("merge", asked if params.enabled else [], engine, params.max_tokens, folder)
    mapping, checks = mend(asked, reply) if params.enabled else ({name: name for name in asked}, MergeChecks())
    merged = {name: mapping[spelling] for name, spelling in spellings.items()}
    write_json(folder / "merged.json", merged)
    write_json(folder / "checks.json", asdict(checks))
    return {
        "entities": len(counts),
        "spellings": len(asked),
        "merged": len(set(merged.values())),
        "mended": len(checks.missing) + len(checks.invented) + len(checks.unnamed) + len(checks.cycles),
    }


def ask_object(task: Task, entities: list[str], engine: EngineParams, max_tokens: int, folder: Path) -> dict[str, Any]:
    """The JSON object that answers a question over all ``entities``; nothing is asked if there are none.

    Raises:
        UserError: the answer is cut off, empty, or holds no JSON object.
    """
    opened = open_engine(engine)
    listed = json.dumps(entities, ensure_ascii=False)
    request = make_request(prompt(task), opened, engine, max_tokens, entities=listed)
    ask(opened, [request] if entities else [], folder)
    if not entities:
        return {}
    answer = next(answers(folder), None)
    try:
        if answer is None or answer.problem:
            raise UnusableError("no answer" if answer is None else str(answer.problem))
        return parse_object(answer.content)
    except UnusableError as error:
        start = " ".join(answer.content.split())[:80] if answer else ""
        raise UserError(
            f"the answer to the {task} prompt cannot be used ({error}: {start!r}); raise "
            f"knowledge.{task}.max_tokens, take another model, or set knowledge.{task}.enabled to false"
        ) from None
