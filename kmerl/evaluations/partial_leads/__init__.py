"""Zero-shot classification with 1 to 12 leads, and with every lead alone (paper section 3.5, App. D.3)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from kmerl.evaluation.params import Scope, canonical_leads, distinct
from kmerl.evaluations.partial_leads.schemas import LEAD_SETS
from kmerl.section import Section


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


PARAMS = PartialLeadsParams
ASKS = True
"""Its runs are asked for classes by name."""
BESIDE = {"leads": LEAD_SETS}
"""The tables beside its scores, by name."""
