"""Base class of every section of ``params.yaml``."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the parameters: immutable, complete, and closed to unknown keys.

    Fields have no defaults: ``params.yaml`` is the one place that holds values. A value is of its field's own sort:
    ``true`` is no number, nor is a text, and a number is finite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def laid_over(base: S, changes: Mapping[str, Any]) -> S:
    """A section with ``changes`` laid over it, key by key.

    Raises:
        ValueError: a change names an unknown key or gives a value out of range (pydantic's ValidationError).
    """

    def merged(old: Any, new: Any) -> Any:
        if isinstance(old, dict) and isinstance(new, Mapping):
            return old | {key: merged(old.get(key), value) for key, value in new.items()}
        return new

    return type(base).model_validate(merged(base.model_dump(), changes))
