"""CPSC2018 (China Physiological Signal Challenge 2018): 6,877 records of 6 to 144 s, up to three of nine labels.

Two layouts are read. The original one has ``A0001.mat`` (:mod:`kmerl.archives.cpsc_format`), in the root folder or
in folders as its parts were packed, and ``REFERENCE.csv`` with label numbers. PhysioNet's mirror has no such table but
``A0001.{hea,mat}`` in WFDB's format with SNOMED CT codes, which count where ``REFERENCE.csv`` is missing. Neither names
patients. MERL keeps the first 2,500 samples and pads them with zeros to 5,000; here the store's own length holds
(``preprocess.seconds``), so a record of 10 s or more is cropped to its first 10 s.
"""

from collections.abc import Iterator
from pathlib import Path

from kmerl.archives.archive import Archive, RecordEntry, Rejected, once, read_csv
from kmerl.archives.layouts import CPSC2018_COLUMNS, CPSC2018_LABELS, CPSC2018_REFERENCE, CPSC2018_SNOMED
from kmerl.archives.snomed import codes_of
from kmerl.archives.wfdb_format import RecordError

TASK = "cpsc2018"


class Cpsc2018(Archive):
    """The original layout, or the mirror's. There is no official split that is public."""

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`. A label outside the table counts nowhere; its record is flagged."""
        if not (self.folder / CPSC2018_REFERENCE).exists():
            headers = {path.stem: path for path in sorted(self.folder.rglob("A*.hea"))}
            if headers:
                for record_id, header in sorted(headers.items()):
                    yield _from_header(record_id, header)
                return
        yield from self._referenced()

    def _referenced(self) -> Iterator[RecordEntry | Rejected]:
        path = self.folder / CPSC2018_REFERENCE
        table, rejected = once(read_csv(path, ["Recording", *CPSC2018_COLUMNS]), "Recording", path)
        yield from rejected
        files = {file.stem: file for file in sorted(self.folder.rglob("*.mat"), reverse=True)}
        for record_id, *cells in table.iter_rows():
            given = [cell.strip().removesuffix(".0") for cell in cells if cell and cell.strip()]
            file = files.get(record_id, self.folder / f"{record_id}.mat")
            header = file.with_suffix(".hea")  # beside a file of the mirror, which is no struct
            yield _entry(record_id, header if header.exists() else file, given, CPSC2018_LABELS)
        for record_id in sorted(set(files) - set(table["Recording"])):
            yield Rejected(record_id, "not_listed", f"{CPSC2018_REFERENCE} has no row for {files[record_id].name}")


def _from_header(record_id: str, header: Path) -> RecordEntry | Rejected:
    try:
        return _entry(record_id, header, codes_of(header), CPSC2018_SNOMED)
    except RecordError as error:
        return Rejected(record_id, error.reason, str(error))


def _entry(record_id: str, file: Path, given: list[str], classes: dict[str, str]) -> RecordEntry | Rejected:
    """A record whose labels are known at least in part."""
    known = {classes[label] for label in given if label in classes}
    if not known:
        found = ", ".join(given) or "none"
        return Rejected(record_id, "bad_labels", f"labels {found[:80]} are none of {', '.join(classes)}")
    targets = sorted((TASK, code) for code in known)
    return RecordEntry(
        record_id=record_id,
        patient_id=None,
        file=file,
        targets=targets,
        published=targets,
        flags=() if set(given) <= set(classes) else ("unknown_code",),
    )
