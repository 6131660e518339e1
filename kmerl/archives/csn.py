"""CSN (Chapman-Shaoxing-Ningbo, physionet.org/content/ecg-arrhythmia/1.0.0): 45,152 records with SNOMED CT codes.

``ConditionNames_SNOMED-CT.csv`` gives a code's acronyms, and the published class is the acronym that the split files
use: 164909002 stands there as LBBB, LBBBB and LFBBB, and is the class LBBB. A class is positive where its code is
among a record's codes. (The published labels look for the acronym's letters in the joined acronyms instead, so that
AF is found in AFIB and VB in AVB; these are wrong.)

A code outside the table counts nowhere; its record keeps its other codes and gets the flag ``unknown_code``. MERL
drops such records. The archive names no patients.
"""

from collections.abc import Iterator
from pathlib import Path

from kmerl.archives.archive import Archive, RecordEntry, Rejected, read_csv
from kmerl.archives.classes import class_names
from kmerl.archives.snomed import codes_of
from kmerl.archives.wfdb_format import RecordError
from kmerl.errors import UserError

TASK = "csn"
TABLE = "ConditionNames_SNOMED-CT.csv"
RECORDS = "WFDBRecords"


class Csn(Archive):
    """All records below ``WFDBRecords``, in the order of their paths. There is no official split."""

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`.

        Raises:
            UserError: there is no table of codes, it lacks a class that is asked for, or there are no records.
        """
        classes = self.code_classes()
        headers = sorted((self.folder / RECORDS).rglob("*.hea"))
        if not headers:
            raise UserError(
                f"{self.folder / RECORDS}: no header files below it; copy the folder there as the archive has it"
            )
        for header in headers:
            yield _entry(header, classes)

    def code_classes(self) -> dict[str, list[str]]:
        """The published classes of every SNOMED CT code of the table; none for most codes.

        Raises:
            UserError: the table is missing or unreadable, or lacks a class that is asked for.
        """
        path = self.folder / TABLE
        table = read_csv(path, ["AcronymName", "Snomed_CT"], loosely=True)
        asked = class_names(TASK)
        result: dict[str, list[str]] = {}
        for acronym, code in table.drop_nulls().iter_rows():
            found = result.setdefault(code.strip(), [])
            if acronym.strip() in asked and acronym.strip() not in found:
                found.append(acronym.strip())
        missing = set(asked) - {name for names in result.values() for name in names}
        if missing:
            raise UserError(
                f"{path}: no row for {', '.join(sorted(missing))}; take the file from the archive's official release"
            )
        return result


def _entry(header: Path, classes: dict[str, list[str]]) -> RecordEntry | Rejected:
    try:
        codes = codes_of(header)
    except RecordError as error:
        return Rejected(header.stem, error.reason, str(error))
    return RecordEntry(
        record_id=header.stem,
        patient_id=None,
        file=header,
        targets=sorted({(TASK, name) for code in codes for name in classes.get(code, ())}),
        flags=() if all(code in classes for code in codes) else ("unknown_code",),
    )
