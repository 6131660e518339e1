"""The parameters of feature extraction and of probes; torch is not needed to check them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from kmerl.evaluation.params import LeadSets, Scope, distinct
from kmerl.section import Section

Kind = Literal["paper", "standardized", "logistic", "merl_code"]
RANDOM_CONVOLUTIONS = "random_convolutions"
"""The name of the features that no run makes."""
Positive = Annotated[float, Field(gt=0)]


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


class LinearProbeParams(Section):
    """Linear classifiers on frozen features (paper App. D.3, Table 4)."""

    baselines: Annotated[list[str], AfterValidator(distinct)] = Field(
        description="features that no run makes, probed beside those of runs: random_convolutions"
    )
    kinds: Annotated[list[Kind], AfterValidator(distinct)] = Field(
        min_length=1,
        description="paper: a linear layer by AdamW with warm-up and cosine, features as they are (Table 4 to the "
        "letter); standardized: the same, features to mean 0 and deviation 1 over the training records; logistic: a "
        "penalised logistic regression on these; merl_code: as MERL's released code, which divides the rate by 10 "
        "after 40 batches and picks the epoch on test: for comparison only",
    )
    shares: Annotated[list[Annotated[float, Field(gt=0, le=1)]], AfterValidator(distinct)] = Field(
        min_length=1, description="of a task's training records, nested, two at least (paper: 0.01, 0.1, 1)"
    )
    draws: int = Field(ge=1, description="times that a share below 1 is drawn; scores are means over the draws")
    select: Literal["last", "best"] = Field(
        description="the epoch that counts: the last, or the best macro AUC on valid (merl_code: always best on test)"
    )
    learning_rate: float = Field(gt=0, description="peak (paper: 1e-3)")
    weight_decay: float = Field(ge=0, description="of AdamW (the paper names none for the probe)")
    batch: int = Field(ge=1, description="records per step (paper: 16)")
    epochs: int = Field(ge=1, description="paper: 100")
    warmup_steps: int = Field(ge=0, description="steps of linear warm-up (paper: 5)")
    logistic_c: Annotated[list[Positive], AfterValidator(distinct)] = Field(
        min_length=1,
        description="of the kind logistic, inverse strengths of its penalty; each task's is chosen by "
        "macro AUC on valid",
    )
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
