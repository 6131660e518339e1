"""The parameters of pretraining (paper App. B)."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kmerl.model.params import LossParams, MaskParams, ModelParams
from kmerl.section import Section
from kmerl.waveforms import NormalizeParams

Rate = Annotated[float, Field(ge=0, lt=1)]


class OptimizerParams(Section):
    """AdamW and its learning rate."""

    learning_rate: float = Field(gt=0, description="peak (paper: 2e-4)")
    weight_decay: float = Field(ge=0, description="paper: 1e-5")
    betas: tuple[Rate, Rate] = Field(strict=False, description="AdamW's decay rates, each in [0, 1)")
    warmup_steps: int = Field(ge=0, description="steps of linear warm-up (the paper's pretraining names none)")
    schedule: Literal["cosine", "constant"] = Field(description="after warm-up (paper: cosine annealing)")
    clip_norm: float | None = Field(gt=0, description="largest gradient norm, or null for no clipping")


class LoopParams(Section):
    """How long, how large, and on what."""

    batch: int = Field(ge=2, description="records per process and step (paper: 512 on each of 8 GPUs)")
    epochs: int | None = Field(
        ge=1, description="passes over the training split (paper: 50), or null if steps are given"
    )
    steps: int | None = Field(
        ge=0, description="optimiser steps (0: the run is saved as initialised), or null if epochs are given"
    )
    precision: Literal["float32", "bfloat16"] = Field(description="of the forward pass; bfloat16 needs a recent GPU")
    processes: int = Field(ge=1, description="processes on this node, one per GPU (paper: 8)")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
    workers: int = Field(ge=0, description="processes that read waveforms for each training process")
    validate_every: int = Field(ge=1, description="steps between validations")
    valid_records: int = Field(ge=1, description="at most so many validation records")
    valid_batch: int = Field(ge=1, description="validation records encoded at a time")
    checkpoint_every: int = Field(ge=1, description="steps between checkpoints from which a killed run continues")

    @model_validator(mode="after")
    def _one_length(self) -> "LoopParams":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and null for the other")
        return self


class PretrainParams(Section):
    """Everything about a pretraining run."""

    normalize: NormalizeParams
    masking: MaskParams
    model: ModelParams
    loss: LossParams
    queries: Literal["canonical", "drawn"] = Field(
        description="texts of the queries: their names (paper), or in each step one of all names merged under each"
    )
    text_layers: int = Field(ge=0, description="how many of the text encoder's last layers learn (MERL's code: 0)")
    optimizer: OptimizerParams
    loop: LoopParams

    @model_validator(mode="after")
    def _consistent(self) -> "PretrainParams":
        if self.model.encoder.kind == "resnet18" and self.masking.segment_share > 0:
            raise ValueError("model.encoder.kind resnet18 needs every segment: set masking.segment_share to 0")
        if self.loss.query_weight > 0 and self.model.query is None:
            raise ValueError("loss.query_weight needs a query network: give model.query, or set the weight to 0")
        if self.loss.query_weight == 0 and self.model.query is not None:
            raise ValueError("with loss.query_weight 0 the query network would never learn: set model.query to null")
        if (self.loss.unimodal_weight > 0) != (self.model.projector.dropout > 0):
            raise ValueError(
                "loss.unimodal_weight compares two dropouts: set model.projector.dropout above 0 with it, or neither"
            )
        return self


def override(base: PretrainParams, changes: dict[str, Any]) -> PretrainParams:
    """A run's parameters: ``base`` with ``changes`` laid over it, key by key.

    Raises:
        ValueError: a change names an unknown key or gives a value out of range (pydantic's ValidationError).
    """

    def merged(old: Any, new: Any) -> Any:
        if isinstance(old, dict) and isinstance(new, dict):
            return old | {key: merged(old.get(key), value) for key, value in new.items()}
        return new

    return PretrainParams.model_validate(merged(base.model_dump(), changes))
