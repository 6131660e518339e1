"""BatchNorm over the records of all processes on any device; torch has it for GPUs only."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class _Sum(torch.autograd.Function):
    """The sum over all ranks; so is the gradient, as every rank's result depends on it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SynchronisedBatchNorm(nn.BatchNorm1d):
    """As BatchNorm1d of the whole batch: (B, C) or (B, C, n) of every rank, which may have unequally many rows."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the moments of all ranks in training, else by those that were learnt."""
        if not self.training:
            return super().forward(x)
        over = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = torch.full_like(x[:1].flatten()[:1], x.numel() / x.shape[1])
        *sums, n = _Sum.apply(torch.cat([x.sum(over), count])).split([x.shape[1], 1])
        mean = sums[0] / n
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(over)) / n
        if self.track_running_stats:
            self._learn(mean.detach(), variance.detach() * n / (n - 1))
        out = centred * (variance + self.eps).rsqrt().view(shape)
        return out if not self.affine else out * self.weight.view(shape) + self.bias.view(shape)

    @torch.no_grad()
    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


def synchronised(module: nn.Module) -> nn.Module:
    """The same module, each BatchNorm1d in it one of all ranks; weights, statistics and their names stay."""
    for part in module.modules():
        if type(part) is nn.BatchNorm1d:
            part.__class__ = SynchronisedBatchNorm  # which differs in nothing but how it computes
    return module
