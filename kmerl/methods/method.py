"""What makes a method of pretraining: what the trainer, evaluation and use of a model ask of it, and nothing else does.

A method shows views of records, adds its parts to the encoder, sums its losses, and says how a model of it can be asked
for a class by name, if at all. It is one file (see :mod:`kmerl.methods`), whose ``METHOD`` is a subclass of
:class:`Method`. Its options are a section of ``params.yaml`` (``methods.NAME``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kmerl.section import Section

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kmerl.evaluation.params import Way
    from kmerl.model.network import Network
    from kmerl.model.params import EncoderParams, ModelParams, TokenParams
    from kmerl.model.tokens import Shown
    from kmerl.training.batches import Batch
    from kmerl.training.held import Held
    from kmerl.training.text_vectors import Texts

Options = TypeVar("Options", bound=Section)


class Term(NamedTuple):
    """One part of the loss."""

    weight: float
    value: Tensor


class Encoded(NamedTuple):
    """What a method makes of the records of a batch, as far as no record looks at another.

    Attributes:
        vectors: name -> (B, P) of each record, which the loss compares across records and processes.
        features: z_e of groups (b, n, D), for the terms in which each record stands by itself.
    """

    vectors: dict[str, Tensor]
    features: list[Tensor]


def weighted(terms: Mapping[str, Term]) -> Tensor:
    """The sum of terms with their weights."""
    first, *others = (term.weight * term.value for term in terms.values())
    return sum(others, first)


@dataclass(frozen=True)
class Records:
    """The B records of a batch as a step of training finds them.

    Attributes:
        leads: (B, 12) those that each has.
        segments: (B, M) those of a lead that can be tokens.
        tokens: how waveforms are cut.
        streams: name -> (B,) streams of numbers that each record draws in this epoch, whatever batch it stands in
            (:func:`kmerl.randomness.uniform`).
        streams_of_step: name -> (1,) a stream that all records of a step share, in every process.
    """

    leads: NDArray[np.bool_]
    segments: NDArray[np.bool_]
    tokens: TokenParams
    streams: Callable[[str], NDArray[np.uint64]]
    streams_of_step: Callable[[str], NDArray[np.uint64]]


class Method(ABC, Generic[Options]):
    """A method of pretraining with its options.

    Attributes:
        title: how it is called where results are shown.
        section: of the parameters, its options.
        curves: names of its losses and of what it validates by -> titles; a value ``x`` is measured in training as
            ``x``, on validation records as ``valid_x``.
        ways: how a model of it can be asked for a class by name (:mod:`kmerl.evaluation.ways`), its own way first; none
            without a text side that learnt.
        temperature: of the contrast with texts, by which cosines are divided.
        text_layers: last layers of the text encoder that learn with it.
        drawn_names: whether a step asks a query by any of its names.
        layers: how many layers its parts repeat; known before they are made.
    """

    title: ClassVar[str]
    section: ClassVar[type[Section]]
    curves: ClassVar[Mapping[str, str]]
    ways: tuple[Way, ...] = ()
    temperature: float = 1.0
    text_layers: int = 0
    drawn_names: bool = False
    layers: int = 0

    def __init__(self, options: Options):
        self.options = options

    def check(self, model: ModelParams) -> None:
        """See whether it goes with an encoder.

        Raises:
            ValueError: it does not; the message names the parameter and what to do.
        """

    @abstractmethod
    def show(self, records: Records) -> list[Shown]:
        """The views of a batch's records that a step sees; where they are drawn, of each record whatever the others."""

    @abstractmethod
    def parts(self, encoder: EncoderParams, positions: int, text_width: int) -> dict[str, nn.Module]:
        """The modules that learn beside an encoder, by name, in the order they are made.

        ``query``, ``project_ecg`` and ``project_text`` are those by which a model can be asked; ``positions`` are a
        ResNet18's features of a record.
        """

    @abstractmethod
    def encode(self, network: Network, batch: Batch, texts: Texts) -> Encoded:
        """A batch, or any part of it, as vectors to be compared; the same random state gives the same ones."""

    @abstractmethod
    def across(self, vectors: Mapping[str, Tensor], reports: Tensor) -> dict[str, Term]:
        """The terms in which records are compared, of this process' part of a batch.

        Args:
            vectors: (B, P) as :meth:`encode` makes them.
            reports: (B,) ids of their reports.

        Returns:
            Means over records; averaged over processes, the terms of the whole batch.
        """

    def within(self, network: Network, features: list[Tensor], batch: Batch, texts: Texts) -> dict[str, Term]:
        """The terms in which each record stands by itself: means over the records, so that those of parts average."""
        return {}

    def losses(self, network: Network, batch: Batch, texts: Texts) -> dict[str, Term]:
        """The terms of the loss of this process' part of a batch; averaged over processes, those of the whole."""
        encoded = self.encode(network, batch, texts)
        compared = self.across(encoded.vectors, batch.reports.to(network.device))
        return compared | self.within(network, encoded.features, batch, texts)

    @abstractmethod
    def validate(self, network: Network, held: Held) -> dict[str, float]:
        """How good a model in eval mode is on validation records, by name without ``valid_``.

        One process validates while the others wait: nothing may be exchanged here.
        """

    def unaskable(self) -> str | None:
        """Why a model of it cannot be asked for a class by name; None if it can."""
        if self.ways:
            return None
        return f"{self.title} learns nothing about texts, so it cannot be asked for classes by name"
