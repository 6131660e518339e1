"""Step 4: superclasses of the merged entities (paper section 2.4, fourth prompt)."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from kmerl.artifacts import write_json
from kmerl.knowledge.asking import Asking
from kmerl.knowledge.constraints import members as members_of
from kmerl.knowledge.constraints import merged_names
from kmerl.knowledge.merge import mend as mend_names
from kmerl.knowledge.merge import spelling_key
from kmerl.knowledge.objects import Objects, windows
from kmerl.knowledge.words import normal_name
from kmerl.section import Section


class SuperclassParams(Section):
    """How superclasses are found."""

    enabled: bool = Field(description="whether entities are grouped into superclasses")
    max_tokens: int = Field(ge=1, description="tokens; longest answer, which names every entity at least once")
    chunk: int = Field(ge=2, description="entities in one question; more are asked about in chunks")
    min_members: int = Field(
        ge=1, description="members; a smaller superclass is dropped, unless it is itself an entity"
    )


@dataclass
class SuperclassChecks:
    """What had to be dropped from the answer."""

    unknown: dict[str, list[str]] = field(default_factory=dict)
    """Superclass -> members that are no entities."""
    small: dict[str, list[str]] = field(default_factory=dict)
    """Superclass -> its members, fewer than asked for."""
    no_list: list[str] = field(default_factory=list)
    """Superclasses whose members are not a list."""


def mend(
    entities: Iterable[str], answer: Mapping[str, Any], min_members: int
) -> tuple[dict[str, list[str]], SuperclassChecks]:
    """Superclasses whose members are all known entities, other than the superclass itself.

    A superclass in another spelling of an entity takes the entity's name, so that it is not counted twice.
    """
    known = {spelling_key(name): name for name in sorted(set(entities))}
    checks = SuperclassChecks()
    members: dict[str, set[str]] = {}
    for key, values in answer.items():
        name = known.get(spelling_key(key), normal_name(key))
        if not isinstance(values, list) or not name:
            checks.no_list.append(key)
            continue
        for value in values:
            member = known.get(spelling_key(value)) if isinstance(value, str) else None
            if member is None:
                checks.unknown.setdefault(name, []).append(str(value))
            elif member != name:
                members.setdefault(name, set()).add(member)
    result: dict[str, list[str]] = {}
    for name, found in sorted(members.items()):
        if len(found) >= min_members or name in known.values():
            result[name] = sorted(found)
        else:
            checks.small[name] = sorted(found)
    return result, checks


def superclass(merged: Mapping[str, str], asking: Asking, params: SuperclassParams, folder: Path) -> dict[str, int]:
    """Ask over all merged entities; superclasses.json, checks.json and the dialogue go to ``folder``.

    Where the entities do not fit into one question, each chunk gets superclasses of its own; whether these have the
    same meaning is asked with the third prompt.

    Args:
        merged: original -> merged name.
        asking: who answers.
        params: whether and how it is asked.
        folder: gets requests.jsonl, responses.jsonl, cost.json, superclasses.json (superclass -> members), checks.json,
            unusable.parquet.

    Returns:
        Counts: entities, superclasses, those that are no entities themselves, dropped parts of the answers, unusable
        answers.

    Raises:
        UserError: no answer can be used.
    """
    entities = sorted(set(merged.values()))
    with Objects(asking, "superclass", params.max_tokens, folder) as objects:
        answer: dict[str, Any] = {}
        if params.enabled:
            chunks = windows(entities, params.chunk, 0)
            replies = [reply for reply in objects.ask([(c, members_of(c)) for c in chunks]) if reply is not None]
            answer = _together(objects, replies)
    found, checks = mend(entities, answer, params.min_members)
    write_json(folder / "superclasses.json", found)
    write_json(folder / "checks.json", asdict(checks))
    return {
        "entities": len(entities),
        "superclasses": len(found),
        "new": len(set(found) - set(entities)),
        "questions": objects.questions,
        "dropped": sum(map(len, checks.unknown.values())) + len(checks.small) + len(checks.no_list),
        "unusable": objects.unusable,
    }


def _together(objects: Objects, replies: list[dict[str, Any]]) -> dict[str, Any]:
    """The answers about several chunks as one; superclasses of one meaning get one name."""
    if len(replies) < 2:
        return replies[0] if replies else {}
    names = sorted({normal_name(name) for reply in replies for name in reply} - {""})
    (reply,) = objects.ask([(names, merged_names(names))], needed=False, task="merge") if names else ({},)
    one, _ = mend_names(names, reply or {})
    together: dict[str, Any] = {}
    for key, values in (pair for reply in replies for pair in reply.items()):
        name = one.get(normal_name(key), key)
        # what is no list spoils nothing that another chunk said; mend() tells of it
        if isinstance(values, list) and isinstance(together.get(name, []), list):
            together[name] = [*together.get(name, []), *values]
        else:
            together.setdefault(key if name in together else name, values)
    return together
