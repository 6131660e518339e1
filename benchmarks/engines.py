"""Engines beside each other on the same reports: what each extracts and verifies, at what cost, how far they agree.

    python benchmarks/engines.py ask FOLDER [NAME=VALUE ...]   one engine; NAME as below `knowledge` in params.yaml
    python benchmarks/engines.py compare FOLDER FOLDER ...     a table of all of them, against the simulated truth

Reports are the first ``reports`` distinct ones (default 120) of data/reports in an order drawn by their ids, so that
all engines get the same. Answers are kept in ``.answers`` as the pipeline keeps them.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from kmerl.artifacts import read_table, write_json
from kmerl.knowledge.asking import Asking, Tally
from kmerl.knowledge.extract import MENTIONS, extract
from kmerl.knowledge.params import KnowledgeParams
from kmerl.knowledge.verify import VERIFIED, verify
from kmerl.reports import REPORTS


def settings(changes: list[str]) -> tuple[KnowledgeParams, int]:
    """The parameters of params.yaml with changes such as ``engine.name=vllm``, and the number of reports."""
    values = yaml.safe_load(Path("params.yaml").read_text("utf-8"))["knowledge"]
    reports = 120
    for change in changes:
        name, _, text = change.partition("=")
        if name == "reports":
            reports = int(text)
            continue
        *parents, last = name.split(".")
        section = values
        for parent in parents:
            section = section[parent]
        section[last] = yaml.safe_load(text)
    return KnowledgeParams.model_validate(values), reports


def drawn(number: int) -> pl.DataFrame:
    """Distinct reports in an order that says nothing about them: that of a hash of their ids."""
    reports = read_table("data/reports/reports.parquet", REPORTS)
    return reports.sort(pl.col("report_id").str.reverse())[:number]


def ask(folder: Path, changes: list[str]) -> None:
    """Let one engine extract and verify."""
    params, number = settings(changes)
    reports, told = drawn(number), dict[str, Tally]()
    store = Path(os.environ.get("KMERL_ANSWERS") or ".answers")
    for step in ("extract", "verify"):
        asking = Asking(params.engine, params.ask, store, lambda tally, step=step: told.update({step: tally}))
        if step == "extract":
            extract(reports, asking, params.extract, folder / step)
        else:
            mentions = read_table(folder / "extract/mentions.parquet", MENTIONS)
            verify(reports, mentions, asking, params.verify, folder / step)
        print(step, told[step], flush=True)
    cost = {step: asdict(tally) for step, tally in told.items()}
    write_json(folder / "run.json", {"params": json.loads(params.model_dump_json()), "cost": cost})


def read(folder: Path) -> dict[str, Any]:
    """What an engine made."""
    return {
        "mentions": read_table(folder / "extract/mentions.parquet", MENTIONS),
        "verified": read_table(folder / "verify/verified.parquet", VERIFIED),
        "run": json.loads((folder / "run.json").read_text()),
    }


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(Path(sys.argv[2]), sys.argv[3:])
