"""Write what the mining of reports made: counts, tree and figure of queries, frequent reports, cost."""

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from kmerl.artifacts import for_spreadsheets, read_json, read_metadata, read_table, whole, write_table
from kmerl.documents.markdown import markdown
from kmerl.knowledge.hierarchy import hierarchy
from kmerl.knowledge.schemas import REPORTS, STUDIES, TRACE, UNUSABLE, VERIFIED
from kmerl.knowledge.vocabulary import load_vocabulary
from kmerl.origins import SIMULATED
from kmerl.parts import parts_of, read_parts
from kmerl.plots.hierarchy import hierarchy_figure
from kmerl.plots.style import look, save
from kmerl.tables import mining
from stages._places import REPORTS as REPORTS_FOLDER
from stages._places import knowledge, labels

OUT, KNOWLEDGE, LABELS = Path("results/knowledge"), knowledge(), labels()
LOST = Path("data/unusable_answers.parquet")
DIGITS = 6


def unusable() -> pl.DataFrame:
    """All answers that could not be used, with the step that asked."""
    tables = {step: read_parts(KNOWLEDGE / step, "unusable.parquet", UNUSABLE) for step in ("extract", "verify")}
    tables |= {step: read_table(KNOWLEDGE / step / "unusable.parquet", UNUSABLE) for step in ("merge", "superclass")}
    return pl.concat([table.select(pl.lit(step).alias("step"), *UNUSABLE.names) for step, table in tables.items()])


def main(params: Any) -> str:
    """Write ``results/knowledge/`` and ``data/unusable_answers.parquet``."""
    reports = read_table(REPORTS_FOLDER / "reports.parquet", REPORTS)
    studies = read_table(REPORTS_FOLDER / "studies.parquet", STUDIES)
    verified = read_parts(KNOWLEDGE / "verify", "verified.parquet", VERIFIED)
    merged, lost = read_json(KNOWLEDGE / "merge" / "merged.json"), unusable()
    origin = str(read_metadata(REPORTS_FOLDER / "studies.parquet").get("origin", ""))
    found = hierarchy(load_vocabulary(LABELS), read_table(LABELS / "trace.parquet", TRACE), studies)
    folders = {step: parts_of(KNOWLEDGE / step) for step in ("extract", "verify")}
    folders |= {step: [KNOWLEDGE / step] for step in ("merge", "superclass")}
    costs = {step: [read_json(folder / "cost.json") for folder in each] for step, each in folders.items()}
    frames = {
        "steps": mining.counts(reports.height, studies.height, verified, merged, read_json(LABELS / "summary.json")),
        "reports": mining.frequent(reports, verified, lost.filter(step="extract"), merged),
        "cost": mining.costs(costs, studies.height),
    }
    texts = {
        "steps.md": markdown(mining.counts_for_people(frames["steps"], origin)),
        "reports.md": markdown(mining.frequent_for_people(frames["reports"], origin)),
        "cost.md": markdown(mining.costs_for_people(frames["cost"], origin)),
        "hierarchy.txt": mining.tree(found, origin),
    }
    with whole(OUT) as folder:
        folder.mkdir()
        for name, frame in frames.items():
            for_spreadsheets(frame).write_csv(folder / f"{name}.csv", float_precision=DIGITS)
        for name, text in texts.items():
            (folder / name).write_text(text, "utf-8")
        with look():
            note = f"{studies.height:,} records{', simulated' if origin == SIMULATED else ''}; bars: records"
            save(hierarchy_figure(found, note), folder / "hierarchy", params.figures.dpi)
    write_table(LOST, lost, pa.schema([pa.field("step", pa.string(), False), *UNUSABLE]))
    return f"{len(found.groups)} superclasses, {len(found.alone)} entities in none, {lost.height} unusable answers"
