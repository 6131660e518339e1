"""MERL's other encoder: a ResNet18 over the 12 leads of a waveform."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from kmerl.leads import LEADS
from kmerl.model.encoder import Group


def untokenize(segments: Tensor) -> Tensor:
    """All tokens of a record, each over 12 leads, in their order (B, M, 12 p) -> the waveform (B, 12, M p)."""
    return segments.unflatten(-1, (len(LEADS), -1)).transpose(1, 2).flatten(2)


def positions(samples: int) -> int:
    """Positions of the last feature map of a waveform of so many samples: 313 of 5,000."""
    for _ in range(4):  # the stem, and all stages but the first, halve it
        samples = (samples + 1) // 2
    return samples


def _convolve(inward: int, outward: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the length (over ``stride``), and BatchNorm."""
    convolution = nn.Conv1d(inward, outward, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm1d(outward))


class BasicBlock(nn.Module):
    """Two convolutions of three samples around which the input is led."""

    def __init__(self, inward: int, outward: int, stride: int):
        super().__init__()
        self.first = _convolve(inward, outward, 3, stride)
        self.second = _convolve(outward, outward, 3)
        self.around = _convolve(inward, outward, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inward, n) -> (B, outward, n / stride)."""
        return F.relu(self.second(F.relu(self.first(x))) + self.around(x))


class ResNet18(nn.Module):
    """18 layers in four stages, the first ``width`` channels wide, each of the others twice as wide and half as long.

    Like MERL's it has no pooling behind its first layer. MERL's linear probe reads what it makes averaged over time,
    as all features are here; for its contrast MERL pools by attention instead (``encoder.pooling``).

    Args:
        width: channels of the first stage (MERL: 64).
    """

    def __init__(self, width: int):
        super().__init__()
        self.stem = _convolve(len(LEADS), width, 7, stride=2)
        blocks: list[nn.Module] = []
        for stage in range(4):
            outward = width * 2**stage
            stride = 2 if stage else 1
            blocks += [BasicBlock(outward // stride, outward, stride), BasicBlock(outward, outward, 1)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, groups: Sequence[Group]) -> list[Tensor]:
        """Whole records as tokens over 12 leads (b, M, 12 p) -> their last feature map (b, M p / 16, 8 x width)."""
        return [self.blocks(F.relu(self.stem(untokenize(group[0])))).transpose(1, 2) for group in groups]
