"""What a model in training reads: vectors of reports and queries, stored or of a text encoder that learns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

    def of_reports(self, rows: Tensor, device: torch.device) -> Tensor:
        """Vectors (B, width) of a batch's reports."""
        if self.live is not None:
            return self.live([self.report_texts[int(row)] for row in rows])
        return torch.from_numpy(np.asarray(self.reports[rows.numpy()])).to(device)

    def of_queries(self, drawn: Tensor | None, device: torch.device) -> Tensor:
        """Vectors (Q, width) of the queries: by the names drawn for a batch (Q,), or by their own."""
        if self.names is None or drawn is None:
            texts, vectors = self.query_texts, self.queries
        else:
            texts = [self.names.texts[int(row)] for row in drawn] if self.live is not None else ()
            vectors = self.names.vectors[drawn.numpy()]
        if self.live is not None:
            return self.live(texts)
        return torch.from_numpy(np.array(vectors)).to(device)

    def canonical(self) -> NDArray[np.float32]:
        """Vectors (Q, width) of the queries' own names, as the text encoder is now."""
        return self.queries if self.live is None else self.live.embed(self.query_texts)
