"""MIMIC-IV-ECG 1.0 (physionet.org/content/mimic-iv-ecg/1.0): 800,035 records with machine statements.

``record_list.csv`` names the files and ``machine_measurements.csv`` the statements; they are joined on
``study_id``, because their rows need not stand in the same order. 771,693 of the 800,035 reports of the full release
pass MERL's cleaning (:mod:`kmerl.knowledge.cleaning`).
"""

from collections.abc import Iterator

import polars as pl

from kmerl.archives.archive import Archive, RecordEntry, Rejected, once, read_csv, read_csv_in_pieces

REPORT_COLUMNS: tuple[str, ...] = tuple(f"report_{i}" for i in range(18))
_STATEMENTS = "machine_measurements.csv"


class MimicIvEcg(Archive):
    """The pretraining archive. It has no official split and no labels."""

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`; in the order of the statements, then those that have none.

        A study need not have statements; statements without a file are rejected.
        """
        path = self.folder / "record_list.csv"
        listed, rejected = once(read_csv(path, ["study_id", "subject_id", "path"]), "study_id", path)
        yield from rejected
        known, seen = listed.with_columns(pl.lit(True).alias("listed")), set[str]()
        for said in self._statements():
            if isinstance(said, Rejected):
                yield said
                continue
            for study_id, statements, found, subject_id, file in (
                said.join(known, on="study_id", how="left", maintain_order="left")
                .select("study_id", "statements", "listed", "subject_id", "path")
                .iter_rows()
            ):
                if study_id in seen:
                    yield Rejected(study_id, "repeated_id", f"{_STATEMENTS} has this study_id once more")
                    continue
                seen.add(study_id)
                if not found:
                    yield Rejected(study_id, "not_listed", f"{_STATEMENTS} has this study, record_list.csv has not")
                else:
                    yield self._entry(study_id, subject_id, file, statements)
        for study_id, subject_id, file in listed.iter_rows():
            if study_id not in seen:
                yield self._entry(study_id, subject_id, file, [])

    def _statements(self) -> Iterator[pl.DataFrame | Rejected]:
        """The statements of studies (study_id, statements), some thousand at a time, and rows that name none."""
        above = 0
        for piece in read_csv_in_pieces(self.folder / _STATEMENTS, ["study_id", *REPORT_COLUMNS]):
            nameless = piece.with_row_index("row", above + 1).filter(pl.col("study_id").is_null())["row"]
            yield from (Rejected(f"row {row}", "no_id", f"{_STATEMENTS} gives no study_id there") for row in nameless)
            above += piece.height
            texts = pl.concat_list(pl.col(name).str.strip_chars() for name in REPORT_COLUMNS)
            texts = texts.list.eval(pl.element().filter(pl.element() != ""))
            yield piece.drop_nulls("study_id").select("study_id", texts.alias("statements"))

    def _entry(
        self, study_id: str, subject_id: str | None, file: str | None, statements: list[str]
    ) -> RecordEntry | Rejected:
        if file is None:
            return Rejected(study_id, "no_path", "record_list.csv gives no path")
        return RecordEntry(study_id, subject_id, self.folder / f"{file}.hea", statements=statements)
