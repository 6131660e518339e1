"""Base class of every section of ``params.yaml``."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the parameters: immutable, complete, and closed to unknown keys.

    Fields have no defaults: ``params.yaml`` is the one place that holds values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
