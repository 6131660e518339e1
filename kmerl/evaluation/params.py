"""The parameters of evaluation; torch is not needed to check them."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from kmerl.errors import UserError
from kmerl.leads import LEADS, positions
from kmerl.naming import SHOWN, checked
from kmerl.section import Section

Way = Literal["query", "contrastive", "average", "mixture"]
Names = Literal["name", "other_name"]
Scope = Literal["record", "visible_leads", "lead"]
_T = TypeVar("_T")


def distinct(values: list[_T]) -> list[_T]:
    """The list itself, if it names nothing twice.

    Raises:
        ValueError: it does.
    """
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} is named twice; name it once")
    return values


def canonical_leads(names: Sequence[str]) -> list[str]:
    """Leads in the project's spelling, in their order.

    Raises:
        ValueError: none is named, one is unknown, or one is named twice.
    """
    if not names:
        raise ValueError("names no lead")
    try:
        return [LEADS[place] for place in positions(names)]
    except UserError as error:
        raise ValueError(str(error)) from None


def canonical_sets(sets: dict[str, list[str]]) -> dict[str, list[str]]:
    """:func:`canonical_leads` of every named set.

    Raises:
        ValueError: as there, with the set's name.
    """
    result = {}
    for name, leads in sets.items():
        try:
            result[name] = canonical_leads(leads)
        except ValueError as error:
            raise ValueError(f"{error} (of {name!r})" if leads else f"{name!r} {error}") from None
    return result


def named_sets(sets: Any) -> Any:
    """The sets themselves, if each has a name that can be shown.

    Raises:
        ValueError: one has not.
    """
    for name in sets if isinstance(sets, dict) else ():
        checked(name, SHOWN)
    return sets


LeadSets = Annotated[dict[str, list[str]], BeforeValidator(named_sets), AfterValidator(canonical_sets)]
"""Name of a lead set -> its leads, in any usual spelling."""


class EvaluationParams(Section):
    """What every evaluation shares."""

    archives: Annotated[list[str], AfterValidator(distinct)] = Field(
        min_length=1, description="archives evaluated; each brings its tasks"
    )
    splits: Annotated[list[Literal["train", "valid", "test"]], AfterValidator(distinct)] = Field(
        min_length=1, description="splits evaluated; test, unless the model saw none of them"
    )
    batch: int = Field(ge=1, description="records encoded at a time")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
    bootstrap: int = Field(ge=100, description="resamples of patients behind an interval")
    confidence: float = Field(gt=0.5, lt=1, description="of the intervals")
    min_positives: int = Field(ge=1, description="fewest positives for the second macro average, beside the published")


class MixtureParams(Section):
    """How the answers to training queries stand for an answer to a new name."""

    nearest: int = Field(ge=1, description="training queries mixed, those most similar to the name")
    temperature: float = Field(gt=0, description="of the softmax over their cosine similarities")


class ZeroshotParams(Section):
    """What is asked, of which leads, and how."""

    leads: LeadSets = Field(min_length=1, description="name of a lead set -> its leads")
    scopes: Annotated[list[Scope], AfterValidator(distinct)] = Field(
        min_length=1,
        description="leads that normalisation sees, as of partial_leads; the first is the one that all results are in, "
        "in the others each run is asked in its own way",
    )
    ways: Annotated[list[Way], AfterValidator(distinct)] = Field(
        min_length=1,
        description="query: the query network (paper); contrastive: cosine with the name (MERL); average: mean of both "
        "logits; mixture: the nearest training queries, weighted. A run is asked in those that its method knows",
    )
    names: Annotated[list[Names], AfterValidator(distinct)] = Field(
        min_length=1, description="columns of the table of classes whose texts are asked"
    )
    mixture: MixtureParams
    seen_similarity: float = Field(
        ge=-1, le=1, description="a class is seen if its name is as similar to a training query (paper: 0.95)"
    )


class PartialLeadsParams(Section):
    """Zero-shot with a growing number of leads, and with every lead alone (paper App. D.3)."""

    order: Annotated[list[str], AfterValidator(canonical_leads)] = Field(
        description="the order in which leads are added"
    )
    single: bool = Field(description="whether every lead of `order` is also shown alone")
    scopes: Annotated[list[Scope], AfterValidator(distinct)] = Field(
        min_length=1,
        description="leads that normalisation sees: all of the record (paper), only those shown, or each by itself",
    )
    records: int | None = Field(ge=1, description="records per archive, drawn by name; null for all")
