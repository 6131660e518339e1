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
