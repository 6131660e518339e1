"""What the stages share that ask a run for classes by name: the run, its texts' vectors, the evaluated records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kmerl.archives import classes
from kmerl.checkpoint import RunConfig, check_store, load_run
from kmerl.errors import UserError
from kmerl.evaluation.answers import Answers, Records, Vectors, find_records
from kmerl.evaluation.params import EvaluationParams, Names
from kmerl.evaluation.scoring import Item
from kmerl.evaluation.ways import Training
from kmerl.model.network import Network
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder
from stages._stores import open_store, read_targets

EMBEDDINGS = Path("data/embeddings")


@dataclass
class Subject:
    """A run that is asked."""

    name: str
    model: Network
    config: RunConfig
    text_weights: dict[str, Tensor]
    planned: Mapping[str, Any]

    @classmethod
    def load(cls, name: str, threads: int, planned: Mapping[str, Any]) -> "Subject":
        """The run called ``name``, on the GPU if there is one.

        Args:
            name: of an item of ``pretrain``.
            threads: of the processor.
            planned: its run and seed, and where the vectors of ``classes`` and of its ``vocabulary`` are, see
                :func:`kmerl.plan.plan`.
        """
        torch.set_num_threads(threads)
        model, config, text_weights = load_run(Path("data/runs") / name)
        return cls(name, model.to("cuda" if torch.cuda.is_available() else "cpu"), config, text_weights, planned)

    @property
    def item(self) -> Item:
        """Whose scores its answers get."""
        return Item(self.planned["run"], self.planned["seed"])

    @cached_property
    def _encoder(self) -> TextEncoder:
        encoder = TextEncoder(self.config.text)
        encoder.load_state_dict(self.text_weights)
        return encoder

    def vectors(self, of: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts of a list: the stored ones, or made by the run's own text encoder if it trained one.

        Raises:
            UserError: they are not stored, or another encoder made them.
        """
        if self.text_weights:
            return self._encoder.embed(texts)
        folder = EMBEDDINGS / self.planned[of]
        embeddings = Embeddings.load(folder)
        made_by, own = embeddings.params, self.config.text
        if (made_by.encoder, made_by.pooling) != (own.encoder, own.pooling):
            raise UserError(f"{folder}: made by another text encoder than run {self.name}'s; pretrain it")
        return embeddings[texts]

    def class_vectors(self, tasks: Sequence[str], names: Names) -> Vectors:
        """Task -> class code -> vector of its name in a column of the table of classes."""
        texts = {task: classes.class_names(task, names) for task in tasks}
        vectors = iter(self.vectors("classes", [text for of_task in texts.values() for text in of_task.values()]))
        return {task: {code: next(vectors) for code in of_task} for task, of_task in texts.items()}

    def training(self) -> Training:
        """The queries that the run was trained with."""
        return Training(self.config.vocabulary, self.vectors("vocabulary", self.config.vocabulary))

    def records(self, evaluation: EvaluationParams) -> list[Records]:
        """The records to ask about, archive by archive.

        Raises:
            UserError: an archive has no tasks, no records in these splits, or waveforms of another kind.
        """
        found = []
        for archive in evaluation.archives:
            tasks = classes.tasks(archive)
            if not tasks:
                raise UserError(f"evaluation.archives: {archive} has no classes to ask for; leave it out")
            store = open_store(archive)
            check_store(self.config, store)
            codes = {task: list(classes.class_names(task)) for task in tasks}
            found.append(find_records(store, read_targets(archive), codes, evaluation.splits))
        return found

    def metadata(self, records: Sequence[Records]) -> Mapping[str, Any]:
        """What scores of this run say about their origin."""
        return {
            "run": self.name,
            "method": self.config.method,
            "archives": {one.archive: one.store.origin for one in records},
            "trained_on": self.config.trained_on.model_dump(),
        }


def summary(answers: Sequence[Answers]) -> str:
    """How many records were asked about, and how many could not always be."""
    n, tasks = sum(len(one.records.rows) for one in answers), sum(len(one.records.codes) for one in answers)
    without = sum(one.without_leads for one in answers)
    left_out = f" ({without} left out of lead sets of which they have no lead)" if without else ""
    return f"{n} records{left_out}, {tasks} tasks"
