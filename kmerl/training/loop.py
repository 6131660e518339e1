"""The pretraining loop: one function of the step, so that a killed run continues as if nothing had happened.

On one GPU or CPU it runs as it is; on several, ``pretrain.loop.processes`` or torchrun start it.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import polars as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from kmerl.artifacts import whole
from kmerl.children import follow_parent
from kmerl.distributed import device_of_this_process, world
from kmerl.errors import UserError
from kmerl.model.network import Network
from kmerl.randomness import seed_of
from kmerl.training.batches import Batch, Batches, Examples, ReadBatch
from kmerl.training.held import Held, validated
from kmerl.training.params import LoopParams, OptimizerParams, PretrainParams
from kmerl.training.processes import HUNG_SECONDS
from kmerl.training.rank import COMPUTES, ENDS, READS, VALIDATES, WRITES, at
from kmerl.training.text_vectors import Texts
from kmerl.waveforms import WaveformStore


class Learner(nn.Module):
    """The model with its method's losses: what is trained, and what distributed training wraps."""

    def __init__(self, model: Network, texts: Texts):
        super().__init__()
        self.model, self.text_encoder = model, texts.live
        self.texts = texts

    def forward(self, batch: ReadBatch | Batch) -> dict[str, Tensor]:
        """The loss of this process's part of the batch, and its terms by name, without their weights."""
        terms = self.model.method.losses(self.model, batch.to(self.model.device), self.texts)
        weighted = [term.weight * term.value for term in terms.values()]
        total = sum(weighted[1:], weighted[0])
        return {"loss": total} | {name: term.value.detach() for name, term in terms.items()}


def learning_rate(step: int, steps: int, params: OptimizerParams) -> float:
    """Linear warm-up, then constant or a cosine to zero."""
    if step < params.warmup_steps:
        return params.learning_rate * (step + 1) / params.warmup_steps
    if params.schedule == "constant":
        return params.learning_rate
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
        UserError: the loss is no longer a number.
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
    wrapped: nn.Module = learner
    if size > 1:
        if device.type == "cuda":
            wrapped = nn.SyncBatchNorm.convert_sync_batchnorm(wrapped)
        wrapped = DistributedDataParallel(wrapped)
    weights = [weight for weight in learner.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(
        weights, betas=params.optimizer.betas, weight_decay=params.optimizer.weight_decay, fused=True
    )
    first, history = _resume(scratch, learner, optimizer, device)
    if first and rank == 0:
        report(f"continues after step {first} of {steps}")
    ahead = DataLoader(
        batches, batch_size=None, sampler=range(first, steps), num_workers=loop.workers, worker_init_fn=follow_parent,
        timeout=HUNG_SECONDS if loop.workers else 0, pin_memory=device.type == "cuda",
    )  # fmt: skip
    at(first + 1, READS)
    progress = tqdm(ahead, "pretrain", steps, initial=first, unit="step", disable=None if rank == 0 else True)
    for step, batch in enumerate(progress, first):
        if step == stop_after:
            break
        done = step + 1
        at(done, COMPUTES)
        rate = learning_rate(step, steps, params.optimizer)
        row = _step(wrapped, optimizer, weights, batch, rate, seed_of(seed, "dropout", step, rank), params)
        if not math.isfinite(row["loss"]):
            raise UserError(f"the loss is {row['loss']} at step {done}; lower pretrain.optimizer.learning_rate")
        if rank == 0:
            progress.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if done % loop.validate_every == 0 or done == steps:
                at(done, VALIDATES)
                row |= validated(model, held)
                report(f"step {done} of {steps}, {told(row)}")
            history += [(done, name, value) for name, value in ({"learning_rate": rate} | row).items()]
            if done % loop.checkpoint_every == 0 and done < steps:
                at(done, WRITES)
                _save(scratch, learner, optimizer, done, history)
        at(done + 1, READS)
    at(steps, ENDS)
    columns = {"step": pl.Int32, "name": pl.String, "value": pl.Float64}
    return pl.DataFrame(history, schema=columns, orient="row"), steps


def told(values: Mapping[str, float]) -> str:
    """The loss and what a model was validated by, in words."""
    validated = [f"{name.removeprefix('valid_')} {value:.3f}" for name, value in values.items() if name[:6] == "valid_"]
    return ", ".join([f"loss {values['loss']:.3f}", *(f"validation {one}" for one in validated)])


def _step(
    wrapped: nn.Module,
    optimizer: torch.optim.Optimizer,
    weights: list[nn.Parameter],
    batch: ReadBatch,
    rate: float,
    seed: int,
    params: PretrainParams,
) -> dict[str, float]:
    """One optimiser step; returns the loss and its terms, averaged over processes."""
    torch.manual_seed(seed)
    for group in optimizer.param_groups:
        group["lr"] = rate
    device = weights[0].device
    half = params.loop.precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
        losses = wrapped(batch)
    optimizer.zero_grad(set_to_none=True)
    losses["loss"].backward()
    if params.optimizer.clip_norm is not None:
        nn.utils.clip_grad_norm_(weights, params.optimizer.clip_norm)
    optimizer.step()
    values = torch.stack([loss.detach() for loss in losses.values()])
    if world()[1] > 1:
        dist.all_reduce(values, dist.ReduceOp.SUM)
        values /= world()[1]
    return dict(zip(losses, values.tolist(), strict=True))


def _save(scratch: Path, learner: Learner, optimizer: torch.optim.Optimizer, step: int, history: list[Any]) -> None:
    state = {"step": step, "history": history, "learner": learner.state_dict(), "optimizer": optimizer.state_dict()}
    # torch tells of a full disk only if it writes to a file of Python's
    with whole(scratch / "checkpoint.pt") as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def _resume(
    scratch: Path, learner: Learner, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[int, list[tuple[int, str, float]]]:
    """The step to begin with and the history up to it, from the last checkpoint if there is one.

    Raises:
        UserError: the checkpoint is damaged.
    """
    path = scratch / "checkpoint.pt"
    if not path.exists():
        return 0, []
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        learner.load_state_dict(state["learner"])
        optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, EOFError, KeyError, ValueError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: not readable ({reason}); delete it, and the run begins anew") from None
    return state["step"], [tuple(row) for row in state["history"]]
