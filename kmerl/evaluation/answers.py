"""Records whose classes are asked by name, with any leads, what a model answers about them, and the scores of that."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm import tqdm

from kmerl.errors import UserError
from kmerl.evaluation.bootstrap import Weights
from kmerl.evaluation.params import EvaluationParams, Scope
from kmerl.evaluation.schemas import MACRO_RENAMED, MACRO_SEEN
from kmerl.evaluation.scoring import Answered, Item, Scores, joined, resamples_of, score
from kmerl.evaluation.ways import Questions, ask_store
from kmerl.leads import LEADS
from kmerl.waveforms import NormalizeParams, WaveformStore

Vectors = Mapping[str, Mapping[str, NDArray[np.float32]]]
"""Task -> class code -> vector of the class's name."""


class Condition(NamedTuple):
    """Under what records were shown, and how they were asked about."""

    leads: str  # name of the lead set
    scope: Scope  # leads that normalisation saw
    way: str
    names: str  # column of the table of classes


@dataclass(frozen=True)
class Records:
    """Evaluated records of one archive, and the truth about them.

    Attributes:
        store: where they are.
        rows: (n,) rows of the store.
        positive: task -> (n, C) whether a record has each of the task's classes, in the order of ``codes``.
        member: task -> (n,) whether a record belongs to the task; usually because it has a label there.
        codes: task -> C class codes.
    """

    store: WaveformStore
    rows: list[int]
    positive: Mapping[str, NDArray[np.bool_]]
    member: Mapping[str, NDArray[np.bool_]]
    codes: Mapping[str, list[str]]

    @property
    def archive(self) -> str:
        """The archive's name."""
        return self.store.archive

    @property
    def table(self) -> pl.DataFrame:
        """record_id and patient_id (null where the archive names no patients)."""
        return self.store.records[self.rows].select("record_id", "patient_id")

    def take(self, chosen: Sequence[int]) -> "Records":
        """Those at the places ``chosen``."""
        places = list(chosen)
        positive, member = ({task: of[places] for task, of in each.items()} for each in (self.positive, self.member))
        return replace(self, rows=[self.rows[i] for i in places], positive=positive, member=member)


@dataclass(frozen=True)
class Answers:
    """What a run answered about the records of one archive.

    Attributes:
        records: which.
        probability: condition -> task -> (n, C); NaN in the rows of records that have none of the leads.
    """

    records: Records
    probability: Mapping[Condition, Mapping[str, NDArray[np.float32]]]

    def counted(self, condition: Condition, task: str) -> NDArray[np.bool_]:
        """(n,) whether a record counts: it belongs to the task, and has an answer."""
        unanswered = np.isnan(self.probability[condition][task]).any(axis=1)
        return np.asarray(self.records.member[task] & ~unanswered)

    @property
    def without_leads(self) -> int:
        """The number of records that have none of the leads of some lead set."""
        missing = [np.isnan(next(iter(one.values()))).any(axis=1) for one in self.probability.values()]
        return int(np.any(missing, axis=0).sum())


def find_records(
    store: WaveformStore, targets: pl.DataFrame, codes: Mapping[str, Sequence[str]], splits: Sequence[str]
) -> Records:
    """The records of ``splits`` that belong to at least one task.

    Args:
        store: of one archive.
        targets: record_id, task, code of every positive label; without a code for a record that has none in a task.
        codes: task -> codes of its classes.
        splits: some of train, valid, test.

    Raises:
        UserError: there is no such record, or a label is none of the classes.
    """
    labels = targets.filter(pl.col("task").is_in(list(codes))).unique(["record_id", "task", "code"])
    labelled = store.records["record_id"].is_in(labels["record_id"].unique().to_list())
    rows = np.flatnonzero((labelled & store.records["split"].is_in(list(splits))).to_numpy()).tolist()
    if not rows:
        raise UserError(
            f"evaluation.splits {', '.join(splits)}: {store.archive} has no record there with a label; "
            "name other splits, or leave the archive out of evaluation.archives"
        )
    place = {record: i for i, record in enumerate(store.records["record_id"][rows])}
    positive, member = {}, {}
    for task, classes in codes.items():
        column = {code: c for c, code in enumerate(classes)}
        found, belongs = np.zeros((len(rows), len(column)), bool), np.zeros(len(rows), bool)
        for record, code in labels.filter(task=task).select("record_id", "code").iter_rows():
            if record in place:
                belongs[place[record]] = True
            if code is None:
                continue
            if code not in column:
                raise UserError(f"label {code!r} of {store.archive} is no class of task {task}; run catalogue again")
            if record in place:
                found[place[record], column[code]] = True
        positive[task], member[task] = found, belongs
    return Records(store, rows, positive, member, {task: list(classes) for task, classes in codes.items()})


def predict(
    questions: Questions,
    asked: Sequence[tuple[str, str]],
    records: Records,
    lead_sets: Mapping[str, Sequence[str]],
    normalize: NormalizeParams,
    scopes: Sequence[Scope],
    batch: int,
) -> Answers:
    """Put questions about all records under every lead set and scope.

    A record is encoded once for each different view of it: the same leads under another name, or a scope that makes
    no difference, cost nothing.

    Args:
        questions: one list for each of ``asked``.
        asked: column of the table of classes and task, of every list; its queries are in the order of the classes.
        records: of one archive.
        lead_sets: name -> leads.
        normalize: the rule of the model's run.
        scopes: leads that it sees, instead of the run's own scope.
        batch: records encoded at a time.

    Raises:
        UserError: the model's answers are not finite.
    """
    known: dict[tuple[frozenset[str], Scope], dict[str, list[NDArray[np.float32]]]] = {}
    probability: dict[Condition, dict[str, NDArray[np.float32]]] = {}
    views = [(name, leads, scope) for scope in scopes for name, leads in lead_sets.items()]
    for name, leads, scope in tqdm(views, desc=records.archive, unit="lead set", disable=None):
        differs = normalize.depends_on_scope and len(leads) < len(LEADS)
        view = (frozenset(leads), scope if differs else scopes[0])
        if view not in known:
            seen = normalize.model_copy(update={"scope": view[1]})
            known[view] = ask_store(questions, records.store, records.rows, leads, seen, batch)  # type: ignore[assignment]
        for way, lists in known[view].items():
            for (names, task), answer in zip(asked, lists, strict=True):
                probability.setdefault(Condition(name, scope, way, names), {})[task] = answer
    return Answers(records, probability)


def score_answers(
    answers: Sequence[Answers],
    item: Item,
    name: str,
    evaluation: EvaluationParams,
    seed: int,
    seen: pl.DataFrame | None = None,
    by_class: bool = True,
) -> Scores:
    """The scores of what a run answered, condition by condition; see :func:`kmerl.evaluation.scoring.score`.

    Args:
        answers: of one run and seed, one per archive, all under the same conditions.
        item: these.
        name: of the evaluation.
        evaluation: resamples, confidence, fewest positives.
        seed: of the resamples.
        seen: task, code and whether it is ``seen``; None leaves out the averages over seen and renamed classes.
        by_class: whether the classes get rows of their own.
    """
    weights = [resamples_of(one.records.table, evaluation, seed, one.records.archive) for one in answers]
    parts = [
        score(_answered(condition, answers, weights, seen), item, name, evaluation, by_class)
        for condition in answers[0].probability
    ]
    return joined(parts)


def _answered(
    condition: Condition, answers: Sequence[Answers], weights: Sequence[Weights], seen: pl.DataFrame | None
) -> Iterator[Answered]:
    for one, drawn in zip(answers, weights, strict=True):
        for task, codes in one.records.codes.items():
            counted = one.counted(condition, task)
            yield Answered(
                condition=condition._asdict(),
                archive=one.records.archive,
                task=task,
                codes=codes,
                rows=np.asarray(one.records.rows)[counted],
                answers=one.probability[condition][task][None, counted],
                labels=one.records.positive[task][counted],
                weights=drawn[:, counted],
                groups={} if seen is None else _groups(seen, task, codes),
            )


def _groups(seen: pl.DataFrame, task: str, codes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """The classes that are seen, and the others."""
    known = dict(seen.filter(task=task).select("code", "seen").iter_rows())
    which = np.array([known[code] for code in codes], bool)
    return {MACRO_SEEN: which, MACRO_RENAMED: ~which}
