"""What was run: archives, runs, parameters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from kmerl.archives.schemas import SPLIT_NAMES
from kmerl.documents import Cell, Count, Decimal, Grid, grid
from kmerl.documents.numbers import count
from kmerl.leads import LEADS
from kmerl.model.params import EncoderParams
from kmerl.origins import SIMULATED
from kmerl.page.texts import explain
from kmerl.page.values import flat, plain, value
from kmerl.results.runs import Run


@dataclass(frozen=True)
class Archive:
    """One archive as it lies in its waveform store.

    Attributes:
        name, origin: the latter ``simulated`` or ``recorded``.
        use: pretraining, evaluation, or both.
        records: columns patient_id, leads (bit mask), flags, split, fs.
        rejected: number of records that could not be used.
    """

    name: str
    origin: str
    use: str
    records: pl.DataFrame
    rejected: int


def archive_grid(archives: Sequence[Archive]) -> Grid:
    """Records per split, patients, leads."""
    header = ["Archive", "Data", "Used for", *SPLIT_NAMES, "Rejected", "Patients", "With all 12 leads", "Recorded at"]
    rows: list[list[Cell]] = []
    for one in archives:
        splits = Counter(one.records["split"].to_list())
        patients = one.records["patient_id"].drop_nulls().n_unique()
        whole = int((one.records["leads"] == (1 << len(LEADS)) - 1).sum())
        rates = ", ".join(f"{rate:g}" for rate in sorted(one.records["fs"].unique().to_list()))
        rows.append(
            [
                one.name,
                one.origin.upper() if one.origin == SIMULATED else one.origin,
                one.use,
                *(Count(splits[split]) for split in SPLIT_NAMES),
                Count(one.rejected),
                Count(patients) if patients else "not named",
                Count(whole),
                f"{rates} Hz" if rates else None,
            ]
        )
    return grid(header, rows, range(3, 9))


def flag_grid(archives: Sequence[Archive]) -> Grid:
    """What was found or mended, and in how many records of each archive."""
    counts = {one.name: Counter(one.records["flags"].explode().drop_nulls().to_list()) for one in archives}
    flags = sorted({flag for of_one in counts.values() for flag in of_one})
    rows = [[flag, explain("flags", flag), *(Count(counts[one.name][flag]) for one in archives)] for flag in flags]
    header = ["Flag", "Meaning", *(one.name for one in archives)]
    return grid(header, rows, range(2, len(header)))


def run_grid(runs: Sequence[Run], batch: Mapping[str, Any]) -> Grid:
    """Each run's method, size, training and weights; ``batch``: run -> records per step."""
    header = [
        "Run", "Method", "Encoder", "Weights", "Steps", "Batch", "Pretrained on", "Last loss", "Validation AUC",
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for run in runs:
        config, trained = run.config, run.config.get("trained_on") or {}
        encoder = (config.get("model") or {}).get("encoder") or {}
        size = f", {EncoderParams.model_validate(encoder).width} wide" if encoder else ""
        on = f"{trained.get('archive')} ({trained.get('origin')}), {count(trained.get('records') or 0)} records"
        rows.append(
            [
                run.name,
                str(config.get("title")),
                f"{encoder.get('kind', '')}{size}".removeprefix(", "),
                Count(run.weights),
                Count(config.get("steps") or 0),
                value(batch.get(run.name)),
                on if config.get("steps") else "nothing: as initialised",
                *(None if one is None else Decimal(one) for one in (run.loss, run.valid_auc)),
            ]
        )
    return grid(header, rows, [3, 4, 5, 7, 8])


def suite_grid(suites: Mapping[str, Any], runs: Mapping[str, Any]) -> Grid:
    """Each suite's runs, by what people call them, what is evaluated of them and what they are compared with.

    Args:
        suites: of the parameters, by name.
        runs: of the parameters, by name.
    """

    def called(name: str) -> str:
        told = "; ".join(one for one in (runs[name].title, runs[name].paper) if one)
        return f"{name} ({told})" if told else name

    rows = [
        [one.title, ", ".join(map(called, one.runs)), ", ".join(one.evaluations), one.compare_with or "one another"]
        for one in suites.values()
    ]
    return grid(["Suite", "Runs", "Evaluated by", "Compared with"], rows)


def differences(base: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]]) -> Grid:
    """One row per parameter that a run changes: its value in the base and what each run makes of it.

    Args:
        base: sections of the parameters by name.
        runs: run -> what it lays over them, by the same names.
    """
    tree = {name: plain(section) for name, section in base.items()}
    base = flat(tree)
    changes = {
        run: {name: one for name, one in flat(changed).items() if name and one != _find(tree, name)}
        for run, changed in runs.items()
    }
    changed = {name for of_run in changes.values() for name in of_run}
    # a whole section may be replaced, e.g. `query: null`
    names = [*(name for name in base if name in changed), *sorted(changed - {*base})]
    rows = [
        [
            name,
            value(_find(tree, name)),
            *(value(of_run[name]) if name in of_run else "" for of_run in changes.values()),
        ]
        for name in names
    ]
    return grid(["Parameter", "All others", *runs], rows)


def _find(tree: Any, name: str) -> Any:
    """The part of a tree with a dotted name; None if there is none."""
    for key in name.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def parameter_grid(sections: Mapping[str, Any]) -> Grid:
    """Every parameter by its dotted name."""
    rows = [
        [name, value(one)] for section, inner in sections.items() for name, one in flat(inner, f"{section}.").items()
    ]
    return grid(["Parameter", "Value"], rows)


def steps(reports: int, verified: pl.DataFrame, merged: Mapping[str, str], summary: Mapping[str, Any]) -> Grid:
    """What each step of the chain was given and made.

    Args:
        reports: number of distinct texts.
        verified: columns answer, kept; one row per report and extracted entity.
        merged: original name -> merged name.
        summary: of the labels stage.
    """
    rows = [
        ("Reports", "distinct texts, of all records that have a usable one", reports),
        ("Extract", "entities found, one for each report that names it", verified.height),
        ("Verify", "of these confirmed on a second question", int(verified["kept"].sum())),
        ("Merge", "distinct names among the confirmed ones", len(merged)),
        ("", "entities after merging names of one meaning", len({*merged.values()})),
        ("Superclass", "queries added for superclasses that are no entities themselves", summary["superclasses"]),
        ("Labels", "queries in all: the width of a label vector", summary["queries"]),
        ("", "records with a label vector", summary["labelled"]),
        ("", "of these with a vector of zeros: the report asserts no entity", summary["without_entities"]),
    ]
    return grid(["Step", "What", "Count"], [[step, what, Count(n)] for step, what, n in rows], [2])
