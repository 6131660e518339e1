"""Step 3: one name for what is written in several ways (paper section 2.4, third prompt).

All entities are asked about in one question where they fit. Where not, neighbours in the alphabet are asked about
together in overlapping chunks, and a second pass asks about the names that are left, now sorted by their last words, so
that "acute inferior infarct" and "old inferior infarct" meet "inferior myocardial infarction".
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from kmerl.artifacts import write_json
from kmerl.knowledge.asking import Asking
from kmerl.knowledge.constraints import merged_names
from kmerl.knowledge.objects import Objects, windows
from kmerl.knowledge.words import normal_name, words
from kmerl.section import Section


class MergeParams(Section):
    """How names are merged."""

    enabled: bool = Field(description="whether names are merged; if not, only variants of spelling are")
    max_tokens: int = Field(ge=1, description="tokens; longest answer, which names every entity twice")
    chunk: int = Field(ge=2, description="entities in one question; more are asked about in overlapping chunks")
    overlap: int = Field(ge=0, description="entities that a chunk shares with the one before")

    @model_validator(mode="after")
    def _moves_on(self) -> "MergeParams":
        if self.overlap >= self.chunk:
            raise ValueError("overlap must be smaller than chunk")
        return self


@dataclass
class MergeChecks:
    """What had to be mended in the answers."""

    missing: list[str] = field(default_factory=list)
    """Asked, not answered: they keep their names."""
    invented: list[str] = field(default_factory=list)
    """Answered, not asked: dropped."""
    unnamed: list[str] = field(default_factory=list)
    """Answered with something that is no name: they keep theirs."""
    cycles: list[list[str]] = field(default_factory=list)
    """Names merged into each other in a circle: the longest one is taken."""
    disagreed: list[str] = field(default_factory=list)
    """Given two names by two chunks that hold them: the first is taken, and the second pass sees both."""
    asked_again: list[str] = field(default_factory=list)
    """Missing in an answer, and asked about once more."""


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


def merge(counts: Mapping[str, int], asking: Asking, params: MergeParams, folder: Path) -> dict[str, int]:
    """Ask over all entities; merged.json, checks.json, unusable.parquet and the dialogue go to ``folder``.

    Args:
        counts: every kept entity -> in how many reports.
        asking: who answers.
        params: whether and how it is asked.
        folder: gets requests.jsonl, responses.jsonl, cost.json, merged.json (original -> merged name), checks.json,
            unusable.parquet.

    Returns:
        Counts: entities, after merging spellings, after asking, questions, mended keys and unusable answers.

    Raises:
        UserError: no answer can be used.
    """
    spellings = merge_spellings(counts)
    asked = sorted(set(spellings.values()))
    with Objects(asking, "merge", params.max_tokens, folder) as objects:
        mapping, checks = {name: name for name in asked}, MergeChecks()
        if params.enabled:
            mapping, checks = _ask_all(objects, asked, params, asking.ask.retries)
    merged = {name: mapping[spelling] for name, spelling in spellings.items()}
    write_json(folder / "merged.json", merged)
    write_json(folder / "checks.json", asdict(checks))
    return {
        "entities": len(counts),
        "spellings": len(asked),
        "merged": len(set(merged.values())),
        "questions": objects.questions,
        "mended": len(checks.missing)
        + len(checks.invented)
        + len(checks.unnamed)
        + len(checks.cycles)
        + len(checks.disagreed),
        "unusable": objects.unusable,
    }


def _ask_all(
    objects: Objects, asked: Sequence[str], params: MergeParams, retries: int
) -> tuple[dict[str, str], MergeChecks]:
    """One pass over all entities and, if these are several chunks, one over the names that are left."""
    chunks = windows(asked, params.chunk, params.overlap)
    answer, checks = _ask_chunks(objects, chunks, retries)
    mapping, mended = mend(asked, answer)
    _add(checks, mended)
    if len(chunks) < 2:
        return mapping, checks
    left = sorted(set(mapping.values()), key=lambda name: name.split()[::-1])
    answer, again = _ask_chunks(objects, windows(left, params.chunk, params.overlap), retries, needed=False)
    second, mended = mend(left, answer)
    _add(checks, again)
    _add(checks, mended)
    # through the second names once more, as one of them may be an entity that the first pass renamed
    mapping, mended = mend(asked, {name: second[mapping[name]] for name in asked})
    _add(checks, mended)
    return mapping, checks


def _ask_chunks(
    objects: Objects, chunks: Sequence[Sequence[str]], retries: int, needed: bool = True
) -> tuple[dict[str, Any], MergeChecks]:
    """What was answered about each name of the chunks; what is missing in an answer is asked about again."""
    answer: dict[str, Any] = {}
    checks = MergeChecks()
    todo = [list(chunk) for chunk in chunks]
    for attempt in range(retries + 1):
        missing: list[str] = []
        for chunk, reply in zip(todo, objects.ask([(c, merged_names(c)) for c in todo], needed), strict=True):
            if reply is None:  # unusable, and listed as such
                continue
            for key, value in reply.items():
                name = normal_name(key)
                if name in answer and name in chunk and answer[name] != value:
                    checks.disagreed.append(name)
                answer.setdefault(name, value)
            missing += [name for name in chunk if name not in answer]
        missing = list(dict.fromkeys(name for name in missing if name not in answer))
        if not missing or attempt == retries or [missing] == todo:
            break
        checks.asked_again += missing
        size = max(map(len, chunks))
        todo, needed = [list(chunk) for chunk in windows(missing, size, 0)], False
    return answer, checks


def _add(checks: MergeChecks, more: MergeChecks) -> None:
    for name, found in asdict(more).items():
        listed = getattr(checks, name)
        listed += [one for one in found if one not in listed]
