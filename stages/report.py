"""Write one page with everything that was run, found and left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from kmerl.artifacts import read_json, read_table, whole
from kmerl.documents import Grid, grid
from kmerl.documents.numbers import count
from kmerl.knowledge.hierarchy import hierarchy
from kmerl.knowledge.schemas import STUDIES, TRACE, UNLABELLED, UNUSABLE, UNUSED, VERIFIED
from kmerl.knowledge.vocabulary import load_vocabulary
from kmerl.page import facts, rejected, results
from kmerl.page.facts import Archive
from kmerl.page.headline import headlines
from kmerl.page.page import Page, render
from kmerl.page.values import flat, value
from kmerl.parts import read_parts
from kmerl.results.runs import Run, read_run, records_per_step
from stages._places import knowledge, labels
from stages._stores import open_store, rejected_records

OUT = Path("results/report.html")
DATA, TABLES, FIGURES = Path("data"), Path("data/tables"), Path("results/figures")
REPORTS, LABELS, KNOWLEDGE = DATA / "reports", labels(), knowledge()


def archives(params: Any) -> Iterator[Archive]:
    """The pretraining archive, then those that are evaluated; others were not used and are left out."""
    evaluated = list(params.evaluation.archives)
    for name in dict.fromkeys([params.pretraining_archive, *evaluated]):
        store = open_store(name)
        records = store.records.select("patient_id", "leads", "flags", "split", "fs")
        use = ["pretraining"] * (name == params.pretraining_archive) + ["evaluation"] * (name in evaluated)
        yield Archive(name, store.origin, ", ".join(use), records, rejected_records(name).height)


def left_out(params: Any, names: list[str]) -> Grid:
    """Everything that some stage could not use."""
    tables = [
        rejected.left_out(f"Records of {name}", rejected_records(name), "reason", "record_id", "detail")
        for name in names
    ]
    lost = {step: read_parts(KNOWLEDGE / step, "unusable.parquet", UNUSABLE) for step in ("extract", "verify")}
    lost |= {step: read_table(KNOWLEDGE / step / "unusable.parquet", UNUSABLE) for step in ("merge", "superclass")}
    verified = read_parts(KNOWLEDGE / "verify", "verified.parquet", VERIFIED)
    denied = verified.filter(answer="no").with_columns(reason=pl.lit("denied"))
    guarded = verified.filter("flagged").with_columns(
        reason=pl.when("occurs").then(pl.lit("denied in the report")).otherwise(pl.lit("not written in the report"))
    )
    unlabelled = read_table(LABELS / "rejected.parquet", UNLABELLED)
    return rejected.grid(
        [
            *tables,
            rejected.left_out("Reports", read_table(REPORTS / "rejected.parquet", UNUSED), "reason",
                              "record_id", "text"),
            *(rejected.left_out(f"Answers to {step}", table, "reason", "request", "answer")
              for step, table in lost.items()),
            rejected.left_out("Entities not confirmed", denied, "reason", "report_id", "entity"),
            rejected.left_out("Entities flagged", guarded, "reason", "report_id", "entity"),
            rejected.checks("Answer to merge, mended", read_json(KNOWLEDGE / "merge/checks.json")),
            rejected.checks("Answer to superclass, mended", read_json(KNOWLEDGE / "superclass/checks.json")),
            rejected.left_out("Label vectors", unlabelled, "reason", "record_id"),
        ]
    )  # fmt: skip


def identity(params: Any, vocabulary_hash: str, runs: list[Run]) -> Grid:
    """What tells these results from others."""
    rows = [("Seed", str(params.seed)), ("Vocabulary, hash of its queries", vocabulary_hash)]
    rows += [(f"Weights of {one.name}, SHA-256", one.digest) for one in runs]
    return grid(["What", "Value"], rows)


def batch(params: Any, run: str) -> int:
    """Records per step of a run, over all its processes."""
    loop = params.pretrain.loop.model_dump() | params.plan.pretrain[run]["pretrain"].get("loop", {})
    return records_per_step(loop)


def changes(params: Any) -> dict[str, dict[str, Any]]:
    """Run -> what it lays over the parameters, by sections."""
    return {
        name: {
            "pretrain": run.pretrain, "methods": {run.method: run.options}, "text": run.text, "knowledge": run.knowledge
        }
        for name, run in params.runs.items()
    }  # fmt: skip


def main(params: Any) -> str:
    """Write ``results/report.html``."""
    stores, runs = list(archives(params)), [read_run(DATA / "runs" / name, name) for name in params.plan.pretrain]
    vocabulary, summary = load_vocabulary(LABELS), read_json(LABELS / "summary.json")
    studies, trace = read_table(REPORTS / "studies.parquet", STUDIES), read_table(LABELS / "trace.parquet", TRACE)
    verified, merged = (
        read_parts(KNOWLEDGE / "verify", "verified.parquet", VERIFIED), read_json(KNOWLEDGE / "merge/merged.json")
    )  # fmt: skip
    metrics = flat(read_json("results/metrics.json"))
    scores, pairs = (read_table(TABLES / f"{name}.parquet") for name in ("zeroshot_auc", "comparisons_auc"))
    sections, tables = results.read_tables(TABLES)
    methods = {one.name: str(one.config.get("title")) for one in runs if one.config.get("steps")}
    page = Page(
        archives=stores,
        headlines=headlines(scores, pairs, methods, list(params.zeroshot.leads)),
        facts={
            "archives": facts.archive_grid(stores),
            "flags": facts.flag_grid(stores),
            "runs": facts.run_grid(runs, {name: batch(params, name) for name in params.plan.pretrain}),
            "suites": facts.suite_grid(params.suites, params.runs),
            "differences": facts.differences(
                {name: getattr(params, name) for name in ("pretrain", "methods", "text", "knowledge")}, changes(params)
            ),
            "parameters": facts.parameter_grid(vars(params)),
            "steps": facts.steps(studies["report_id"].n_unique(), verified, merged, summary),
            "left_out": left_out(params, [one.name for one in stores]),
            "identity": identity(params, vocabulary.hash, runs),
            "metrics": grid(["Metric", "Value"], [[name, value(one)] for name, one in metrics.items()], [1]),
        },
        cards=list(methods),
        hierarchy=hierarchy(vocabulary, trace, studies),
        sections=sections,
        figures=results.read_figures(FIGURES, DATA / "figures.json"),
        tables=tables,
        confidence=params.evaluation.confidence,
    )
    text = render(page)
    with whole(OUT) as temporary:
        temporary.write_text(text, "utf-8")
    size = len(text.encode()) / 1e6
    return f"{len(page.tables)} tables, {len(page.figures)} figures, {count(len(trace))} traced bits; {size:.1f} MB"
