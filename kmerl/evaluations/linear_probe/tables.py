"""Linear probes on frozen features, those that nothing was learnt for first."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from kmerl.documents import (
    Block,
    Bold,
    Caption,
    Cell,
    Code,
    Count,
    Decimal,
    Document,
    Grid,
    Heading,
    Text,
    document,
    estimate,
    grid,
    listed,
)
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN
from kmerl.evaluations.linear_probe.scores import baselines_first, kinds_of, lead_counts, pretrained, shares_of
from kmerl.origins import RECORDED
from kmerl.results import published
from kmerl.results.names import PROBES, SCOPES, share_name, title
from kmerl.results.published import SIX, Published
from kmerl.results.scores import RunScores, tasks_of, with_data
from kmerl.tables.metrics import tree
from kmerl.tables.origin import caveat, notice, provenance
from kmerl.tables.table import Section, Table, tidied

COLUMNS = [
    "features", "pretrained", "probe", "dataset", "leads", "share", "metric", "value", "low", "high", "seeds",
    "deviation", "draws", "spread", "n", "train_records", "classes", "untrained", "published", "data",
]  # fmt: skip
TOLD = {
    "paper": "a linear layer on features as they are, by AdamW with warm-up and cosine (the paper's Table 4 to the "
    "letter)",
    "standardized": "the same on features of mean 0 and deviation 1 over the training records",
    "logistic": "a penalised logistic regression on standardised features, its penalty chosen on validation",
    "merl_code": "a linear layer as MERL's released code trains it, the epoch chosen on test",
}


def tidy(runs: Sequence[RunScores]) -> pl.DataFrame:
    """Macro AUC of all features, probes, shares and tasks, then the published ones in rows of their own.

    Columns: :data:`COLUMNS`.
    """
    ours = [
        with_data(run.rows(metric), run)
        .rename({"run": "features", "kind": "probe"})
        .with_columns(pl.lit(pretrained(run)).alias("pretrained"), pl.col("untrained").list.len())
        for run in baselines_first(runs)
        for metric in (MACRO, MACRO_MIN)
    ]
    theirs = [
        {"features": f"{one.method} (published)", "pretrained": not one.method.startswith("random"), "probe": "paper"}
        | {"dataset": one.dataset, "leads": one.lead_set, "share": one.share, "metric": MACRO, "published": one.auc}
        | {"data": RECORDED}
        for one in published.probes()
    ]
    return tidied([*ours, pl.DataFrame(theirs)], COLUMNS)


def for_people(runs: Sequence[RunScores], lead_counts: Mapping[str, int], confidence: float) -> Document:
    """Averages per lead set, then every task, published rows below ours where the leads are as many.

    Args:
        runs: at least one.
        lead_counts: lead set -> number of its leads.
        confidence: of the intervals.
    """
    ordered, kinds = baselines_first(runs), kinds_of(runs)
    lead_sets = list(dict.fromkeys(leads for run in runs for leads in run.lead_sets))
    bare = [Code(run.name) for run in ordered if not pretrained(run)]
    printed = {leads: [one for one in published.probes() if one.leads == lead_counts.get(leads)] for leads in lead_sets}
    blocks: list[Block | Text] = []
    for leads in lead_sets:
        blocks.append(Heading(f"Average over the tasks, shown: {leads}"))
        blocks.append(_grid(ordered, kinds, AVERAGE, leads, printed[leads]))
    for task in tasks_of(runs):
        blocks.append(Heading(title(task)))
        for leads in lead_sets:
            blocks += [f"Shown: {leads}", _grid(ordered, kinds, task, leads, printed[leads])]
    return document(
        "Linear probes on frozen features: macro AUC",
        notice(runs),
        f"Cells: AUC on the evaluated split [{confidence:.0%} bootstrap interval over patients], by the share of the "
        "training split that the linear classifiers saw. A share below 100% is drawn several times: the value is the "
        "mean over draws, ± their deviation, and the interval is that of patients for these draws. A class that has "
        "no positive (or no negative) among the training records of a draw cannot be learnt from it: it counts with "
        "0.5. The last row of each table says how many classes do so in some draw.",
        caveat(runs),
        _scopes(runs),
        [
            Bold(["In bold: features without any pretraining (", *listed(bare), ")."]),
            " What they reach needs no pretraining; only what lies above them can be its merit.",
        ]
        if bare
        else "",
        "Rows marked (published) are the K-MERL paper's Table 1, on recorded ECGs with 12 leads; their average is the "
        "mean of its six tasks. Its random rows are called Random Init there, under the heading From Scratch.",
        "Probes. " + "; ".join(f"{PROBES.get(kind, kind)}: {TOLD.get(kind, '')}" for kind in kinds) + ".",
        provenance(ordered),
        *blocks,
    )


def _scopes(runs: Sequence[RunScores]) -> str:
    """What normalisation saw where some of the leads were shown."""
    found = {name: scope for run in runs for name, scope in run.metadata.get("scopes", {}).items()}
    told = "; ".join(f"{name}: {SCOPES.get(scope, scope)}" for name, scope in found.items())
    return f"Normalisation of the encoders' input sees: {told}." if told else ""


def _grid(
    runs: Sequence[RunScores], kinds: Sequence[str], dataset: str, leads: str, printed: Sequence[Published]
) -> Grid:
    """Rows: features by every kind of probe, the published methods below the paper's; columns: shares."""
    body: list[list[Cell]] = []
    shares = shares_of(runs)
    unknown: dict[float, int] = {}
    theirs: dict[str, dict[float | None, Cell]] = {}
    for one in printed:
        if one.dataset == (SIX if dataset == AVERAGE else dataset):
            theirs.setdefault(one.method, {})[one.share] = Decimal(one.auc)
    for kind in kinds:
        for run in runs:
            found = run.rows(dataset=dataset, leads=leads, kind=kind)
            rows = {row["share"]: row for row in found.iter_rows(named=True)}
            unknown |= {share: max(unknown.get(share, 0), len(row["untrained"])) for share, row in rows.items()}
            name = Code(run.name) if pretrained(run) else Bold(Code(run.name))
            body.append([PROBES.get(kind, kind), name, *(estimate(rows.get(share)) for share in shares)])
        for method, values in theirs.items() if kind == kinds[0] else ():
            body.append([PROBES["paper"], f"{method} (published)", *map(values.get, shares)])
    counts = [Count(unknown[share]) if share in unknown else None for share in shares]
    body.append(["", "Classes that count with 0.5", *counts])
    return grid(["Probe", "Features", *map(share_name, shares)], body)


SECTIONS = [
    Section(
        "probe",
        "Linear probes",
        "Encoders are frozen and a linear classifier is trained on their features with a share of the labelled "
        "training records. An encoder before its first training step and random convolution kernels stand beside "
        "the pretrained ones: what these reach needs no pretraining at all.",
    ),
]


def tables(runs: Sequence[RunScores], params: Any) -> Iterator[Table]:
    """Macro AUC of every kind of probe.

    Args:
        runs: at least one.
        params: the sections evaluation and linear_probe.
    """
    yield Table(
        Caption(
            "linear_probe_auc",
            "probe",
            "Linear probes",
            "Macro AUC on the test split for each kind of probe, task, lead set and share of training records: mean "
            "over draws of the share [interval over patients for these draws] ± deviation over draws. Published "
            "figures stand in rows of their own.",
        ),
        tidy(runs),
        for_people(runs, lead_counts(runs), params.evaluation.confidence),
    )


def metrics(runs: Sequence[RunScores]) -> dict[str, Any]:
    """{features: {kind of probe: {leads: {share: average}}}}, below the evaluation's name."""
    return {
        "linear_probe": {
            run.name: {kind: tree(run.rows(dataset=AVERAGE, kind=kind), "leads", "share") for kind in kinds_of([run])}
            for run in runs
        }
    }
