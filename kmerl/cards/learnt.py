"""What a run learnt from, counted: records, patients, distinct reports, and what was flagged or left out."""

from collections import Counter
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Learnt:
    """Counts of one archive, of the records that have a waveform, a report and a label vector.

    Attributes:
        archive, origin: the latter ``simulated`` or ``recorded``.
        records, valid: of the training and of the validation split.
        patients: of the training records; None where the archive names none.
        reports: distinct texts among the training records.
        without_report: training records with a waveform that lack one of the others, and were not learnt from.
        flags: how many of the training records carry each flag.
        rejected: reason -> records of the archive that could not be used.
        unused: reason -> reports that could not be used.
    """

    archive: str
    origin: str
    records: int
    valid: int
    patients: int | None
    reports: int
    without_report: int
    flags: Counter[str]
    rejected: Counter[str]
    unused: Counter[str]


def learnt(
    archive: str,
    origin: str,
    records: pl.DataFrame,
    studies: pl.DataFrame,
    labels: pl.DataFrame,
    rejected: pl.DataFrame,
    unused: pl.DataFrame,
) -> Learnt:
    """Count what training had.

    Args:
        archive: its name.
        origin: of its records.
        records: index of the waveform store: record_id, patient_id, flags, split.
        studies: record_id, report_id.
        labels: record_id.
        rejected: a reason for each record that could not be used.
        unused: a reason for each report.
    """
    usable = records.join(studies, on="record_id").join(labels.select("record_id"), on="record_id", how="semi")
    train, valid = (usable.filter(split=split) for split in ("train", "valid"))
    patients = train["patient_id"].drop_nulls().n_unique()
    return Learnt(
        archive=archive,
        origin=origin,
        records=train.height,
        valid=valid.height,
        patients=patients or None,
        reports=train["report_id"].n_unique(),
        without_report=records.filter(split="train").height - train.height,
        flags=Counter(train["flags"].explode().drop_nulls().to_list()),
        rejected=Counter(rejected["reason"].to_list()),
        unused=Counter(unused["reason"].to_list()),
    )
