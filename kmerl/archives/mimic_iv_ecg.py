"""MIMIC-IV-ECG 1.0 (physionet.org/content/mimic-iv-ecg/1.0): 800,035 records with machine statements.

``record_list.csv`` names the files and ``machine_measurements.csv`` the statements; they are joined on
``study_id``, because their rows need not stand in the same order.
"""

from collections.abc import Iterator

import polars as pl

from kmerl.archives.archive import Archive, RecordEntry, Rejected, read_csv, refuse_duplicates

REPORT_COLUMNS: tuple[str, ...] = tuple(f"report_{i}" for i in range(18))


class MimicIvEcg(Archive):
    """The pretraining archive. It has no official split and no labels."""

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`. A study need not have statements; statements without a file are rejected."""
        list_path, statements_path = self.folder / "record_list.csv", self.folder / "machine_measurements.csv"
        listed = read_csv(list_path, ["study_id", "subject_id", "path"])
        statements = read_csv(statements_path, ["study_id", *REPORT_COLUMNS])
        refuse_duplicates(listed, "study_id", list_path)
        refuse_duplicates(statements, "study_id", statements_path)
        joined = listed.join(statements, on="study_id", how="left", maintain_order="left")
        for study_id, subject_id, path, *reports in joined.iter_rows():
            if path is None:
                yield Rejected(study_id, "no_path", "record_list.csv gives no path")
                continue
            yield RecordEntry(
                record_id=study_id,
                patient_id=subject_id,
                file=self.folder / f"{path}.hea",
                statements=[text.strip() for text in reports if text is not None and text.strip()],
            )
        unlisted = statements.select("study_id").join(listed, on="study_id", how="anti", maintain_order="left")
        for study_id in unlisted.get_column("study_id").cast(pl.String):
            yield Rejected(study_id, "not_listed", "machine_measurements.csv has this study, record_list.csv has not")
