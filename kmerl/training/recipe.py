"""A run as it is described: its method, and what differs from the base; torch is not needed to check it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kmerl.methods import made
from kmerl.methods.method import Method
from kmerl.section import Section, laid_over
from kmerl.training.params import PretrainParams


@dataclass(frozen=True)
class Recipe:
    """All that a run is made by; ``name`` is its method's."""

    name: str
    params: PretrainParams
    method: Method[Any]


def recipe(
    name: str, pretrain: PretrainParams, options: Section, changes: Mapping[str, Any], of_options: Mapping[str, Any]
) -> Recipe:
    """A run over its base.

    Args:
        name: of its method.
        pretrain: the base.
        options: the base of its method.
        changes: what it lays over ``pretrain``.
        of_options: what it lays over ``options``.

    Raises:
        ValueError: a change names an unknown key, gives a value out of range, or method and encoder do not go together
            (of pydantic's, the problem's place begins with ``pretrain`` or ``options``).
    """
    method = made(name, laid_over(options, of_options).model_dump())
    params = laid_over(pretrain, changes)
    method.check(params.model)
    return Recipe(name, params, method)
