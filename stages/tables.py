"""Write the tables of all scores, with the published ones beside them."""

from pathlib import Path
from typing import Any

import polars as pl

from kmerl.artifacts import for_spreadsheets, whole, write_json, write_table
from kmerl.documents.document import Document, write_document
from kmerl.documents.markdown import markdown
from kmerl.tables import differences, partial, probes, queries, scopes, zeroshot
from kmerl.tables.metrics import metrics
from stages._scores import counts_of, read_scores

DIGITS = 6  # in CSV files


def main(params: Any) -> str:
    """Write ``results/tables/``, ``results/metrics.json``, and ``data/tables/``, from which the page is made."""
    runs, partials, features = read_scores(params)
    sure, lead_counts = params.evaluation.confidence, counts_of(params, features)
    compared = differences.tidy(runs, lead_counts, sure)
    made: dict[str, tuple[pl.DataFrame, Document]] = {
        "zeroshot_auc": (
            zeroshot.tidy(runs), zeroshot.for_people(runs, params.evaluation.min_positives, sure)
        ),
        "zeroshot_scopes_auc": (scopes.tidy(runs), scopes.for_people(runs, sure)),
        "zeroshot_auc_by_class": (zeroshot.tidy_by_class(runs), zeroshot.classes_for_people(runs, sure)),
        "queries_auc": (
            queries.tidy(runs), queries.for_people(runs, compared, params.zeroshot.seen_similarity, sure)
        ),
        "comparisons_auc": (compared, differences.for_people(compared, runs, sure)),
        "linear_probe_auc": (probes.tidy(features), probes.for_people(features, lead_counts, sure)),
        "partial_leads_auc": (partial.tidy(partials, sure), partial.for_people(partials, sure)),
    }  # fmt: skip
    with whole(Path("results/tables")) as folder, whole(Path("data/tables")) as data:
        folder.mkdir()
        for name, (frame, document) in made.items():
            for_spreadsheets(frame).write_csv(folder / f"{name}.csv", float_precision=DIGITS)
            (folder / f"{name}.md").write_text(markdown(document), "utf-8")
            write_table(data / f"{name}.parquet", frame, frame.to_arrow().schema)
            write_document(data / f"{name}.json", document)
    write_json("results/metrics.json", metrics(runs, partials, features))
    rows = sum(frame.height for frame, _ in made.values())
    return f"{len(runs)} runs, {len(features)} sets of features, {len(made)} tables of {rows} rows"
