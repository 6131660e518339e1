"""Write the tables of all scores, with the published ones beside them."""

from pathlib import Path
from typing import Any

import polars as pl

from kmerl.artifacts import for_spreadsheets, whole, write_json
from kmerl.tables import differences, partial, probes, queries, scopes, zeroshot
from kmerl.tables.metrics import metrics
from stages._scores import counts_of, read_scores

DIGITS = 6  # in CSV files


def main(params: Any) -> str:
    """Write ``results/tables/`` and ``results/metrics.json``."""
    runs, partials, features = read_scores(params)
    sure, lead_counts = params.evaluation.confidence, counts_of(params, features)
    compared = differences.tidy(runs, params.plan.compare, lead_counts, sure)
    written: dict[str, tuple[pl.DataFrame, str]] = {
        "zeroshot_auc": (
            zeroshot.tidy(runs), zeroshot.markdown(runs, params.evaluation.min_positives, sure)
        ),
        "zeroshot_scopes_auc": (scopes.tidy(runs), scopes.markdown(runs, sure)),
        "zeroshot_auc_by_class": (zeroshot.tidy_by_class(runs), zeroshot.markdown_by_class(runs, sure)),
        "queries_auc": (
            queries.tidy(runs), queries.markdown(runs, compared, params.zeroshot.seen_similarity, sure)
        ),
        "comparisons_auc": (compared, differences.markdown(compared, runs, sure)),
        "linear_probe_auc": (probes.tidy(features), probes.markdown(features, lead_counts, sure)),
        "partial_leads_auc": (partial.tidy(partials, sure), partial.markdown(partials, sure)),
    }  # fmt: skip
    with whole(Path("results/tables")) as folder:
        folder.mkdir()
        for name, (frame, text) in written.items():
            for_spreadsheets(frame).write_csv(folder / f"{name}.csv", float_precision=DIGITS)
            (folder / f"{name}.md").write_text(text, "utf-8")
    write_json("results/metrics.json", metrics(runs, partials, features))
    rows = sum(frame.height for frame, _ in written.values())
    return f"{len(runs)} runs, {len(features)} sets of features, {len(written)} tables of {rows} rows"
