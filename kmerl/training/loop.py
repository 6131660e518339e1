"""The pretraining loop: one function of the step, so that a killed run continues as if nothing had happened.

On one GPU or CPU it runs as it is; on several, ``pretrain.loop.processes`` or torchrun start it.
"""

import math
import multiprocessing
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._functorch import config as buffers
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from kmerl.children import follow_parent
from kmerl.distributed import device_of_this_process, world
from kmerl.methods.method import weighted
from kmerl.model.layers import Block
from kmerl.model.network import Network
from kmerl.model.query import QueryLayer
from kmerl.randomness import seed_of
from kmerl.training.accumulation import Precision, backward, encoder_gradients, passed_on
from kmerl.training.batch_norm import synchronised
from kmerl.training.batches import Batch, Batches, Examples, ReadBatch
from kmerl.training.checkpoints import Due, resume, save
from kmerl.training.held import Held, validated
from kmerl.training.ledger import Ledger, explained
from kmerl.training.machine import check_shared_memory, fitting
from kmerl.training.params import LoopParams, OptimizerParams, PretrainParams
from kmerl.training.processes import HUNG_SECONDS
from kmerl.training.rank import COMPUTES, ENDS, READS, VALIDATES, WRITES, at
from kmerl.training.signals import ignored, noted
from kmerl.training.text_vectors import Texts
from kmerl.waveforms import WaveformStore


class Learner(nn.Module):
    """The model with its method's losses: what is trained, and what distributed training wraps."""

    def __init__(self, model: Network, texts: Texts):
        super().__init__()
        self.model, self.text_encoder = model, texts.live
        self.texts = texts

    def forward(self, batch: Batch, gradients: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The loss of this process's part of the batch, and its terms by name, without their weights.

        ``gradients`` at its vectors stand for the terms that compare records (:mod:`kmerl.training.accumulation`).
        """
        method = self.model.method
        if gradients is None:
            terms = method.losses(self.model, batch, self.texts)
            loss = weighted(terms)
        else:
            encoded = method.encode(self.model, batch, self.texts)
            terms = method.within(self.model, encoded.features, batch, self.texts)
            loss = passed_on(encoded.vectors, gradients)
            loss = loss + weighted(terms) if terms else loss
        return {"loss": loss} | {name: term.value.detach() for name, term in terms.items()}


def learning_rate(step: int, steps: int, params: OptimizerParams) -> float:
    """Linear warm-up, then constant, a cosine to zero, or one after another."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return params.learning_rate
    if params.restart_steps is not None:
        progress = (step - params.warmup_steps) % params.restart_steps / params.restart_steps
    else:
        progress = (step - params.warmup_steps) / max(1, steps - params.warmup_steps)
    return params.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def total_steps(params: LoopParams, steps_per_epoch: int) -> int:
    """Optimiser steps of a run."""
    return params.steps if params.steps is not None else (params.epochs or 0) * steps_per_epoch


def fit(
    model: Network,
    texts: Texts,
    store: WaveformStore,
    train: Examples,
    valid: Examples,
    params: PretrainParams,
    seed: int,
    scratch: Path,
    stop_after: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> tuple[pl.DataFrame, int]:
    """Train ``model`` in place (and the text encoder's last layers, if they learn).

    Args:
        model: freshly made; a checkpoint in ``scratch`` replaces its weights.
        texts: of reports and queries.
        store: waveforms of both splits.
        train: records to learn from.
        valid: records to validate on.
        params: of the run.
        seed: of order, masks, names and dropout.
        scratch: folder for the checkpoint of a run that has not ended.
        stop_after: end early after so many steps, as a kill would; for tests.
        report: is told in one line how far training is, at every validation and when it resumes.

    Returns:
        The history (schema ``HISTORY``) and the number of steps.

    Raises:
        UserError: the loss or its gradient is no longer finite, memory does not suffice, or there is a checkpoint that
            this run cannot go on from.
        KeyboardInterrupt: SIGTERM or SIGINT came; a checkpoint was written behind the step that was under way.
    """
    rank, size = world()
    device = device_of_this_process()
    loop = params.loop
    batches = Batches(
        store, train, model.method, params.model.tokens, params.normalize, loop.batch, seed, rank, size, texts.names
    )
    held = Held(store, valid, texts, params.normalize, loop.valid_batch, seed_of(seed, "validation"))
    steps = total_steps(loop, batches.steps_per_epoch)
    learner = Learner(model, texts).to(device)
    weights = [weight for weight in learner.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, betas=params.optimizer.betas, weight_decay=params.optimizer.weight_decay, fused=True
    )
    first, history = resume(scratch, learner, optimizer, device, loop.batch, size)
    if first and rank == 0:
        report(f"continues after step {first} of {steps}")
    wrapped, ledger = _wrapped(learner, device, loop.compile), Ledger(device, history)
    ended = _Ended(loop, steps, learner, optimizer, ledger, batches, held, scratch, report)
    ahead = _ahead(batches, first, steps, loop.workers, device)
    at(first + 1, READS)
    progress = tqdm(ahead, "pretrain", steps, initial=first, unit="step", disable=None if rank == 0 else True)
    with noted() as wish:
        for step, read in enumerate(progress, first):
            if step == stop_after:
                break
            at(step + 1, COMPUTES)
            rate, dropout = learning_rate(step, steps, params.optimizer), seed_of(seed, "dropout", step, rank)
            pulls: dict[str, float] = {}
            with fitting("pretrain.loop.batch", loop.batch):
                batch = read.to(device)
                if ended.validates(step + 1):
                    pulls = encoder_gradients(wrapped, batch, loop.accumulate, dropout, precision(loop, device))
                losses, norm = _gradient(wrapped, weights, batch, dropout, params)
                ledger.add(step + 1, rate, losses, norm, wish.told)
                _update(optimizer, rate, ledger.lost)
            if row := ended(step + 1, pulls):
                progress.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            at(step + 2, READS)
    at(steps, ENDS)
    columns = {"step": pl.Int32, "name": pl.String, "value": pl.Float64}
    return pl.DataFrame(ledger.history, schema=columns, orient="row"), steps


@dataclass
class _Ended:
    """What is done behind a step: the losses read, the model validated, a checkpoint written, the run left."""

    loop: LoopParams
    steps: int
    learner: Learner
    optimizer: torch.optim.Optimizer
    ledger: Ledger
    batches: Batches
    held: Held
    scratch: Path
    report: Callable[[str], None]

    def __post_init__(self) -> None:
        self._due = Due(self.loop)

    def validates(self, step: int) -> bool:
        """Whether the model is validated behind a step."""
        return step == self.steps or step % self.loop.validate_every == 0

    def __call__(self, step: int, pulls: Mapping[str, float]) -> dict[str, float]:
        """Do what is due behind a step, which all processes find alike but for the clock; the losses if it read them.

        ``pulls`` is what a step that is validated has to log besides.

        Raises:
            UserError: a loss that was read, or its gradient, is not finite.
            KeyboardInterrupt: a process was told to end.
        """
        ledger, last = self.ledger, step == self.steps
        validates, keeps = self.validates(step), self._due.by_steps(step)
        if not (validates or keeps or ledger.due(step)):
            return {}
        row = ledger.read()
        if ledger.broken:
            raise explained(ledger.broken, self.batches)
        if world()[0] == 0 and validates:
            self._validate(step, row, pulls)
        if world()[0] == 0 and not last and (keeps or ledger.told or self._due.by_clock()):
            at(step, WRITES)
            save(self.scratch, self.learner, self.optimizer, step, ledger.history, self.batches.batch * world()[1])
            self._due.written()
        if ledger.told and not last:
            if world()[1] > 1:
                dist.barrier()  # the others wait until it is written
            raise KeyboardInterrupt(f"after step {step} of {self.steps}, from which it goes on")
        return row

    def _validate(self, step: int, row: dict[str, float], pulls: Mapping[str, float]) -> None:
        at(step, VALIDATES)
        with fitting("pretrain.loop.valid_batch", self.loop.valid_batch):
            found = validated(self.learner.model, self.held)
        self.ledger.log(step, {**pulls, **found})
        self.report(f"step {step} of {self.steps}, {told(row | found)}")


def told(values: Mapping[str, float]) -> str:
    """The loss and what a model was validated by, in words."""
    validated = [f"{name.removeprefix('valid_')} {value:.3f}" for name, value in values.items() if name[:6] == "valid_"]
    return ", ".join([f"loss {values['loss']:.3f}", *(f"validation {one}" for one in validated)])


def precision(loop: LoopParams, device: torch.device) -> Precision:
    """What forward passes run under."""
    if loop.precision == "float32":
        return nullcontext
    return partial(torch.autocast, device.type, torch.bfloat16)


def _wrapped(learner: Learner, device: torch.device, compiled: bool) -> nn.Module:
    """The learner as it is called: its layers compiled if wanted, its gradients those of all processes."""
    if compiled:
        buffers.donated_buffer = False  # the gradient of each loss by itself passes the same graph several times
        for part in learner.model.modules():
            if isinstance(part, (Block, QueryLayer)):
                part.compile(dynamic=True)  # each step shows other numbers of tokens
    if world()[1] == 1:
        return learner
    together = nn.SyncBatchNorm.convert_sync_batchnorm if device.type == "cuda" else synchronised
    return DistributedDataParallel(together(learner))


def _ahead(batches: Batches, first: int, steps: int, workers: int, device: torch.device) -> DataLoader[ReadBatch]:
    """The batches of the steps, read by processes of their own if wanted.

    These are forks, so that they share the index, labels and text vectors with this process (gigabytes of a large
    archive) whatever way of starting processes is the default; on systems without safe forks each gets a copy.
    """
    if workers:
        check_shared_memory(batches[first] if first < steps else (), workers)
    forks = workers > 0 and sys.platform == "linux"
    return DataLoader(
        batches, batch_size=None, sampler=range(first, steps), num_workers=workers, worker_init_fn=_begin_reading,
        timeout=HUNG_SECONDS if workers else 0, pin_memory=device.type == "cuda",
        multiprocessing_context=multiprocessing.get_context("fork") if forks else None,
    )  # fmt: skip


def _begin_reading(_: int) -> None:
    follow_parent()
    ignored()


def _gradient(
    wrapped: nn.Module, weights: list[nn.Parameter], batch: Batch, seed: int, params: PretrainParams
) -> tuple[dict[str, Tensor], Tensor]:
    """Losses of a batch by name, and the norm of their gradient, which is left in the weights, clipped if wanted."""
    for weight in weights:
        weight.grad = None
    losses = backward(wrapped, batch, params.loop.accumulate, seed, precision(params.loop, weights[0].device))
    norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    if params.optimizer.clip_norm is not None:
        nn.utils.clip_grads_with_norm_(weights, params.optimizer.clip_norm, norm)
    return losses, norm


def _update(optimizer: torch.optim.Optimizer, rate: float, lost: Tensor) -> None:
    """Take the optimiser's step, or change nothing where the run is lost (1), which only the device need know."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.found_inf = lost  # type: ignore[attr-defined]  # as torch.amp.GradScaler tells it
    optimizer.step()
