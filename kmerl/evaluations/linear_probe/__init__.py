"""Linear classifiers on frozen features (paper App. D.3, Table 4)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from kmerl.evaluation.params import distinct
from kmerl.section import Section

Kind = Literal["paper", "standardized", "logistic", "merl_code"]
Positive = Annotated[float, Field(gt=0)]


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


PARAMS = LinearProbeParams
