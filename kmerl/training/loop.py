"""The pretraining loop: one function of the step, so that a killed run continues as if nothing had happened.

On one GPU or CPU it runs as it is; on several, start it with torchrun (``pretrain.loop.processes`` does).
"""

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from kmerl.artifacts import whole
from kmerl.errors import UserError
from kmerl.evaluation.metrics import auc, macro
from kmerl.inference import ask_records
from kmerl.leads import LEADS
from kmerl.model.kmerl import KMERL
from kmerl.model.losses import contrastive_loss, query_loss, world
from kmerl.randomness import seed_of
from kmerl.text.encoder import TextEncoder
from kmerl.training.batches import Batch, Batches, Examples
from kmerl.training.history import HISTORY
from kmerl.training.params import LoopParams, OptimizerParams, PretrainParams
from kmerl.waveforms import WaveformStore


@dataclass
class Texts:
    """Vectors of the reports and of the vocabulary: stored ones, or live ones from a text encoder that learns.

    Attributes:
        reports: (R, width) vector of every distinct report.
        queries: (Q, width) vector of every query.
        report_texts, query_texts: the texts themselves, needed by a live encoder only.
        live: the text encoder whose last layers learn, if any.
    """

    reports: NDArray[np.float32]
    queries: NDArray[np.float32]
    report_texts: Sequence[str] = ()
    query_texts: Sequence[str] = ()
    live: TextEncoder | None = None

    def vectors(self, reports: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Report vectors (B, width) of a batch and query vectors (Q, width)."""
        if self.live is not None:
            return self.live([self.report_texts[int(i)] for i in reports]), self.live(self.query_texts)
        batch = torch.from_numpy(np.asarray(self.reports[reports.numpy()]))
        return batch.to(device), torch.from_numpy(np.array(self.queries)).to(device)


class Learner(nn.Module):
    """The model with its losses: what is trained, and what distributed training wraps."""

    def __init__(self, model: KMERL, texts: Texts, params: PretrainParams):
        super().__init__()
        self.model, self.text_encoder = model, texts.live
        self.texts, self.params = texts, params

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Total, contrastive and query loss of this process's part of the batch."""
        device = next(self.model.parameters()).device
        loss = self.params.loss
        reports, queries = self.texts.vectors(batch.reports, device)
        groups = [(s.to(device), le.to(device), t.to(device)) for s, le, t in batch.groups]
        ecg, text, logits = self.model(groups, reports, queries)
        contrast = contrastive_loss(ecg, text, batch.reports.to(device), loss)
        query = query_loss(logits, batch.labels.to(device))
        return loss.contrastive_weight * contrast + loss.query_weight * query, contrast.detach(), query.detach()


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


def device_of_this_process() -> torch.device:
    """This process's GPU, or the CPU."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )


def validate(
    model: KMERL, store: WaveformStore, examples: Examples, texts: Texts, params: PretrainParams
) -> tuple[float, float]:
    """Query loss and macro AUC over the vocabulary, from all 12 leads; NaN without validation records."""
    if not len(examples):
        return float("nan"), float("nan")
    queries = texts.queries
    if texts.live is not None:
        queries = texts.live.embed(texts.query_texts)
    model.eval()
    (answers,) = ask_records(
        model, store, examples.rows.tolist(), LEADS, params.normalize, [queries], params.loop.valid_batch
    )
    model.train()
    answered = ~np.isnan(answers).any(1)
    probability, labels = answers[answered].astype(np.float64), examples.labels[answered] > 0
    likelihood = np.where(labels, probability, 1 - probability)
    per_class = auc(probability, labels)
    return float(-np.log(likelihood.clip(1e-12)).mean()), float(macro(per_class, np.ones(len(per_class), bool)))


def fit(
    model: KMERL,
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
        seed: of order, masks and dropout.
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
    batches = Batches(store, train, params.model.tokens, params.masking, params.normalize, loop.batch, seed, rank, size)
    steps = total_steps(loop, batches.steps_per_epoch)
    learner = Learner(model, texts, params).to(device)
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
    ahead = DataLoader(batches, batch_size=None, sampler=range(first, steps), num_workers=loop.workers)
    progress = tqdm(ahead, "pretrain", steps, initial=first, unit="step", disable=None if rank == 0 else True)
    for step, batch in enumerate(progress, first):
        if step == stop_after:
            break
        rate = learning_rate(step, steps, params.optimizer)
        losses = _step(wrapped, optimizer, weights, batch, rate, seed_of(seed, "dropout", step, rank), params)
        row = dict(zip(("loss", "contrastive", "query"), losses, strict=True))
        done = step + 1
        if not math.isfinite(row["loss"]):
            raise UserError(f"the loss is {row['loss']} at step {done}; lower pretrain.optimizer.learning_rate")
        if rank == 0:
            progress.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if done % loop.validate_every == 0 or done == steps:
                row["valid_query"], row["valid_auc"] = validate(model, store, valid, texts, params)
                report(f"step {done} of {steps}, loss {row['loss']:.3f}, validation AUC {row['valid_auc']:.3f}")
            history.append({"step": done, "learning_rate": rate} | row)
            if done % loop.checkpoint_every == 0 and done < steps:
                _save(scratch, learner, optimizer, done, history)
    frame = pl.DataFrame(history, schema={f.name: pl.Int32 if f.name == "step" else pl.Float64 for f in HISTORY})
    return frame, steps


def _step(
    wrapped: nn.Module,
    optimizer: torch.optim.Optimizer,
    weights: list[nn.Parameter],
    batch: Batch,
    rate: float,
    seed: int,
    params: PretrainParams,
) -> list[float]:
    """One optimiser step; returns the total, contrastive and query loss."""
    torch.manual_seed(seed)
    for group in optimizer.param_groups:
        group["lr"] = rate
    device = weights[0].device
    half = params.loop.precision == "bfloat16"
    with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
        losses = wrapped(batch)
    optimizer.zero_grad(set_to_none=True)
    losses[0].backward()
    if params.optimizer.clip_norm is not None:
        nn.utils.clip_grad_norm_(weights, params.optimizer.clip_norm)
    optimizer.step()
    values = torch.stack([loss.detach() for loss in losses])
    if world()[1] > 1:
        dist.all_reduce(values, dist.ReduceOp.SUM)
        values /= world()[1]
    return [float(value) for value in values]


def _save(scratch: Path, learner: Learner, optimizer: torch.optim.Optimizer, step: int, history: list[Any]) -> None:
    state = {"step": step, "history": history, "learner": learner.state_dict(), "optimizer": optimizer.state_dict()}
    with whole(scratch / "checkpoint.pt") as temporary:
        torch.save(state, temporary)


def _resume(
    scratch: Path, learner: Learner, optimizer: torch.optim.Optimizer, device: torch.device
) -> tuple[int, list[dict[str, Any]]]:
    """The step to begin with and the history up to it, from the last checkpoint if there is one."""
    path = scratch / "checkpoint.pt"
    if not path.exists():
        return 0, []
    state = torch.load(path, map_location=device, weights_only=True)
    learner.load_state_dict(state["learner"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["history"]


def distributed(run: Callable[[], Any]) -> Any:
    """Call ``run`` inside a process group if torchrun started this process, else just call it."""
    if "RANK" not in os.environ:
        return run()
    device = device_of_this_process()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        return run()
    finally:
        dist.destroy_process_group()
