"""Engines beside each other on the same reports: what each extracts and verifies, at what cost, how far they agree.

    python benchmarks/compared.py ask FOLDER [NAME=VALUE ...]   one engine; NAME as below `knowledge` in params.yaml
    python benchmarks/compared.py compare FOLDER FOLDER ...     a table of all of them, against the simulated truth

Reports are the first ``reports`` distinct ones (default 120) of data/reports in an order drawn by their ids, so that
all engines get the same. Answers are kept in ``.answers`` as the pipeline keeps them.
"""

import json
import os
import sys
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from kmerl.archives.schemas import TRUTH
from kmerl.artifacts import read_table, write_json
from kmerl.documents import Cell, Count, Decimal, Paragraph, grid
from kmerl.documents.markdown import block
from kmerl.knowledge.asking import Asking, Tally
from kmerl.knowledge.extract import extract
from kmerl.knowledge.judging import Truth, by_report, is_found, overlap, truths
from kmerl.knowledge.params import KnowledgeParams
from kmerl.knowledge.schemas import MENTIONS, REPORTS, STUDIES, UNUSABLE, VERIFIED
from kmerl.knowledge.verify import verify
from kmerl.tables.mining_quality import Judged, compared


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
    section = json.loads(params.model_dump_json())
    write_json(folder / "run.json", {"reports": number, "params": section, "cost": cost})


def read(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """What an engine extracted and verified, and how."""
    verified = read_table(folder / "verify/verified.parquet", VERIFIED)
    unusable = pl.concat([read_table(folder / step / "unusable.parquet", UNUSABLE) for step in ("extract", "verify")])
    return verified, unusable, json.loads((folder / "run.json").read_text("utf-8"))


def compare(folders: list[Path]) -> str:
    """Quality of each engine against the simulated truth, cost, and agreement of each two, as Markdown."""
    truth = read_table("data/truth/mimic_iv_ecg.parquet", TRUTH)
    all_known = truths(truth, read_table("data/reports/studies.parquet", STUDIES))
    runs = {folder.name: read(folder) for folder in folders}
    (number,) = {run["reports"] for _, _, run in runs.values()}
    known = {report_id: all_known[report_id] for report_id in drawn(number)["report_id"]}
    judged = {name: Judged(verified, known) for name, (verified, _, _) in runs.items()}
    rows: list[list[Cell]] = []
    for name, (_, unusable, run) in runs.items():
        cost = run["cost"]
        seconds = [Decimal(cost[step]["seconds"] / max(cost[step]["asked"], 1), 2) for step in ("extract", "verify")]
        tokens = [Count(sum(step[kind] for step in cost.values())) for kind in ("prompt_tokens", "completion_tokens")]
        questions = Count(sum(step["questions"] for step in cost.values()))
        rows.append([name, questions, Count(unusable.height), *tokens, *seconds])
    header = ["Engine", "Questions", "Unusable", "Tokens in", "Tokens out", "s per extraction", "s per verification"]
    pairs: list[list[Cell]] = []
    for one, other in combinations(runs, 2):
        sets = [by_report(runs[name][0]) for name in (one, other)]
        kept = [by_report(runs[name][0].filter("kept")) for name in (one, other)]
        meant = [findings(each, known) for each in kept]
        shares = [Decimal(overlap(*each, known)) for each in (sets, kept, meant)]
        pairs.append([one, other, *shares, _same_answers(runs, one, other)])
    asserted = sum(len(one.asserted) for one in known.values())
    compares = ["", "", "Names extracted", "Names kept", "Findings kept", "Same verdict on the same name"]
    blocks = [
        Paragraph(f"{number} distinct reports of the demo, {asserted} asserted findings."),
        compared(judged),
        grid(header, rows, right=range(1, 7)),
        grid(compares, pairs, right=range(2, 6)),
    ]
    return "\n\n".join(map(block, blocks)) + "\n"


def findings(entities: dict[str, list[str]], known: dict[str, Truth]) -> dict[str, list[str]]:
    """What the names of each report mean, of all that it speaks of, asserted or not."""
    spoken = {report: truth.asserted | truth.not_excluded | truth.denied for report, truth in known.items()}
    return {report: [key for key in keys if is_found(key, entities.get(report, ()))] for report, keys in spoken.items()}


def _same_answers(runs: dict[str, Any], one: str, other: str) -> str:
    """How often YES or NO is the same where both were asked about the same entity of a report."""
    both = runs[one][0].join(runs[other][0], on=["report_id", "entity"])
    same = int((both["answer"] == both["answer_right"]).sum())
    return f"{same} of {both.height}"


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(Path(sys.argv[2]), sys.argv[3:])
    else:
        print(compare([Path(name) for name in sys.argv[2:]]))
