"""What is said of a record beside its ECG: its labels, the model's answers, and what was mined from its report."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from kmerl.archives.classes import class_names
from kmerl.knowledge.vocabulary import Vocabulary
from kmerl.leads import from_bit_mask
from kmerl.plots.beginning import beginning
from kmerl.plots.examples import Answer, Example, choose
from kmerl.plots.params import FiguresParams
from kmerl.waveforms import WaveformStore

EVALUATED = (
    "A record of an evaluated archive with its report, where it has one, and the classes that the model finds most "
    "probable; those that the record is labelled with are marked. The model saw neither report nor labels."
)
PRETRAINING = (
    "A record of the pretraining archive with its report and the entities mined from it: what one training example "
    "consists of."
)


def shares(count: int, archives: Sequence[str]) -> dict[str, int]:
    """How many of ``count`` records come from each archive: equally many, the first ones one more if need be."""
    return {archive: count // len(archives) + (i < count % len(archives)) for i, archive in enumerate(archives)}


def evaluated(
    store: WaveformStore,
    predictions: pl.DataFrame,
    reports: Mapping[str, str],
    model: str,
    count: int,
    params: FiguresParams,
    seed: int,
) -> Iterator[Example]:
    """Records of one evaluated archive with the answers of a run.

    Args:
        store: where the records are.
        predictions: columns of ``kmerl.evaluation.schemas.PREDICTIONS``, of this archive, asked in one way by one kind
            of names.
        reports: record id -> report; records may be missing.
        model: which run answers and what it was pretrained on, in a few words.
        count: how many records.
        params: how many answers, and under which lead sets.
        seed: decides which records.
    """
    labels = true_names(predictions)
    for record in choose(labels, count, seed, store.archive):
        of_record = predictions.filter(pl.col("record_id") == record)
        texts = {"Report": reports.get(record, ""), "Labels": ", ".join(labels[record])}
        best = answers(of_record, params.compare, params.answers)
        yield _example(store, record, model, texts, answers=best)


def true_names(predictions: pl.DataFrame) -> dict[str, list[str]]:
    """Record id -> the names of its positive classes, each once, where there are any."""
    true = predictions.filter("positive").select("record_id", "task", "code").unique(maintain_order=True)
    names: dict[str, dict[str, None]] = {}
    for record, task, code in true.iter_rows():
        names.setdefault(record, {})[class_names(task)[code]] = None
    return {record: list(own) for record, own in names.items()}


def answers(predictions: pl.DataFrame, compare: Sequence[str], count: int) -> list[Answer]:
    """The classes of highest probability under the first lead set; a name asked by two tasks is shown once.

    Args:
        predictions: of one record.
        compare: lead sets; the probability under one that the record was not asked with is NaN.
        count: at most so many.
    """
    result = dict[str, Answer]()
    best = predictions.filter(pl.col("leads") == compare[0]).sort("probability", descending=True, maintain_order=True)
    for row in best.iter_rows(named=True):
        name = class_names(row["task"])[row["code"]]
        if name not in result and len(result) < count:
            of_class = predictions.filter(pl.col("task") == row["task"], pl.col("code") == row["code"])
            probability = dict(of_class.select("leads", "probability").iter_rows())
            values = {leads: probability.get(leads, float("nan")) for leads in compare}
            result[name] = Answer(name, values, row["positive"])
    return list(result.values())


def pretraining(
    store: WaveformStore,
    vocabulary: Vocabulary,
    labels: pl.DataFrame,
    trace: pl.DataFrame,
    studies: Mapping[str, str],
    reports: Mapping[str, str],
    params: FiguresParams,
    seed: int,
) -> Iterator[Example]:
    """Records of the pretraining archive with the entities mined from their reports.

    Args:
        store: where the records are.
        vocabulary: the queries.
        labels: columns of ``kmerl.knowledge.labels.LABELS``; records that the store lacks are passed over.
        trace: columns of ``kmerl.knowledge.labels.TRACE``.
        studies: record id -> report id.
        reports: report id -> text.
        params: how many records.
        seed: decides which.
    """
    stored = labels.filter(pl.col("record_id").is_in(store.records["record_id"].implode()))
    names = {
        record: [vocabulary.queries[i] for i in positives]
        for record, positives in stored.select("record_id", "positives").iter_rows()
        if positives
    }
    for record in choose(names, params.pretraining_examples, seed, store.archive):
        report = studies[record]
        entities, groups = mined(names[record], trace.filter(pl.col("report_id") == report))
        lists = {"Entities mined from the report": entities, "Superclasses set by them": groups}
        split = store.records["split"][_row(store, record)]
        yield _example(store, record, f"pretraining data, split {split}", {"Report": reports[report]}, lists=lists)


def mined(names: Sequence[str], trace: pl.DataFrame) -> tuple[list[str], list[str]]:
    """Positive queries apart: those that the report names itself, and those only set by one of their members.

    Args:
        names: the positive queries of one record.
        trace: of its report.
    """
    named = set(trace.filter(pl.col("query") == pl.col("via"))["query"])
    return [name for name in names if name in named], [name for name in names if name not in named]


def _row(store: WaveformStore, record: str) -> int:
    row = store.records["record_id"].index_of(record)
    assert row is not None
    return row


def _example(
    store: WaveformStore,
    record: str,
    about: str,
    texts: Mapping[str, str],
    answers: Sequence[Answer] = (),
    lists: Mapping[str, Sequence[str]] | None = None,
) -> Example:
    """The beginning of a record, with the leads in use only, and its quality flags after ``about``."""
    row = _row(store, record)
    leads = from_bit_mask(int(store.present[row]))
    heading, shown = beginning(store, row)
    flags = store.records["flags"][row].to_list()
    subheading = f"{about}; quality flags: {', '.join(flags)}" if flags else about
    return Example(heading, subheading, store.read(row, leads)[:, :shown], leads, store.fs, texts, answers, lists)
