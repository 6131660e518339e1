"""Mean and spread over seeds of results/tables/queries_auc.csv: items whose names differ in their last number.

make profile NAME=queries && .venv/bin/snakemake --cores all && .venv/bin/python benchmarks/seeds.py
"""

import sys
from pathlib import Path

import polars as pl

from kmerl.escapes import csv_text, md

TABLE = Path("results/tables/queries_auc.csv")


def main() -> int:
    """Print a Markdown table: a row per lead set, kind of run and way of asking, a column per group of classes."""
    if not TABLE.exists():
        print(f"{TABLE}: no such file; run the pipeline first", file=sys.stderr)
        return 1
    kind = pl.col("run").str.replace(r"-\d+$", "").alias("kind")
    seeds = (
        pl.read_csv(TABLE)
        .filter(dataset="average")
        .with_columns(kind)
        .group_by("leads", "kind", "way", "group", maintain_order=True)
        .agg(pl.col("value").mean().alias("mean"), pl.col("value").std().alias("spread"), pl.len().alias("seeds"))
    )
    groups = seeds["group"].unique(maintain_order=True).to_list()
    print(f"Mean ± standard deviation over {seeds['seeds'].min()} seeds.\n")
    print("| leads | run | way | " + " | ".join(groups) + " |\n|---|---|---|" + "---|" * len(groups))
    for (leads, name, way), rows in seeds.group_by("leads", "kind", "way", maintain_order=True):
        cells = {row["group"]: f"{row['mean']:.3f} ± {row['spread'] or 0:.3f}" for row in rows.iter_rows(named=True)}
        where = " | ".join(md(csv_text(str(one))) for one in (leads, name, way))
        print(f"| {where} | " + " | ".join(cells.get(group, "") for group in groups) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
