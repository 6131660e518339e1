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
    schedule: Literal["cosine", "constant", "warm_restarts"] = Field(
        description="after warm-up (paper: cosine annealing; MERL's code: cosines one after another)"
    )
    restart_steps: int | None = Field(
        ge=1, description="steps of each cosine of warm_restarts (MERL's code: T_0 = 5000, counted in steps), else null"
    )
    clip_norm: float | None = Field(gt=0, description="largest gradient norm, or null for no clipping")

    @model_validator(mode="after")
    def _restarts(self) -> "OptimizerParams":
        if (self.schedule == "warm_restarts") != (self.restart_steps is not None):
            raise ValueError("restart_steps belongs to schedule warm_restarts: give both, or null and another schedule")
        return self


class LoopParams(Section):
    """How long, how large, and on what."""

    batch: int = Field(ge=2, description="records per process and step (paper: 512 on each of 8 GPUs)")
    accumulate: int = Field(
        ge=1,
        description="parts that a step's batch is computed in, one after another, with the gradient of the whole batch "
        "(but for BatchNorm and dropout): less memory, and another forward pass of the encoder if more than 1",
    )
    epochs: int | None = Field(
        ge=1, description="passes over the training split (paper: 50), or null if steps are given"
    )
    steps: int | None = Field(
        ge=0, description="optimiser steps (0: the run is saved as initialised), or null if epochs are given"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        description="of the forward pass; bfloat16 needs a recent GPU, or a CPU with AMX or AVX512-BF16 to be faster"
    )
    float32_matmul: Literal["highest", "high", "medium"] = Field(
        description="how products of float32 are computed: highest, or (high) in TF32 where a GPU has it, see "
        "torch.set_float32_matmul_precision"
    )
    deterministic: bool = Field(
        description="true: two runs on one machine give the same bytes; false lets a GPU take faster kernels, those of "
        "attention's backward pass above all"
    )
    compile: bool = Field(description="torch.compile of the transformer's blocks; takes a minute or more at the start")
    processes: int = Field(ge=1, description="processes on each node, one per GPU (paper: 8)")
    nodes: int = Field(ge=1, description="nodes of a slurm job, each with so many processes (paper: 1)")
    threads: int = Field(ge=1, description="CPU threads; fixed, since sums depend on it in the last bits")
    workers: int = Field(ge=0, description="processes that read waveforms for each training process")
    validate_every: int = Field(ge=1, description="steps between validations")
    valid_records: int = Field(ge=1, description="at most so many validation records")
    valid_batch: int = Field(ge=1, description="validation records encoded at a time")
    checkpoint_every: int | None = Field(
        ge=1, description="steps between checkpoints from which a killed run continues, or null"
    )
    checkpoint_minutes: float | None = Field(gt=0, description="minutes between them, or null; either may be given")

    @model_validator(mode="after")
    def _one_length(self) -> "LoopParams":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and null for the other")
        return self

    @model_validator(mode="after")
    def _whole_parts(self) -> "LoopParams":
        if self.batch % self.accumulate or self.batch // self.accumulate < 2:
            raise ValueError(f"batch: {self.batch} is not {self.accumulate} equal parts of 2 or more: lower accumulate")
        return self


class PretrainParams(Section):
    """Everything about pretraining that all methods share."""

    normalize: NormalizeParams
    model: ModelParams
    optimizer: OptimizerParams
    loop: LoopParams
