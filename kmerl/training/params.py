"""The parameters of pretraining that all methods share (paper App. B)."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kmerl.model.params import ModelParams
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
    processes: int = Field(ge=1, description="processes on each node, one per GPU (paper: 8)")
    nodes: int = Field(ge=1, description="nodes of a slurm job, each with so many processes (paper: 1)")
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
    """Everything about pretraining that all methods share."""

    normalize: NormalizeParams
    model: ModelParams
    optimizer: OptimizerParams
    loop: LoopParams
