"""PTB-XL 1.0.3 (physionet.org/content/ptb-xl/1.0.3): 21,799 records, four downstream tasks, ten official folds.

Labels follow the data set's own rule (Wagner et al., Scientific Data 7:154, 2020): every code of ``scp_codes``
counts, whatever its likelihood, and ``scp_statements.csv`` says which task or class it belongs to. A code that is not
in that table counts nowhere; its record gets the flag ``unknown_code``.
"""

import ast
from collections.abc import Iterator
from typing import Literal

from kmerl.archives.archive import Archive, RecordEntry, Rejected, once, read_csv
from kmerl.archives.classes import TABLE, class_names
from kmerl.errors import UserError

TASKS: tuple[str, ...] = ("ptbxl_super", "ptbxl_sub", "ptbxl_form", "ptbxl_rhythm")
_SPLITS: dict[str, Literal["train", "valid", "test"]] = {
    **dict.fromkeys(map(str, range(1, 9)), "train"),
    "9": "valid",
    "10": "test",
}


class PtbXl(Archive):
    """The 500 Hz records, with the official folds 1-8, 9 and 10 as train, valid and test."""

    official_split = True

    def records(self) -> Iterator[RecordEntry | Rejected]:
        """See :meth:`Archive.records`."""
        columns = ["ecg_id", "patient_id", "report", "scp_codes", "strat_fold", "filename_hr"]
        path = self.folder / "ptbxl_database.csv"
        table, rejected = once(read_csv(path, columns), "ecg_id", path)
        yield from rejected
        targets_of = self.code_targets()
        for ecg_id, patient_id, report, scp_codes, fold, filename in table.iter_rows():
            record_id = _integer(ecg_id)
            codes = _codes(scp_codes)
            split = _SPLITS.get(_integer(fold or ""))
            if codes is None:
                yield Rejected(record_id, "bad_labels", f"scp_codes {str(scp_codes)[:60]!r} is no table of codes")
            elif split is None or not filename:
                yield Rejected(record_id, "bad_row", f"strat_fold {fold!r}, filename_hr {filename!r}")
            else:
                targets = sorted({target for code in codes for target in targets_of.get(code, ())})
                yield RecordEntry(
                    record_id=record_id,
                    patient_id=_integer(patient_id) if patient_id else None,
                    file=self.folder / f"{filename}.hea",
                    split=split,
                    statements=[report.strip()] if report and report.strip() else [],
                    targets=targets,
                    published=targets,
                    flags=() if set(codes) <= set(targets_of) else ("unknown_code",),
                )

    def code_targets(self) -> dict[str, list[tuple[str, str]]]:
        """The (task, class) pairs that each SCP code makes positive, in the published spelling.

        Raises:
            UserError: ``scp_statements.csv`` is missing, has no code column, or has a class that no query asks for.
        """
        path = self.folder / "scp_statements.csv"
        flags = ["diagnostic", "form", "rhythm", "diagnostic_class", "diagnostic_subclass"]
        table = read_csv(path, ["", *flags])  # the code's column has no name
        result: dict[str, list[tuple[str, str]]] = {}
        for code, diagnostic, form, rhythm, superclass, subclass in table.iter_rows():
            targets = [
                ("ptbxl_super", superclass if diagnostic else None),
                ("ptbxl_sub", subclass if diagnostic else None),
                ("ptbxl_form", code if form else None),
                ("ptbxl_rhythm", code if rhythm else None),
            ]
            result[code] = [(task, published(name)) for task, name in targets if name]
            for task, name in result[code]:
                if name not in class_names(task):
                    raise UserError(
                        f"{path}: code {code} belongs to class {name} of {task}, which {TABLE} does not name; "
                        f"take the file from the archive's official release, or name the class in {TABLE}"
                    )
        if not result:
            raise UserError(f"{path}: no codes; take the file from the archive's official release")
        return result


def published(code: str) -> str:
    """A code as the published split files spell it: ``NST_`` is NST, ``_AVB`` is AVB."""
    return code.strip("_")


def _integer(text: str) -> str:
    """An identifier that pandas may have written as a float: ``15709.0`` is 15709."""
    return text.removesuffix(".0")


def _codes(text: str | None) -> list[str] | None:
    """The codes of ``{'NORM': 100.0, 'SR': 0.0}``; None if the text is no such table."""
    try:
        value = ast.literal_eval(text or "")
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # a list as a key is a TypeError
        return None
    return list(map(str, value)) if isinstance(value, dict) else None
