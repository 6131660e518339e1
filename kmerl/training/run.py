"""One pretraining run from its material to what is saved of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import torch
from torch import Tensor

from kmerl.checkpoint import RunConfig, TrainedOn, described
from kmerl.distributed import world
from kmerl.errors import UserError
from kmerl.knowledge.vocabulary import Vocabulary
from kmerl.methods.method import Method
from kmerl.model.network import Network
from kmerl.randomness import seed_of
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder
from kmerl.text.params import TextParams
from kmerl.training.batches import Examples
from kmerl.training.dataset import examples, sample
from kmerl.training.loop import fit, told
from kmerl.training.machine import settle
from kmerl.training.recipe import Recipe
from kmerl.training.text_vectors import Names, Texts
from kmerl.waveforms import WaveformStore


@dataclass(frozen=True)
class Material:
    """Everything runs learn from.

    Attributes:
        store: waveforms, of all splits.
        studies: record_id, report_id.
        report_texts: report_id, text.
        reports: vectors of the distinct reports.
        vocabulary: the queries.
        labels: record_id, positives.
        names: query -> all names that it may be asked by, its own first.
        name_vectors: vectors of the queries and of all these names.
    """

    store: WaveformStore
    studies: pl.DataFrame
    report_texts: pl.DataFrame
    reports: Embeddings
    vocabulary: Vocabulary
    labels: pl.DataFrame
    names: Mapping[str, Sequence[str]]
    name_vectors: Embeddings

    def examples(self, split: str) -> Examples:
        """The records of a split, with their reports and labels."""
        return examples(
            self.store.records, self.studies, self.report_texts, self.reports.texts, self.vocabulary, self.labels, split
        )

    def texts(self, method: Method[Any], text: TextParams) -> Texts:
        """What the run reads: with its own text encoder, if some of that learns.

        Raises:
            UserError: the text encoder cannot be loaded.
        """
        queries = self.vocabulary.queries
        drawn = Names.of(queries, self.names, self.name_vectors.__getitem__) if method.drawn_names else None
        live = TextEncoder(text, method.text_layers) if method.text_layers else None
        return Texts(self.reports.vectors, self.name_vectors[queries], self.reports.texts, queries, live, drawn)


@dataclass(frozen=True)
class Trained:
    """A run that has ended: arguments of :func:`kmerl.checkpoint.save_run`, and one line about it."""

    model: Network
    config: RunConfig
    history: pl.DataFrame
    text: dict[str, Tensor] | None
    summary: str


class Seeds(NamedTuple):
    """Of all runs, which validate on the same records; and of this one's training."""

    everyones: int
    own: int


def pretrain(
    name: str,
    run: Recipe,
    material: Material,
    text: TextParams,
    seeds: Seeds,
    scratch: Path,
    report: Callable[[str], None],
) -> Trained:
    """Train one run in this process (which may be one of several).

    Args:
        name: of the run; its random draws follow from it and from its seed.
        run: what it is made by.
        material: what it learns from.
        text: of the text encoder that embedded the texts.
        seeds: of the draws.
        scratch: folder for the checkpoint of a run that has not ended.
        report: is told in one line how far training is.

    Raises:
        UserError: too few records for one batch, the loss is no longer a number, or a process that reads ended.
    """
    params, method = run.params, run.method
    settle(params.loop)
    own_seed, shown = seed_of(seeds.own, "pretrain", name), params.loop.valid_records
    learn, valid = material.examples("train"), sample(material.examples("valid"), shown, seeds.everyones)
    size, batch = world()[1], params.loop.batch
    if len(learn) < batch * size:
        raise UserError(f"pretrain.loop.batch: {batch} x {size} processes but {len(learn)} records; lower it")
    store, vocabulary = material.store, material.vocabulary
    torch.manual_seed(own_seed)
    model = Network(params.model, method, material.reports.vectors.shape[1], store.samples)
    texts = material.texts(method, text)
    with _of_readers():
        history, steps = fit(model, texts, store, learn, valid, params, own_seed, scratch, report=report)
    config = RunConfig(
        **described(method), model=params.model, normalize=params.normalize, text=text, text_width=model.text_width,
        fs=store.fs, samples=store.samples, vocabulary=list(vocabulary.queries), vocabulary_hash=vocabulary.hash,
        seed=seeds.own, steps=steps,
        trained_on=TrainedOn(
            archive=store.archive, origin=store.origin, records=len(learn), reports=len(material.reports.texts)
        ),
    )  # fmt: skip
    live = None if texts.live is None else texts.live.state_dict()
    return Trained(model, config, history, live, summary(model, config, history))


@contextmanager
def _of_readers() -> Iterator[None]:
    """Tell in one line what is wrong in a process that reads waveforms (``loop.workers``).

    Raises:
        UserError: it found something that only the user can change, ended, or hangs.
    """
    try:
        yield
    except UserError as error:
        told = str(error.args[0])  # not its text, which is one line
        if "in DataLoader worker process" not in told:
            raise
        # torch makes the traceback there its message
        raise UserError(told.rstrip().splitlines()[-1].partition("UserError: ")[2]) from None
    except RuntimeError as error:
        if not str(error).startswith(("DataLoader worker", "DataLoader timed out")):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{reason[:200]}; lower pretrain.loop.workers if memory is short, and run again") from None


def summary(model: Network, config: RunConfig, history: pl.DataFrame) -> str:
    """One line: how long it was trained on what, how large it is, and how good."""
    weights = sum(weight.numel() for weight in model.parameters())
    size = f"{len(config.vocabulary)} queries, {weights / 1e6:.2f} M weights"
    if history.is_empty():
        return f"saved as initialised, without a step; {size}"
    # of several processes one logs: another that continued knows the steps before
    values = dict(history.filter(pl.col("step") == pl.col("step").last()).select("name", "value").iter_rows())
    return f"{config.steps} steps on {config.trained_on.records} records, {size}; {told(values)}"
