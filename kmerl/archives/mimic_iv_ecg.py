"""MIMIC-IV-ECG 1.0 (physionet.org/content/mimic-iv-ecg/1.0): 800,035 records with machine statements.

``record_list.csv`` names the files and ``machine_measurements.csv`` the statements; they are joined on
``study_id``, because their rows need not stand in the same order. 771,693 of the 800,035 reports of the full release
pass MERL's cleaning (:mod:`kmerl.reports`).
"""

from collections.abc import Iterator

from kmerl.archives.archive import Archive, RecordEntry, Rejected, once, read_csv

REPORT_COLUMNS: tuple[str, ...] = tuple(f"report_{i}" for i in range(18))
_AT_ONCE = 20_000  # rows joined at a time


class MimicIvEcg(Archive):
    """The pretraining archive. It has no official split and no labels."""

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`. A study need not have statements; statements without a file are rejected."""
        list_path, statements_path = self.folder / "record_list.csv", self.folder / "machine_measurements.csv"
        listed, rejected = once(read_csv(list_path, ["study_id", "subject_id", "path"]), "study_id", list_path)
        yield from rejected
        statements, rejected = once(
            read_csv(statements_path, ["study_id", *REPORT_COLUMNS]), "study_id", statements_path
        )
        yield from rejected
        unlisted = statements.select("study_id").join(listed, on="study_id", how="anti", maintain_order="left")
        for start in range(0, listed.height, _AT_ONCE):
            rows = listed[start : start + _AT_ONCE]
            joined = rows.join(statements, on="study_id", how="left", maintain_order="left")
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
        for study_id in unlisted.get_column("study_id"):
            yield Rejected(study_id, "not_listed", "machine_measurements.csv has this study, record_list.csv has not")
