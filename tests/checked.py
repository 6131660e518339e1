"""Runs of ``python -m kmerl.archives check``, and archives for it."""

import csv
from collections import Counter
from pathlib import Path

from archives import (
    noise,
    ptb_xl_tables,
    write_cpsc2018,
    write_csn,
    write_mimic,
    write_record,
)

from kmerl.archives.check import command

STUDIES = {str(i): (str(i % 3), ["Sinus rhythm"]) for i in range(11, 15)}


class Checked:
    """What a run of the command gave."""

    def __init__(self, capsys, folder, *options):
        table = Path("found.csv")
        self.status = command.main([str(folder), "--csv", str(table), "--processes", "1", *options])
        self.out, self.err = capsys.readouterr()
        self.rows = list(csv.DictReader(table.open(encoding="utf-8", newline=""))) if table.exists() else []

    def counts(self):
        return dict(Counter((row["archive"], row["status"]) for row in self.rows))

    def reasons(self):
        return {row["path"] or row["record_id"]: row["reason"] for row in self.rows if row["reason"]}


def write_ptb_xl(folder):
    ptb_xl_tables(folder, [(str(i), "7.0", i, "{'NORM': 100.0}") for i in range(1, 4)])
    for i in range(1, 4):
        write_record(folder / f"records500/{i}_hr", noise(i))
        write_record(folder / f"records100/{i}_lr", noise(i, samples=1000), fs=100)


def write_all(folder):
    """The four archives side by side, some of them deeper."""
    write_mimic(folder / "mimic", STUDIES)
    write_ptb_xl(folder / "deep/er/ptb")
    write_cpsc2018(folder / "cpsc", {"A0001": "1", "A0002": "5,7"})
    write_csn(folder / "deep/csn", {"JS1": "1000", "JS2": "1001"})


def write_mirror(folder, n=3):
    """CPSC2018 as PhysioNet has it."""
    for i in range(1, n + 1):
        path = folder / f"A{i:04d}"
        write_record(path, noise(i))
        with path.with_suffix(".hea").open("a") as file:
            file.write("#Dx: 426783006\n")
