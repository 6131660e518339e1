"""Step 4: superclasses of the merged entities (paper section 2.4, fourth prompt)."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from kmerl.artifacts import write_json
from kmerl.knowledge.engines import EngineParams
from kmerl.knowledge.merge import ask_object, spelling_key
from kmerl.knowledge.words import normal_name
from kmerl.section import Section


class SuperclassParams(Section):
    """How superclasses are found."""

    enabled: bool = Field(description="whether entities are grouped into superclasses")
    max_tokens: int = Field(ge=1, description="tokens; longest answer, which names every entity at least once")
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


def superclass(
    merged: Mapping[str, str], engine: EngineParams, params: SuperclassParams, folder: Path
) -> dict[str, int]:
    """Ask once over all merged entities; superclasses.json, checks.json and the dialogue go to ``folder``.

    Args:
        merged: original -> merged name.
        engine: which engine answers.
        params: whether it is asked.
        folder: gets requests.jsonl, responses.jsonl, superclasses.json (superclass -> members), checks.json.

    Returns:
        Counts: entities, superclasses, those that are no entities themselves, dropped parts of the answer.

    Raises:
        UserError: the answer cannot be used.
    """
    entities = sorted(set(merged.values()))
    reply = ask_object("superclass", entities if params.enabled else [], engine, params.max_tokens, folder)
    found, checks = mend(entities, reply, params.min_members)
    write_json(folder / "superclasses.json", found)
    write_json(folder / "checks.json", asdict(checks))
    return {
        "entities": len(entities),
        "superclasses": len(found),
        "new": len(set(found) - set(entities)),
        "dropped": sum(map(len, checks.unknown.values())) + len(checks.small) + len(checks.no_list),
    }
