"""Can these ECGs be read? Reads everything below a folder and tells.

python -m kmerl.archives check data/raw                  archives side by side, each recognised by its tables
python -m kmerl.archives check my_ecgs --csv found.csv   loose .hea, .dat and .mat files, one line each in a CSV file
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from tqdm import tqdm

from kmerl.archives.check.find import Finder, Others
from kmerl.archives.check.params import DEFAULTS, described, params_of
from kmerl.archives.check.read import read_all
from kmerl.archives.check.rows import Row
from kmerl.archives.check.show import text
from kmerl.archives.check.summary import Summary
from kmerl.artifacts import whole
from kmerl.command_line import Parser
from kmerl.errors import UserError
from kmerl.escapes import csv_cell, screen
from kmerl.leads import from_bit_mask
from kmerl.processors import processors

COLUMNS = (
    "archive", "record_id", "path", "status", "flags", "reason", "detail", "fs", "seconds", "leads", "patient",
)  # fmt: skip
PARAMS = Path("params.yaml")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="python -m kmerl.archives check", description=__doc__,
        epilog=f"Records are prepared as the section preprocess of {PARAMS} says where a project has one, "
        f"else for {described(DEFAULTS)}. The exit status is 0 if at least one record can be used, else 1.",
    )  # fmt: skip
    add = result.add_argument
    add("folder", type=Path, metavar="FOLDER", help="is searched with all folders below it")
    add("--csv", type=Path, metavar="FILE", help="write one line per record")
    add("--processes", type=int, default=processors(), metavar="N", help="that read (default: all cores)")
    add("--fs", type=int, metavar="HZ", help="sampling rate to bring records to")
    add("--seconds", type=float, metavar="S", help="length to crop or pad records to")
    add("--min-seconds", type=float, metavar="S", help="reject shorter records")
    add("--min-leads", type=int, metavar="N", help="reject records with fewer usable leads")
    return result


def main(argv: Sequence[str]) -> int:
    """Returns the exit status: 0 if a record can be used, 1 if none can or after one line about what is wrong."""
    try:
        arguments = parser().parse_args(argv)
        summary, answer = _check(arguments)
        print(screen(answer), flush=True)
        return 0 if summary.total().usable else 1
    except UserError as error:
        print(f"check: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("check: interrupted", file=sys.stderr)
    return 1


def _check(arguments: argparse.Namespace) -> tuple[Summary, str]:
    """The counts, and the answer in words."""
    names = ("fs", "seconds", "min_seconds", "min_leads")
    params, source = params_of(PARAMS, {name: getattr(arguments, name) for name in names})
    if arguments.processes < 1:
        raise UserError(f"--processes {arguments.processes}; give 1 or more")
    folder, summary, others = arguments.folder, Summary(), Others()
    finder = Finder(folder, others)
    with (
        csv_writer(arguments.csv) as write,
        tqdm(
            read_all(finder, params, arguments.processes), "check", unit=" records", disable=None, mininterval=1
        ) as rows,
    ):
        for row in rows:
            summary.add(row)
            write(row)
    if not summary.groups and not others.files:
        raise UserError(f"{folder}: an empty folder; name the folder that holds the archives or records")
    return summary, text(str(folder), f"prepared for {described(params)} ({source})", summary, others)


@contextmanager
def csv_writer(path: Path | None) -> Iterator[Callable[[Row], object]]:
    """A function that writes a row; of nothing without a path.

    Raises:
        UserError: the file cannot be written.
    """
    if path is None:
        yield lambda row: None
        return
    if path.is_dir():
        raise UserError(f"{path}: a folder; give --csv the name of a file")
    if path.parent.is_file():
        raise UserError(f"{path.parent}: a file stands where a folder belongs; give --csv another name")
    # a name that is no text is written with escapes, so that the file is UTF-8 whatever names there are
    with whole(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        # the dialect's own line end, cut off again, has a carriage return in a name quoted
        writer = csv.writer(SimpleNamespace(write=lambda line: file.write(line.removesuffix("\r\n") + "\n")))
        writer.writerow(COLUMNS)
        yield lambda row: writer.writerow(cells(row))


def cells(row: Row) -> list[str]:
    """A row in the order of :data:`COLUMNS`, none of it a formula."""
    fs, seconds = (f"{value:.6g}" if value is not None else "" for value in (row.fs, row.seconds))
    texts = [
        row.group.name, row.record_id, row.path, row.status, " ".join(row.flags), row.reason, row.detail, fs, seconds,
        " ".join(from_bit_mask(row.leads)), row.patient or "",
    ]  # fmt: skip
    return [csv_cell(text) for text in texts]
