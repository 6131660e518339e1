"""Linear probes on frozen features, those that nothing was learnt for first."""

from collections.abc import Sequence

import polars as pl

from kmerl.escapes import md, md_code
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN
from kmerl.results import published
from kmerl.results.names import share_name, title
from kmerl.results.published import SIX, Published
from kmerl.results.scores import RECORDED, RunScores, baselines_first, pretrained, shares_of, tasks_of, with_data
from kmerl.tables.cells import empty, estimate, without_nan
from kmerl.tables.markdown import NOTHING, page, table
from kmerl.tables.origin import notice, provenance

COLUMNS = [
    "features", "pretrained", "dataset", "leads", "share", "metric", "value", "low", "high", "n", "train_records",
    "classes", "untrained", "published", "data",
]  # fmt: skip
PROBES = {
    "paper": "linear layer by the paper's protocol (Table 4)",
    "merl_code": "linear layer as MERL's released code trains it, the epoch chosen on test",
    "logistic": "penalised logistic regression",
}


def tidy(runs: Sequence[RunScores]) -> pl.DataFrame:
    """Macro AUC of all features, shares and tasks, then the published ones in rows of their own (:data:`COLUMNS`)."""
    ours = [
        with_data(run.rows(metric), run)
        .rename({"run": "features"})
        .with_columns(*empty("published"), pl.lit(pretrained(run)).alias("pretrained"), pl.col("untrained").list.len())
        .select(COLUMNS)
        for run in baselines_first(runs)
        for metric in (MACRO, MACRO_MIN)
    ]
    theirs = [
        {"features": f"{one.method} (published)", "pretrained": not one.method.startswith("random")}
        | {"dataset": one.dataset, "leads": one.lead_set, "share": one.share, "metric": MACRO, "published": one.auc}
        | {"data": RECORDED}
        for one in published.probes()
    ]
    missing = [pl.lit(None, pl.Int32).alias(name) for name in ("n", "train_records", "classes")]
    missing.append(pl.lit(None, pl.UInt32).alias("untrained"))
    frame = pl.DataFrame(theirs).with_columns(*empty("value", "low", "high"), *missing)
    return without_nan(pl.concat([*ours, frame.select(COLUMNS)]))


def markdown(runs: Sequence[RunScores], lead_counts: dict[str, int], confidence: float) -> str:
    """Averages per lead set, then every task, published rows below ours where the leads are as many.

    Args:
        runs: at least one.
        lead_counts: lead set -> number of its leads.
        confidence: of the intervals.
    """
    ordered, printed = baselines_first(runs), published.probes()
    shares, tasks = shares_of(runs), tasks_of(runs)
    lead_sets = list(dict.fromkeys(leads for run in runs for leads in run.lead_sets))
    bare = [md_code(run.name) for run in ordered if not pretrained(run)]
    parts = [
        "# Linear probes on frozen features: macro AUC",
        notice(runs),
        f"Cells: AUC on the evaluated split [{confidence:.0%} bootstrap interval over patients], by the share of the "
        "training split that the linear classifiers saw. A class that has no positive (or no negative) among these "
        "training records cannot be learnt: it counts with 0.5. The last row of each table says how many do.",
        f"**In bold: features without any pretraining ({', '.join(bare)}).** What they reach needs no pretraining; "
        "only what lies above them can be its merit."
        if bare
        else "",
        "Rows marked (published) are the K-MERL paper's Table 1, on recorded ECGs with 12 leads; their average is the "
        "mean of its six tasks. Its random rows are called Random Init there, under the heading From Scratch.",
        _classifiers(ordered),
        provenance(ordered),
    ]
    for leads in lead_sets:
        shown = [one for one in printed if one.leads == lead_counts.get(leads)]
        parts += [f"## Average over the tasks, shown: {md(leads)}", _table(ordered, AVERAGE, leads, shares, shown)]
    for task in tasks:
        parts.append(f"## {title(task)}")
        for leads in lead_sets:
            shown = [one for one in printed if one.leads == lead_counts.get(leads)]
            parts += [f"Shown: {md(leads)}", _table(ordered, task, leads, shares, shown)]
    return page(parts)


def _classifiers(runs: Sequence[RunScores]) -> str:
    """Which kind of classifier was trained on which features."""
    groups: dict[str, list[str]] = {}
    for run in runs:
        probe = str(run.metadata.get("probe", ""))
        groups.setdefault(PROBES.get(probe, probe), []).append(md_code(run.name))
    told = "; ".join(f"{', '.join(names)}: {probe}" for probe, names in groups.items() if probe)
    return f"Classifiers. {told}." if told else ""


def _table(
    runs: Sequence[RunScores], dataset: str, leads: str, shares: Sequence[float], printed: Sequence[Published]
) -> str:
    """Rows: features, then published methods; columns: shares."""
    body = []
    unknown: dict[float, int] = {}
    for run in runs:
        rows = {row["share"]: row for row in run.rows(dataset=dataset, leads=leads).iter_rows(named=True)}
        unknown |= {share: max(unknown.get(share, 0), len(row["untrained"])) for share, row in rows.items()}
        name = md_code(run.name) if pretrained(run) else f"**{md_code(run.name)}**"
        body.append([name, *[estimate(rows.get(share)) for share in shares]])
    theirs: dict[str, dict[float | None, float]] = {}
    for one in printed:
        if one.dataset == (SIX if dataset == AVERAGE else dataset):
            theirs.setdefault(one.method, {})[one.share] = one.auc
    for method, values in theirs.items():
        cells = [f"{values[share]:.3f}" if share in values else NOTHING for share in shares]
        body.append([f"{method} (published)", *cells])
    body.append(["Classes that count with 0.5", *[str(unknown.get(share, NOTHING)) for share in shares]])
    return table(["Features", *[share_name(share) for share in shares]], body)
