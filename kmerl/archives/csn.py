"""CSN (Chapman-Shaoxing-Ningbo, physionet.org/content/ecg-arrhythmia/1.0.0): 45,152 records with SNOMED CT codes.

``ConditionNames_SNOMED-CT.csv`` gives a code's acronyms, and the published class is the acronym that the split files
use: 164909002 stands there as LBBB, LBBBB and LFBBB, and is the class LBBB. A class is positive where its code is
among a record's codes. The published labels look for the acronym's letters in the joined acronyms instead, so that
AF is found in AFIB and VB in AVB (:mod:`kmerl.archives.merl_labels`); a record has both sets of labels.

A code outside the table counts nowhere; its record keeps its other codes and gets the flag ``unknown_code``. The
published files leave such records out. The archive names no patients.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from kmerl.archives.archive import Archive, RecordEntry, Rejected, read_csv
from kmerl.archives.classes import class_names
from kmerl.archives.layouts import CSN_RECORDS, CSN_TABLE
from kmerl.archives.merl_labels import acronyms_of, csn_member, csn_published, first_acronym
from kmerl.archives.snomed import codes_of
from kmerl.archives.wfdb_format import RecordError
from kmerl.errors import UserError

TASK = "csn"


class Csn(Archive):
    """All records below ``WFDBRecords``, in the order of their paths. There is no official split."""

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`.

        Raises:
            UserError: there is no table of codes, it lacks a class that is asked for, or there are no records.
        """
        classes, acronyms = self.code_classes(), first_acronym(self._table().iter_rows())
        headers = sorted((self.folder / CSN_RECORDS).rglob("*.hea"))
        if not headers:
            raise UserError(
                f"{self.folder / CSN_RECORDS}: no header files below it; copy the folder there as the archive has it"
            )
        for header in headers:
            yield _entry(header, classes, acronyms)

    def code_classes(self) -> dict[str, list[str]]:
        """The published classes of every SNOMED CT code of the table; none for most codes.

        Raises:
            UserError: the table is missing or unreadable, or lacks a class that is asked for.
        """
        path, asked = self.folder / CSN_TABLE, class_names(TASK)
        result: dict[str, list[str]] = {}
        for acronym, code in self._table().iter_rows():
            found = result.setdefault(code.strip(), [])
            if acronym.strip() in asked and acronym.strip() not in found:
                found.append(acronym.strip())
        missing = set(asked) - {name for names in result.values() for name in names}
        if missing:
            raise UserError(
                f"{path}: no row for {', '.join(sorted(missing))}; take the file from the archive's official release"
            )
        return result

    def _table(self) -> pl.DataFrame:
        return read_csv(self.folder / CSN_TABLE, ["AcronymName", "Snomed_CT"], loosely=True).drop_nulls()


def _entry(header: Path, classes: dict[str, list[str]], acronyms: dict[str, str]) -> RecordEntry | Rejected:
    try:
        codes = codes_of(header)
    except RecordError as error:
        return Rejected(header.stem, error.reason, str(error))
    written = acronyms_of(codes, acronyms)
    return RecordEntry(
        record_id=header.stem,
        patient_id=None,
        file=header,
        targets=sorted({(TASK, name) for code in codes for name in classes.get(code, ())}),
        published=[(TASK, name) for name in csn_published(written)] if written and csn_member(written) else None,
        flags=() if written is not None else ("unknown_code",),
    )
