"""The gradient of a batch that is computed part by part, contrast included, and that of each term of its loss.

A loss that compares records is no mean over parts: fewer negatives make another loss. So the vectors of all parts are
made first, without a graph; the loss of all of them gives the gradient at each vector; and each part, made again from
the same random state, takes it from there to the weights (GradCache: Gao et al., Scaling Deep Contrastive Learning
Batch Size under Memory Limited Setup, RepL4NLP 2021). Terms in which each record stands by itself are computed once, in
the second pass. The price is another forward pass of the encoder; memory is that of one part.

The gradient is that of the whole batch, with two exceptions. BatchNorm normalises each part by its own mean and
deviation, which scatter more the fewer records a part has; its running ones take as many steps as there are parts.
Dropout draws for each part anew: masks as likely as those of the whole batch, but not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kmerl.distributed import world
from kmerl.methods.method import Term, weighted
from kmerl.training.batches import Batch, View

if TYPE_CHECKING:
    from kmerl.training.loop import Learner

Precision = Callable[[], AbstractContextManager[Any]]
"""Makes what a forward pass runs under: autocast, or nothing."""


def backward(wrapped: nn.Module, batch: Batch, parts: int, seed: int, precision: Precision) -> dict[str, Tensor]:
    """Add the gradient of a batch's loss to that of the weights.

    Args:
        wrapped: a learner, or one that distributed training wraps.
        batch: of this process; its records are a multiple of ``parts``.
        parts: how many it is computed in.
        seed: of dropout.
        precision: of forward passes.

    Returns:
        The loss of this process' part of the batch, and its terms without their weights.
    """
    if parts == 1:
        torch.manual_seed(seed)
        with precision():
            losses: dict[str, Tensor] = wrapped(batch)
        losses["loss"].backward()
        return losses
    learner = _unwrapped(wrapped)
    pieces = split(batch, parts)
    with _buffers_kept(learner):
        vectors, terms = _compared(learner, pieces, seed, precision)
    gradients = {name: gradient * parts for name, gradient in _at(vectors, terms).items()}
    found = {"loss": weighted(terms).detach()} | {name: term.value.detach() for name, term in terms.items()}
    for i, piece in enumerate(pieces):
        torch.manual_seed(seed + i)
        with _exchanging(wrapped, last=i == parts - 1):
            with precision():
                own = wrapped(piece, _part(gradients, i, parts))
            (own["loss"] / parts).backward()
        for name, value in own.items():
            found[name] = found.get(name, 0) + value.detach() / parts
    return found


def encoder_gradients(
    wrapped: nn.Module, batch: Batch, parts: int, seed: int, precision: Precision
) -> dict[str, float]:
    """How strongly each term of a batch's loss, with its weight, pulls at the encoder: norms of gradients.

    All processes call it at the same time; gradients are averaged over them before the norm is taken. It changes
    nothing of the learner; the arguments are those of :func:`backward`.

    Returns:
        ``gradient_NAME`` of each term.
    """
    learner = _unwrapped(wrapped)
    method, model, weights = learner.model.method, learner.model, [*learner.model.encoder.parameters()]
    pieces = split(batch, parts)

    def at_weights(value: Tensor) -> Tensor:
        found = torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
        return torch.cat([gradient.ravel() for gradient in found])

    with _buffers_kept(learner):
        vectors, terms = _compared(learner, pieces, seed, precision)
        at_vectors = {name: _at(vectors, {name: term}) for name, term in terms.items()}
        pulls: dict[str, Tensor] = {}
        for i, piece in enumerate(pieces):
            torch.manual_seed(seed + i)
            with precision():
                encoded = method.encode(model, piece, learner.texts)
                own = method.within(model, encoded.features, piece, learner.texts)
            values = {name: passed_on(encoded.vectors, _part(at, i, parts)) for name, at in at_vectors.items()}
            values |= {name: weighted({name: term}) / parts for name, term in own.items()}
            for name, value in values.items():
                pulls[name] = at_weights(value) + pulls.get(name, 0)
    if world()[1] > 1:
        for pull in pulls.values():
            dist.all_reduce(pull)
    return {f"gradient_{name}": float(pull.norm()) / world()[1] for name, pull in pulls.items()}


def split(batch: Batch, parts: int) -> list[Batch]:
    """Every n-th record of a batch, so that records of all sizes are in each part."""
    return [_records(batch, torch.arange(i, len(batch.reports), parts)) for i in range(parts)] if parts > 1 else [batch]


def _records(batch: Batch, records: Tensor) -> Batch:
    views = [_shown(view, records) for view in batch.views]
    return replace(batch, views=views, reports=batch.reports[records], labels=batch.labels[records])


def _shown(view: View, records: Tensor) -> View:
    """What a view shows of some records (b,)."""
    places, order = (records if view.rows is None else view.rows[records]).sort()
    groups, first = [], 0
    for segments, leads, times in view.groups:
        rows = places[(places >= first) & (places < first + len(segments))] - first
        first += len(segments)
        if len(rows):
            groups.append((segments[rows], leads[rows], times[rows]))
    return View(groups, None if view.rows is None else order.argsort())


def _compared(
    learner: Learner, pieces: Sequence[Batch], seed: int, precision: Precision
) -> tuple[dict[str, Tensor], dict[str, Term]]:
    """The vectors of all parts, one part behind another, without what made them; and the terms that compare them."""
    made = []
    for i, piece in enumerate(pieces):
        torch.manual_seed(seed + i)
        with torch.no_grad(), precision():
            made.append(learner.model.method.encode(learner.model, piece, learner.texts).vectors)
    vectors = {name: torch.cat([part[name] for part in made]).requires_grad_() for name in made[0]}
    reports = torch.cat([piece.reports for piece in pieces]).to(learner.model.device)
    return vectors, learner.model.method.across(vectors, reports)


def _at(vectors: Mapping[str, Tensor], terms: Mapping[str, Term]) -> dict[str, Tensor]:
    """The gradient of terms at each vector."""
    found = torch.autograd.grad(weighted(terms), [*vectors.values()], retain_graph=True, materialize_grads=True)
    return dict(zip(vectors, found, strict=True))


def _part(gradients: Mapping[str, Tensor], i: int, parts: int) -> dict[str, Tensor]:
    return {name: gradient.chunk(parts)[i] for name, gradient in gradients.items()}


def passed_on(vectors: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> Tensor:
    """0, whose gradient at the vectors is the one given."""
    products = torch.stack([(vectors[name] * gradient).sum() for name, gradient in gradients.items()]).sum()
    return products - products.detach()


def _unwrapped(wrapped: nn.Module) -> Learner:
    return cast("Learner", wrapped.module if isinstance(wrapped, DistributedDataParallel) else wrapped)


def _exchanging(wrapped: nn.Module, last: bool) -> AbstractContextManager[Any]:
    """Let processes exchange gradients after the last part only."""
    return nullcontext() if last or not isinstance(wrapped, DistributedDataParallel) else wrapped.no_sync()


@contextmanager
def _buffers_kept(module: nn.Module) -> Iterator[None]:
    """Forget in the end what is computed within: BatchNorm's running means and deviations."""
    before = [buffer.clone() for buffer in module.buffers()]
    yield
    with torch.no_grad():
        for buffer, kept in zip(module.buffers(), before, strict=True):
            buffer.copy_(kept)
