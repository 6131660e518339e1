"""Zero-shot classification: every class is asked by its name (paper section 3.3)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from kmerl.evaluation.params import LeadSets, MixtureParams, Names, Scope, Way, distinct
from kmerl.evaluations.zeroshot.schemas import SEEN
from kmerl.section import Section


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


PARAMS = ZeroshotParams
ASKS = True
"""Its runs are asked for classes by name."""
BESIDE = {"seen": SEEN}
"""The tables beside its scores, by name."""
ONE_SCOPE = True
"""Results are in the scope of normalisation that stands first."""
