"""What a model in training reads: vectors of reports and queries, stored or of a text encoder that learns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.text.encoder import TextEncoder


@dataclass(frozen=True)
class Names:
    """All names that a query may be asked by, its own first; those of all queries stand in one list.

    Attributes:
        texts: (N,) the names.
        vectors: (N, width) of the names.
        first: (Q,) where each query's names begin.
        counts: (Q,) how many names it has.
    """

    texts: Sequence[str]
    vectors: NDArray[np.float32]
    first: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        queries: Sequence[str],
        names: Mapping[str, Sequence[str]],
        embed: Callable[[Sequence[str]], NDArray[np.float32]],
    ) -> "Names":
        """Names of ``queries`` from those of each, and what gives the vectors (n, width) of n texts."""
        texts = [name for query in queries for name in names[query]]
        counts = np.array([len(names[query]) for query in queries], dtype=np.int64)
        return cls(texts, embed(texts), counts.cumsum() - counts, counts)

    def draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """(Q,) positions in the list: one name of each query, each as likely."""
        return self.first + rng.integers(0, self.counts)


@dataclass
class Texts:
    """Vectors of the reports and of the vocabulary.

    Attributes:
        reports: (R, width) vector of every distinct report.
        queries: (Q, width) vector of every query's own name.
        report_texts, query_texts: the texts themselves, needed by a live encoder only.
        live: the text encoder whose last layers learn, if any.
        names: what queries are drawn from in training, if not their own names alone.
    """

    reports: NDArray[np.float32]
    queries: NDArray[np.float32]
    report_texts: Sequence[str] = ()
    query_texts: Sequence[str] = ()
    live: TextEncoder | None = None
    names: Names | None = None
    _moved: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def of_reports(self, rows: Tensor, device: torch.device) -> Tensor:
        """Vectors (B, width) of a batch's reports."""
        if self.live is not None:
            return self.live([self.report_texts[row] for row in rows.tolist()])
        return self._on("reports", self.reports, rows, device)

    def of_queries(self, drawn: Tensor | None, device: torch.device) -> Tensor:
        """Vectors (Q, width) of the queries: by the names drawn for a batch (Q,), or by their own."""
        if self.names is None or drawn is None:
            return self._on("queries", self.queries, None, device) if self.live is None else self.live(self.query_texts)
        if self.live is not None:
            return self.live([self.names.texts[row] for row in drawn.tolist()])
        return self._on("names", self.names.vectors, drawn, device)

    def _on(self, name: str, vectors: NDArray[np.float32], rows: Tensor | None, device: torch.device) -> Tensor:
        """Rows of vectors, or all, on a device, where they are put once; on the CPU they stay in their memory map."""
        if device.type == "cpu":
            return torch.from_numpy(np.array(vectors if rows is None else vectors[rows.numpy()]))
        if name not in self._moved:
            self._moved[name] = torch.from_numpy(np.array(vectors)).to(device)
        moved = self._moved[name]
        return moved if rows is None else moved[rows.to(device, non_blocking=True)]

    def canonical(self) -> NDArray[np.float32]:
        """Vectors (Q, width) of the queries' own names, as the text encoder is now."""
        return self.queries if self.live is None else self.live.embed(self.query_texts)
