"""Which names became which query, and which queries belong to which superclass (paper section 2.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from kmerl.knowledge.vocabulary import Vocabulary


@dataclass(frozen=True)
class Entity:
    """A merged entity.

    Attributes:
        name: the query.
        records: whose report asserts it, in its own name or through a member.
        names: as reports write it, with the number of records of each, most frequent first.
    """

    name: str
    records: int
    names: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Group:
    """A superclass and its members; ``own`` is what reports call it where it is an entity itself."""

    name: str
    records: int
    own: Entity | None
    members: Sequence[Entity]


@dataclass(frozen=True)
class Hierarchy:
    """Superclasses, most frequent first, and the entities that are in none of them."""

    groups: Sequence[Group]
    alone: Sequence[Entity]


def hierarchy(vocabulary: Vocabulary, trace: pl.DataFrame, studies: pl.DataFrame) -> Hierarchy:
    """Which names became which entity, and which entities belong to which superclass.

    Args:
        vocabulary: of the labels.
        trace: columns of ``kmerl.knowledge.labels.TRACE``.
        studies: columns record_id, report_id.
    """
    records = studies.group_by("report_id").len("records")
    bits = trace.select("report_id", "query").unique().join(records, on="report_id")
    of_query = dict(bits.group_by("query").agg(pl.col("records").sum()).iter_rows())
    named = trace.filter(pl.col("query") == pl.col("via")).select("report_id", "query", "entity").unique()
    sums = named.join(records, on="report_id").group_by("query", "entity").agg(pl.col("records").sum())
    names: dict[str, list[tuple[str, int]]] = {}
    for query, written, number in sums.sort("query", "records", "entity", descending=[False, True, False]).iter_rows():
        names.setdefault(query, []).append((written, number))

    def entity(name: str) -> Entity:
        return Entity(name, of_query.get(name, 0), names.get(name, []))

    def ordered(several: Sequence[str]) -> list[Entity]:
        return sorted(map(entity, several), key=lambda one: (-one.records, one.name))

    own = {*vocabulary.entities}
    groups = [
        Group(name, of_query.get(name, 0), entity(name) if name in own else None, ordered(members))
        for name, members in vocabulary.superclasses.items()
    ]
    grouped = {member for members in vocabulary.superclasses.values() for member in members}
    alone = sorted(own - grouped - {*vocabulary.superclasses})
    return Hierarchy(sorted(groups, key=lambda group: (-group.records, group.name)), ordered(alone))
