"""The parameters of feature extraction and of probes; torch is not needed to check them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from kmerl.evaluation.params import LeadSets, distinct
from kmerl.section import Section

RANDOM_CONVOLUTIONS = "random_convolutions"
"""The name of the features that no run makes."""
Positive = Annotated[float, Field(gt=0)]


class EmbedEcgParams(Section):
    """Which runs' features are computed, and from which leads."""

    runs: Annotated[list[str], AfterValidator(distinct)] = Field(min_length=1, description="runs whose encoders embed")
    leads: LeadSets = Field(min_length=1, description="name of a lead set -> its leads")


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

    features: Annotated[list[str], AfterValidator(distinct)] = Field(
        min_length=1, description="feature sets probed: runs of embed_ecg, or random_convolutions"
    )
    shares: Annotated[list[Annotated[float, Field(gt=0, le=1)]], AfterValidator(distinct)] = Field(
        min_length=1, description="of a task's training records, nested, two at least (paper: 0.01, 0.1, 1)"
    )
    protocol: Literal["paper", "merl_code"] = Field(
        description="paper: AdamW with warm-up and cosine (Table 4); merl_code: as MERL's released code, which divides "
        "the rate by 10 after 40 batches and picks the epoch on test: for comparison only"
    )
    select: Literal["last", "best"] = Field(
        description="the epoch that counts: the last, or the best macro AUC on valid (merl_code: always best on test)"
    )
    standardize: bool = Field(
        description="features to mean 0 and deviation 1 over the training records of the share, for every encoder alike"
    )
    learning_rate: float = Field(gt=0, description="peak (paper: 1e-3)")
    weight_decay: float = Field(ge=0, description="of AdamW (the paper names none for the probe)")
    batch: int = Field(ge=1, description="records per step (paper: 16)")
    epochs: int = Field(ge=1, description="paper: 100")
    warmup_steps: int = Field(ge=0, description="steps of linear warm-up (paper: 5)")
    logistic: Annotated[list[str], AfterValidator(distinct)] = Field(
        description="features probed by a penalised logistic regression instead, on standardised features"
    )
    logistic_c: Annotated[list[Positive], AfterValidator(distinct)] = Field(
        min_length=1, description="inverse strengths of its penalty; each task's is chosen by macro AUC on valid"
    )

    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")

    @model_validator(mode="after")
    def _known(self) -> "LinearProbeParams":
        for name in self.logistic:
            if name not in self.features:
                raise ValueError(f"logistic: {name!r} is not among features; leave it out, or probe it")
        return self
