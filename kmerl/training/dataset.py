"""What a run learns from: records that have a waveform, a report and a label vector, joined by record_id."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from kmerl.knowledge.vocabulary import Vocabulary, dense
from kmerl.randomness import generator
from kmerl.training.batches import Examples


def examples(
    records: pl.DataFrame,
    studies: pl.DataFrame,
    reports: pl.DataFrame,
    texts: Sequence[str],
    vocabulary: Vocabulary,
    labels: pl.DataFrame,
    split: str,
) -> Examples:
    """The records of a split, in the order of the waveform store.

    Args:
        records: index of the waveform store: record_id, split.
        studies: record_id, report_id.
        reports: report_id, text.
        texts: the distinct reports in the order of their vectors.
        vocabulary: of the labels.
        labels: record_id, positives.
        split: its name.

    A record without a report (rejected as too short, say) or without a label vector is not among them.
    """
    report = pl.col("text").replace_strict({text: row for row, text in enumerate(texts)}).alias("report")
    rows = (
        records.with_row_index("store_row")
        .filter(pl.col("split") == split)
        .select("store_row", "record_id")
        .join(studies, on="record_id", maintain_order="left")
        .join(reports.select("report_id", report), on="report_id", maintain_order="left")
        .join(labels.select("record_id"), on="record_id", how="semi", maintain_order="left")
    )
    matrix = dense(vocabulary, labels, rows["record_id"].to_list())
    store_rows, report_rows = (rows[column].to_numpy().astype(np.int64) for column in ("store_row", "report"))
    return Examples(store_rows, report_rows, matrix)


def sample(examples: Examples, most: int, seed: int) -> Examples:
    """At most so many of the examples, in their order, the same ones for every run of a seed."""
    keep = np.sort(generator(seed, "validation").permutation(len(examples))[:most])
    return Examples(examples.rows[keep], examples.reports[keep], examples.labels[keep])
