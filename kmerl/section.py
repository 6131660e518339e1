"""Base class of every section of ``params.yaml``."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the parameters: immutable, complete, and closed to unknown keys.

    Fields have no defaults: ``params.yaml`` is the one place that holds values. A value is of its field's own sort:
    ``true`` is no number, nor is a text, and a number is finite.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), strict=True, allow_inf_nan=False)
