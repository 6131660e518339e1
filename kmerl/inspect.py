"""Print any artifact readably.

python -m kmerl.inspect                   what the pipeline has made so far, one line each
python -m kmerl.inspect PATH [PATH ...]   a raw record or archive, a table, a folder of the pipeline, a checkpoint ...
python -m kmerl.inspect label RECORD_ID   how a record's label vector came from its report; VARIANT behind it: of runs
                                          that mine reports in another way, a folder of data/labels
python -m kmerl.inspect cost              what asking a language model took in the last run of each stage
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from kmerl.archives.registry import recognise
from kmerl.artifacts import read_json
from kmerl.command_line import run
from kmerl.errors import UserError
from kmerl.escapes import screen
from kmerl.views.files import FILES
from kmerl.views.folders import FOLDERS, archive, folder
from kmerl.views.text import grid, size

ARTIFACTS = (
    "data/simulated/*", "data/raw/*", "data/fetched/*.json", "data/truth/*.parquet", "data/manifests/*.parquet",
    "data/waveforms/*", "data/entries/*.parquet", "data/splits/*.parquet", "data/statements/*.parquet",
    "data/targets/*.parquet", "data/label_differences/*.parquet", "data/rejected/*/*.parquet", "data/reports",
    "data/knowledge/*/extract/*", "data/knowledge/*/verify/*", "data/knowledge/*/merge",
    "data/knowledge/*/superclass", "data/unusable_answers.parquet", "data/labels/*",
    "data/embeddings/*", "data/runs/*", "data/scores/*/*",
    "data/features/*", "data/tables", "results/tables", "results/figures",
    "results/knowledge", "results/mining_quality/*", "results/cards", "results/metrics.json",
    "results/report.html", "results/quality.html", "results/quality.csv",
)  # fmt: skip
_MAIN_TABLE = {
    "waveforms": "records.parquet", "labels": "labels.parquet", "reports": "reports.parquet",
    "embeddings": "texts.parquet", "run": "history.parquet", "scores": "scores.parquet",
}  # fmt: skip


def kind(path: Path) -> tuple[str, Callable[[Path], str]]:
    """What a path holds, and the function that shows it.

    Raises:
        UserError: there is nothing, or nothing known.
    """
    if path.is_dir():
        for files, name, view in FOLDERS:
            if all(any(path.glob(file)) for file in files):
                return name, view
        return ("archive", archive) if recognise(path) else ("folder", folder)
    if path.is_file() and path.suffix in FILES:
        return path.suffix.removeprefix("."), FILES[path.suffix]
    if path.with_name(path.name + ".hea").is_file():  # WFDB tools name records without a suffix
        return "record", lambda one: FILES[".hea"](one.with_name(one.name + ".hea"))
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; run without arguments to see what there is")
    raise UserError(f"{path}: no kind of file that the project makes; the kinds are {', '.join(sorted(FILES))}")


def describe(path: Path) -> str:
    """An artifact as text.

    Raises:
        UserError: it is missing, unknown, or damaged.
    """
    name, view = kind(path)
    try:
        return view(path)
    except UserError:
        raise
    except Exception as error:  # a damaged file makes its reader raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not readable as {name} ({reason}); run its stage again") from None


def listing(patterns: tuple[str, ...] = ARTIFACTS) -> str:
    """One line per artifact below the working directory: path, kind, size, rows."""
    rows = list(_listed(patterns))
    if not rows:
        return "nothing has been made here yet; run the pipeline first, or name a path"
    return grid(["path", "kind", "size", "rows"], rows, indent="")


def _listed(patterns: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    for pattern in patterns:
        for path in sorted(Path().glob(pattern)):
            try:
                name = kind(path)[0]
            except UserError:
                continue
            # a raw archive may hold millions of files: its size is in the manifest
            yield str(path), name, "" if name == "archive" else size(path), _rows(path, name)


def _rows(path: Path, name: str) -> str:
    tables = sorted(path.rglob(_MAIN_TABLE[name])) if name in _MAIN_TABLE else [path]
    if any(table.suffix != ".parquet" for table in tables):
        return ""
    try:
        return f"{sum(pq.read_metadata(table).num_rows for table in tables):,}"
    except (OSError, ValueError):
        return "damaged"


def label(record_id: str, variant: str = "base") -> str:
    """How the label vector of a record came about, from the pipeline's own folders.

    Args:
        record_id: of the pretraining archive.
        variant: of the parameters that reports were mined by, a folder of ``data/labels``.

    Raises:
        UserError: the record has no report, or a stage's output is missing.
    """
    from kmerl.knowledge.trace import Folders, explain

    data = Path("data")
    steps = {name: data / "knowledge" / variant / name for name in ("extract", "verify", "merge", "superclass")}
    return explain(Folders(reports=data / "reports", labels=data / "labels" / variant, **steps), record_id)


def cost(logs: Path) -> str:
    """What each stage that asks a language model asked in its last run, and how long it took.

    Raises:
        UserError: no stage has run here.
    """
    rows = []
    for path in sorted(logs.glob("*.cost.json")):
        one = read_json(path)
        seconds, prompt = one["seconds"], one["prompt_tokens"]
        rows.append(
            (
                path.name.removesuffix(".cost.json"), one["engine"], one["model"], f"{one['questions']:,}",
                f"{one['kept']:,}", f"{one['asked']:,}", f"{prompt:,}", f"{one['completion_tokens']:,}",
                f"{one['cached_tokens'] / prompt:.0%}" if prompt else "", f"{seconds:.1f}",
            )
        )  # fmt: skip
    if not rows:
        raise UserError(f"{logs}: no stage that asks a language model has run here; run the pipeline first")
    header = ["stage", "engine", "model", "questions", "answered before", "asked", "tokens in", "tokens out",
              "in prefix cache", "seconds"]  # fmt: skip
    return grid(header, rows, indent="")


def main(argv: list[str]) -> int:
    """Returns the exit status: 1 if anything could not be shown."""
    if {"-h", "--help"} & set(argv):
        print(__doc__)
        return 0
    if not argv:
        print(screen(listing()))
        return 0
    status = 0
    traced = argv[0] == "label" and len(argv) in (2, 3)
    for name in argv[1:2] if traced else argv:
        try:
            if argv == ["cost"] and not Path("cost").exists():
                print(screen(cost(Path("logs"))))
            else:
                print(screen(label(*argv[1:]) if traced else f"{name}: {describe(Path(name))}"))
        except UserError as error:
            print(f"inspect: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    run(main)
