"""A run as it is described: its method, and what differs from the base; torch is not needed to check it."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field

from kmerl.methods import made
from kmerl.methods.method import Method
from kmerl.section import Section
from kmerl.training.params import PretrainParams

_S = TypeVar("_S", bound=Section)


class Run(Section):
    """One run of ``runs``."""

    method: str = Field(description="how it is pretrained: a file in kmerl/methods")
    pretrain: dict[str, Any] = Field(default_factory=dict, description="what differs from `pretrain`")
    options: dict[str, Any] = Field(
        default_factory=dict, description="what differs from `methods`' section of its method"
    )


@dataclass(frozen=True)
class Recipe:
    """All that a run is made by; ``name`` is its method's."""

    name: str
    params: PretrainParams
    method: Method[Any]


def recipe(run: Run, pretrain: PretrainParams, options: Section) -> Recipe:
    """A run over its base.

    Args:
        run: what it says of itself.
        pretrain: the base.
        options: the base of its method.

    Raises:
        ValueError: a change names an unknown key, gives a value out of range, or method and encoder do not go together
            (of pydantic's, the problem's place begins with ``pretrain`` or ``options``).
    """
    method = made(run.method, laid_over(options, run.options).model_dump())
    params = laid_over(pretrain, run.pretrain)
    method.check(params.model)
    return Recipe(run.method, params, method)


def laid_over(base: _S, changes: dict[str, Any]) -> _S:
    """A section with ``changes`` laid over it, key by key.

    Raises:
        ValueError: a change names an unknown key or gives a value out of range (pydantic's ValidationError).
    """

    def merged(old: Any, new: Any) -> Any:
        if isinstance(old, dict) and isinstance(new, dict):
            return old | {key: merged(old.get(key), value) for key, value in new.items()}
        return new

    return type(base).model_validate(merged(base.model_dump(), changes))
