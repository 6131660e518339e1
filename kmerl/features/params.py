"""The parameters of features; torch is not needed to check them."""

from typing import Annotated

from pydantic import AfterValidator, Field

from kmerl.evaluation.params import LeadSets, Scope, distinct
from kmerl.section import Section

RANDOM_CONVOLUTIONS = "random_convolutions"
"""The name of the features that no run makes."""


class EmbedEcgParams(Section):
    """From which leads the features of runs are computed."""

    leads: LeadSets = Field(min_length=1, description="name of a lead set -> its leads")
    scopes: Annotated[list[Scope], AfterValidator(distinct)] = Field(
        min_length=1,
        description="leads that normalisation sees, as of partial_leads; features of some leads are made in "
        "each, of all leads in the first",
    )


class RandomConvolutionsParams(Section):
    """Random kernels; a feature is the share of time in which one's response exceeds its threshold."""

    kernels: int = Field(ge=1, le=100_000, description="random kernels; each brings one feature")
    length: int = Field(ge=2, le=100, description="taps of a kernel")
    dilations: Annotated[list[Annotated[int, Field(ge=1)]], AfterValidator(distinct)] = Field(
        min_length=1, description="steps between taps, in samples at `fs`; kernels are shared out among them"
    )
    fs: int = Field(ge=1, description="Hz; waveforms are averaged down to about this rate")
    references: int = Field(ge=1, description="training records of each archive whose responses set the thresholds")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
