"""Write docs/labels.md: what the published labels of CSN get wrong, and the paper's Table 3 counted again.

.venv/bin/python benchmarks/label_rules.py FOLDER

FOLDER holds MERL's split files: a clone of github.com/cheliu-computation/MERL-ICML2024, its finetune/data_split, or
the files side by side.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from kmerl.archives.classes import class_names, tasks
from kmerl.archives.merl_labels import (
    csn_corrected,
    differences,
    read_diagnoses,
    read_published,
    relabelled,
)
from kmerl.archives.schemas import SPLIT_NAMES, TOTAL
from kmerl.errors import UserError
from kmerl.escapes import md, md_code

PAGE = Path("docs/labels.md")
PAPER: dict[str, tuple[int, int, int, int]] = {
    "ptbxl_super": (5, 17084, 2146, 2158),
    "ptbxl_sub": (23, 17084, 2146, 2158),
    "ptbxl_form": (19, 7197, 901, 880),
    "ptbxl_rhythm": (12, 16832, 2100, 2098),
    "cpsc2018": (9, 4950, 551, 1376),
    "csn": (38, 16546, 1860, 4620),
}
"""The paper's Table 3: classes, and records in train, valid and test."""
TEXT = """# Published labels and splits

Where `archives.*.split` is `published`, tasks are scored on the records and labels that MERL published
([`finetune/data_split`](https://github.com/cheliu-computation/MERL-ICML2024/tree/38799b7deb1c9958f41badcfacc6a95192787cc4/finetune/data_split)).
This page is computed from those files alone; they are not part of this project. `kmerl/archives/merl_labels.py` reads
and checks them. To make the page again:

```sh
git clone https://github.com/cheliu-computation/MERL-ICML2024 MERL && git -C MERL checkout -q 38799b7
.venv/bin/python benchmarks/label_rules.py MERL
```

## Records

The paper's Table 3 beside the files.

{records}

## CSN: labels by letters and by whole acronyms

The archive gives each record SNOMED CT codes, and its table an acronym for each code. The released code joins a
record's acronyms with commas and calls a class positive where its letters occur anywhere in that text (*published*).
So AFIB also makes AF, CCR makes CR, LVQRSAL makes SA, STTC, STE, STDD and STTU make ST, and AVB makes VB. *Corrected*
calls a class positive where it is one of the acronyms. The published rule misses nothing, so every row that differs is
a false positive.

- {test[0]:,} of {test[1]:,} rows of test have a wrong label ({train[0]:,} of {train[1]:,} of train, {valid[0]:,} of
  {valid[1]:,} of valid).
- {vb_false:,} of {vb:,} positives of VB are false, and all of them in valid and test. By whole acronyms VB has
  {vb_true} records in train and none in test: there it has no AUC, and a mean over 38 classes becomes one over 37.
- 1AVB, 2AVB, 2AVB1 and 3AVB also make AVB, and 2AVB1 makes 2AVB. The archive's codes do not say so, but medicine does:
  a block of some degree is a block. So in AVB and 2AVB the rules differ by convention; in the other five classes the
  published labels are wrong.

Positives of each class, and rows in which the two rules differ. The last row counts all positives, but each row once.

{classes}

## CSN: which records

{named:,} of the {total:,} records have a class by the published rule. The other {unnamed} are {examples}, both {why}.
Another {letters} have no class as a whole acronym, only SA by the letters of LVQRSAL: corrected, {bare} records have no
positive at all. No record has only SB, only IDC or both.

The released code alone does not make these files. It keeps a column for every acronym of 10 records or more, but SB
({SB:,} rows), LVQRSAL ({LVQRSAL}), IDC ({IDC}) and VPE ({VPE}) have none. It puts a fifth of the records in test, but
a fifth of {total:,} is {fifth:,}, not {in_test:,}: rows seem to have been removed after the division.
"""


def page(folder: Path) -> str:
    """The whole page.

    Raises:
        UserError: see :func:`kmerl.archives.merl_labels.read_published`.
    """
    published = read_published(folder, "csn")
    diagnoses = read_diagnoses(folder)
    corrected = relabelled(diagnoses, csn_corrected)
    table = differences(published, corrected, "csn")
    differing = {
        split: (row["differing"], row["records"])
        for row in table.filter(code=TOTAL).iter_rows(named=True)
        if (split := row["split"]) != TOTAL
    }
    (vb,) = table.filter(code="VB", split=TOTAL).iter_rows(named=True)
    acronyms = diagnoses["acronyms"].explode()
    empty = published.filter(pl.col("codes").list.len() == 0)
    bare = len(corrected.filter(pl.col("codes").list.len() == 0))
    reasons = diagnoses.join(empty, on="record_id", how="semi")["acronyms"].list.join(",").unique()
    return TEXT.format(
        records=_records(folder),
        classes=_classes(table),
        **differing,
        vb=vb["published"],
        vb_false=vb["false_positives"],
        vb_true=vb["corrected"],
        total=len(published),
        named=len(published) - len(empty),
        unnamed=len(empty),
        examples=" and ".join(f"{md(name)} ({split})" for name, split, _ in empty.iter_rows()),
        why=md_code(", ".join(reasons)),
        letters=bare - len(empty),
        bare=bare,
        **{name: (acronyms == name).sum() for name in ("SB", "LVQRSAL", "IDC", "VPE")},
        fifth=-(-len(published) // 5),
        in_test=len(published.filter(split="test")),
    )


def _records(folder: Path) -> str:
    rows = []
    for task in tasks():
        splits = read_published(folder, task)["split"]
        counted = (len(class_names(task)), *((splits == split).sum() for split in SPLIT_NAMES))
        equal = "yes" if counted == PAPER[task] else "no"
        rows.append([task, *(f"{n:,}" for pair in zip(PAPER[task], counted, strict=True) for n in pair), equal])
    header = [
        "task",
        *(f"{what}, {who}" for what in ("classes", *SPLIT_NAMES) for who in ("paper", "files")),
        "equal",
    ]
    return _table(header, rows)


def _classes(table: pl.DataFrame) -> str:
    rows = []
    for code in (*class_names("csn"), TOTAL):
        cells = [code]
        for split in SPLIT_NAMES:
            (row,) = table.filter(code=code, split=split).iter_rows(named=True)
            cells += [f"{row[column]:,}" for column in ("published", "corrected", "differing")]
        rows.append(cells)
    columns = ("published", "corrected", "differ")
    return _table(["class", *(f"{split}, {column}" for split in SPLIT_NAMES for column in columns)], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    """Write the page."""
    if len(sys.argv) != 2:
        print("usage: python benchmarks/label_rules.py FOLDER (with MERL's split files)", file=sys.stderr)
        return 2
    try:
        PAGE.write_text(page(Path(sys.argv[1])), "utf-8")
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
