"""The published split and label files of the six tasks: read, checked, compared with labels derived here.

The files are those of MERL (github.com/cheliu-computation/MERL-ICML2024, commit 38799b7, ``finetune/data_split``);
the paper's Table 3 counts their rows. They call CSN ``chapman`` and CPSC2018 ``icbeb``. They are not part of this
project: the user gives their folder, flat or laid out as in that repository. Columns are found by name, since
``ptbxl_sub`` has them in another order in train than in valid and test.

**Membership of CSN.** What follows was found by analysing the files; no released code makes them as they are.

- The released notebook drops a record with any code outside ``ConditionNames_SNOMED-CT.csv``, and writes of each
  other code its first acronym (:func:`first_acronym`, :func:`acronyms_of`).
- All 23,026 rows but two are positive for at least one of the 38 classes by :func:`csn_published`. The two are JS04328
  (train) and JS01944 (valid), both ``SB,VPE``. Another 145 have none of the classes as a whole acronym: they are
  ``SB,LVQRSAL`` or ``LVQRSAL,SB``, and are there because LVQRSAL contains SA. No row has only SB, only IDC or both.
- The notebook removes columns with fewer than 10 positives and no rows, so it would have left columns for SB (3,903
  rows), LVQRSAL (751), IDC (412) and VPE (12), and 4,606 of 23,026 rows in test where the file has 4,620. A step that
  was not released removed columns and rows, the rows apparently after the division.
- :func:`csn_member` is the simplest rule that explains every row: a positive of the 38 classes or of VPE. Of the
  acronyms with at least 10 rows VPE alone has none in test, so its column may have been removed after the rows.
  This is an inference: without the archive the files cannot show what they left out.

In CPSC2018 all 6,877 records are members; the files are scikit-learn's ``train_test_split`` with seed 42, twice, in
the order of ``ecg_id``. In PTB-XL the members are the records with at least one class of the task, divided by fold;
together the four tasks have 21,799 records, as many as release 1.0.3. The 38 other ids up to 21,837, such as 137 and
139, are published nowhere: release 1.0.1 has them still, so labels derived from it are "only here".
"""

import ast
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from kmerl.archives.classes import class_names
from kmerl.archives.schemas import SPLIT_NAMES, TOTAL
from kmerl.errors import UserError
from kmerl.regular import assert_regular

FILE_OF_SPLIT: dict[str, str] = {"train": "train", "valid": "val", "test": "test"}
"""How the files' names call each split."""


_LARGEST = 1 << 26  # bytes; the largest of the published ones has 3 MB
_REMEDY = "take the file from MERL's repository at commit 38799b7"
_FOLD = "strat_fold"
_PTB_XL_FOLDS: dict[str, str] = {**{str(fold): "train" for fold in range(1, 9)}, "9": "valid", "10": "test"}
_OUTSIDE = "VPE"  # no class, yet the only reason for two rows of CSN to be there


@dataclass(frozen=True)
class _Layout:
    """How the files of a task are called, and what they hold beside the classes."""

    stem: str
    folder: str  # in MERL's repository
    key: str  # the column that tells the record
    pattern: str  # of that column; its group is the record's id
    others: tuple[str, ...]  # columns that are no classes, the key among them
    own: str | None = None  # the column from which the class columns were made


def _ptb_xl(name: str) -> _Layout:
    others = ("ecg_id", "patient_id", "strat_fold", "filename_lr", "filename_hr", name)
    return _Layout(f"ptbxl_{name}", f"ptbxl/{name}", "ecg_id", r"^([1-9]\d*)$", others, name)


_LAYOUTS: dict[str, _Layout] = {
    "ptbxl_super": _ptb_xl("super_class"),
    "ptbxl_sub": _ptb_xl("sub_class"),
    "ptbxl_form": _ptb_xl("form"),
    "ptbxl_rhythm": _ptb_xl("rhythm"),
    "cpsc2018": _Layout(
        "icbeb", "icbeb", "filename", r"^(A\d+)$",
        ("patient_id", "ecg_id", "filename", "validation", "age", "sex", "scp_codes"),
    ),
    "csn": _Layout(
        "chapman", "chapman", "ecg_path", r"(?:^|/)(JS\d+)\.mat$", ("ecg_path", "age", "diagnose"), "diagnose"
    ),
}  # fmt: skip


def read_published(folder: Path, task: str) -> pl.DataFrame:
    """The published records, splits and labels of a task.

    Args:
        folder: holds the files, flat (``ptbxl_form_val.csv``) or as MERL's repository has them
            (``ptbxl/form/ptbxl_form_val.csv``, below ``finetune/data_split`` or not).
        task: one of :func:`kmerl.archives.classes.tasks`.

    Returns:
        A row per record in the order of the files: ``record_id`` as the archive's reader gives it, ``split`` (train,
        valid, test), ``codes`` (sorted published codes of the positive classes; none for two records of CSN).

    Raises:
        UserError: there is no such task; a file is missing, unreadable or empty; a column is missing or unknown; a
            value is neither 0 nor 1; a record is unnamed or stands twice; a file contradicts itself (a fold of another
            split; classes other than those that its own column of diagnoses makes).
    """
    return _read(folder, task).select("record_id", "split", "codes")


def read_diagnoses(folder: Path) -> pl.DataFrame:
    """The acronyms from which the published labels of CSN were made.

    Args:
        folder: as in :func:`read_published`.

    Returns:
        A row per record in the order of the files: ``record_id``, ``split``, ``acronyms`` in the order of its codes.

    Raises:
        UserError: see :func:`read_published`.
    """
    return _read(folder, "csn").select("record_id", "split", acronyms=pl.col("own").str.split(","))


def csn_published(acronyms: Sequence[str]) -> list[str]:
    """The released rule: every class of CSN whose letters occur anywhere in the joined acronyms, sorted.

    So AFIB also makes AF, and AVB also makes VB. Comma-joined as released; no class has a comma.
    """
    joined = ",".join(acronyms)
    return sorted(code for code in class_names("csn") if code in joined)


def csn_corrected(acronyms: Sequence[str]) -> list[str]:
    """Every class of CSN that is one of the acronyms, sorted."""
    return sorted(set(class_names("csn")) & set(acronyms))


def csn_member(acronyms: Sequence[str]) -> bool:
    """Whether the published files have a CSN record with these acronyms, as far as they tell: see the module."""
    return bool(csn_published(acronyms)) or _OUTSIDE in acronyms


def first_acronym(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The acronym that the released code takes for a SNOMED CT code: the first row's, so 164909002 is LBBB.

    Args:
        rows: (acronym, code) in the order of ``ConditionNames_SNOMED-CT.csv``.
    """
    found: dict[str, str] = {}
    for acronym, code in rows:
        found.setdefault(code.strip(), acronym.strip())
    return found


def acronyms_of(codes: Iterable[str], acronyms: Mapping[str, str]) -> list[str] | None:
    """The acronym of each code of a CSN record; None where a code has none, as the released code drops the record.

    Args:
        codes: SNOMED CT codes of the record's header.
        acronyms: see :func:`first_acronym`.
    """
    found = [acronyms.get(code) for code in codes]
    known = [acronym for acronym in found if acronym is not None]
    return known if len(known) == len(found) else None


def relabelled(diagnoses: pl.DataFrame, rule: Callable[[Sequence[str]], list[str]]) -> pl.DataFrame:
    """Labels of CSN by a rule, in the form of :func:`read_published`.

    Args:
        diagnoses: see :func:`read_diagnoses`.
        rule: :func:`csn_published` or :func:`csn_corrected`.
    """
    codes = pl.Series("codes", [rule(acronyms) for acronyms in diagnoses["acronyms"]], dtype=pl.List(pl.String))
    return diagnoses.select("record_id", "split").with_columns(codes)


def differences(published: pl.DataFrame, corrected: pl.DataFrame, task: str) -> pl.DataFrame:
    """How two sets of labels of the same records differ.

    Args:
        published: columns ``record_id``, ``split``, ``codes``, each record once.
        corrected: the same, taken as the truth.
        task: whose classes they are.

    Returns:
        A row per class (in the order of :func:`kmerl.archives.classes.class_names`, then :data:`TOTAL`) and split
        (train, valid, test, then :data:`TOTAL`): ``code``, ``split``, numbers of ``records``, of positives
        ``published`` and ``corrected``, of ``false_positives`` and ``false_negatives`` of the published labels, and
        ``differing``, records with either. The total over classes counts each positive, but each record once.

    Raises:
        UserError: a record or its split is in one of the two only, or a code is no class of the task.
    """
    key = ["record_id", "split"]
    for one, other in ((published, corrected), (corrected, published)):
        alone = one.join(other, on=key, how="anti")
        if len(alone):
            raise UserError(
                f"labels of {task}: record {alone['record_id'][0]} ({alone['split'][0]}) is in one of two sets only; "
                "compare labels of the same records"
            )
    sides = [
        labels.select(*key, code="codes").explode("code").drop_nulls("code").with_columns(pl.lit(True).alias(name))
        for name, labels in (("published", published), ("corrected", corrected))
    ]
    pairs = sides[0].join(sides[1], on=[*key, "code"], how="full", coalesce=True)
    pairs = pairs.with_columns(pl.col("published", "corrected").fill_null(False))
    unknown = set(pairs["code"]) - set(class_names(task))
    if unknown:
        raise UserError(
            f"labels of {task}: {', '.join(sorted(unknown))} is none of its classes; use its published codes"
        )
    return _counted(pairs, published, task)


def _counted(pairs: pl.DataFrame, published: pl.DataFrame, task: str) -> pl.DataFrame:
    rows = []
    for code in (*class_names(task), TOTAL):
        of_code = pairs if code == TOTAL else pairs.filter(code=code)
        for split in (*SPLIT_NAMES, TOTAL):
            some = of_code if split == TOTAL else of_code.filter(split=split)
            there, right = some["published"], some["corrected"]
            rows.append(
                {
                    "code": code,
                    "split": split,
                    "records": len(published if split == TOTAL else published.filter(split=split)),
                    "published": there.sum(),
                    "corrected": right.sum(),
                    "false_positives": (there & ~right).sum(),
                    "false_negatives": (~there & right).sum(),
                    "differing": some.filter(there != right)["record_id"].n_unique(),
                }
            )
    return pl.DataFrame(rows, {"code": pl.String, "split": pl.String, **dict.fromkeys(list(rows[0])[2:], pl.Int64)})


@dataclass(frozen=True)
class Agreement:
    """How labels derived from an archive agree with the published ones; its text is one line.

    Attributes:
        same: records on both sides with the same codes.
        differing: records on both sides with other codes.
        only_here: records with codes that are not among the published ones.
        only_published: published records that were not derived.
        unlabelled: records without codes that are not among the published ones: neither has labels for them.
        examples: up to five records that disagree, and how.
    """

    same: int
    differing: int
    only_here: int
    only_published: int
    unlabelled: int
    examples: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.differing or self.only_here or self.only_published)

    def __str__(self) -> str:
        """Counts and examples, one line."""
        text = (
            f"{self.same} records with the same labels, {self.differing} with others, {self.only_here} only here, "
            f"{self.only_published} only published, {self.unlabelled} without labels"
        )
        return f"{text}: {'; '.join(self.examples)}" if self.examples else text


def check_against(derived: Mapping[str, Collection[str]], published: pl.DataFrame) -> Agreement:
    """Compare labels derived from an archive with the published ones.

    Args:
        derived: the codes of every record of the archive, none for a record without classes of the task.
        published: see :func:`read_published`; of a part of the archive, filter it first.
    """
    there = {record_id: set(codes) for record_id, codes in published.select("record_id", "codes").iter_rows()}
    here = {record_id: set(codes) for record_id, codes in derived.items()}
    both = sorted(here.keys() & there.keys())
    differing = [record_id for record_id in both if here[record_id] != there[record_id]]
    only_published = sorted(there.keys() - here.keys())
    new = sorted(here.keys() - there.keys())
    only_here = [record_id for record_id in new if here[record_id]]
    examples = [
        f"{record_id} {_named(here[record_id])}, published {_named(there[record_id])}" for record_id in differing
    ]
    examples += [f"{record_id} {_named(here[record_id])}, only here" for record_id in only_here]
    examples += [f"{record_id} {_named(there[record_id])}, only published" for record_id in only_published]
    return Agreement(
        same=len(both) - len(differing),
        differing=len(differing),
        only_here=len(only_here),
        only_published=len(only_published),
        unlabelled=len(new) - len(only_here),
        examples=tuple(examples[:5]),
    )


def _named(codes: Collection[str]) -> str:
    return " ".join(sorted(codes)) or "no class"


# --- the files


def _read(folder: Path, task: str) -> pl.DataFrame:
    """``record_id``, ``split``, ``codes``, ``own`` (text; null without such a column) of the three files of a task."""
    class_names(task)  # refuses what is no task
    layout = _LAYOUTS[task]
    tables = []
    for split, name in FILE_OF_SPLIT.items():
        path = _found(folder, layout, name)
        table = _columns(path, layout, task)
        labels = table.select(
            record_id=pl.col(layout.key).str.extract(layout.pattern),
            split=pl.lit(split),
            codes=_codes(path, table, sorted(class_names(task)), layout.key),
            own=pl.col(layout.own) if layout.own else pl.lit(None, pl.String),
        )
        unnamed = labels["record_id"].is_null()
        if unnamed.any():
            given = _line(table[layout.key].filter(unnamed)[0])
            raise UserError(f"{path}: {layout.key} {given} names no record of {task}; {_REMEDY}")
        _refuse_contradictions(path, table, labels, split, task)
        tables.append(labels)
    every = pl.concat(tables)
    twice = every.filter(pl.col("record_id").is_duplicated())
    if len(twice):
        record_id = twice["record_id"][0]
        where = " and ".join(twice.filter(record_id=record_id)["split"])
        raise UserError(f"{folder}: record {record_id} of {task} stands twice, in {where}; {_REMEDY}")
    return every


def _line(value: str | None) -> str:
    """A cell or name as an error's line can show it."""
    return "(empty)" if value is None else " ".join(value.split())[:60]


def _found(folder: Path, layout: _Layout, split: str) -> Path:
    name = f"{layout.stem}_{split}.csv"
    places = [Path(), Path(layout.folder), Path("finetune/data_split") / layout.folder]
    for place in places:
        if (folder / place / name).is_file():
            return folder / place / name
    raise UserError(f"{folder}: no {name}, nor {places[1] / name}; {_REMEDY}")


def _columns(path: Path, layout: _Layout, task: str) -> pl.DataFrame:
    """The file as text, with all its columns accounted for."""
    try:
        if assert_regular(path) > _LARGEST:
            raise OSError(f"more than {_LARGEST:,} bytes")
        table = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OSError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{path}: not a readable CSV table ({problem}); {_REMEDY}") from None
    classes = list(class_names(task))
    needed = [layout.key, *classes, *([layout.own] if layout.own else [])]
    needed += [name for name in layout.others if name == _FOLD]
    missing = [name for name in needed if name not in table.columns]
    unknown = [name for name in table.columns if name not in (*classes, *layout.others)]
    for what, names in (("no column", missing), ("unknown column", unknown)):
        if names:
            raise UserError(f"{path}: {what} {', '.join(map(_line, names))[:200]}; {_REMEDY}")
    if not len(table):
        raise UserError(f"{path}: no rows; {_REMEDY}")
    return table


def _codes(path: Path, table: pl.DataFrame, classes: Sequence[str], key: str) -> pl.Series:
    """The positive classes of each row, in the order given."""
    for code in classes:
        bad = ~table[code].is_in(["0", "1"]).fill_null(False)
        if bad.any():
            value, record = _line(table[code].filter(bad)[0]), _line(table[key].filter(bad)[0])
            raise UserError(f"{path}: {code} of {record} is {value}, neither 0 nor 1; {_REMEDY}")
    positive = [pl.when(pl.col(code) == "1").then(pl.lit(code)) for code in classes]
    return table.select(codes=pl.concat_list(positive).list.drop_nulls())["codes"]


def _refuse_contradictions(path: Path, table: pl.DataFrame, labels: pl.DataFrame, split: str, task: str) -> None:
    """Make sure that the fold of PTB-XL and the list of diagnoses say what the file's name and its classes say."""
    layout = _LAYOUTS[task]
    if _FOLD in layout.others:
        for record_id, fold in zip(labels["record_id"], table[_FOLD], strict=True):
            if _PTB_XL_FOLDS.get(fold) != split:
                raise UserError(f"{path}: record {record_id} is of fold {_line(fold)}, not of {split}; {_REMEDY}")
    if layout.own:
        made = {text: _made(text, task) for text in labels["own"].drop_nulls().unique()}
        for record_id, codes, own in labels.select("record_id", "codes", "own").iter_rows():
            if made.get(own) != codes:
                has = f"record {record_id} has {_named(codes)}"
                raise UserError(f"{path}: {has}, not what {layout.own} {_line(own)} makes; {_REMEDY}")


def _made(own: str, task: str) -> list[str] | None:
    """The classes that a file's own column of diagnoses makes; None if it cannot be read."""
    if task == "csn":
        return csn_published(own.split(","))
    try:
        return sorted(set(map(str, ast.literal_eval(own))))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
