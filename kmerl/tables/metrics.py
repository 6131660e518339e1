"""The averages and macro AUCs that programs compare between versions of the project."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from kmerl.evaluation.schemas import AVERAGE
from kmerl.results.names import share_name
from kmerl.results.scores import RunScores, defined, kinds_of

PROBES, PARTIAL = "linear_probe", "partial_leads"


def metrics(runs: Sequence[RunScores], partial: Sequence[RunScores], probes: Sequence[RunScores]) -> dict[str, Any]:
    """Macro AUC rounded to 4 digits, without what is undefined.

    Returns:
        {run: {leads: {task: AUC}}} of zero-shot; below ``partial_leads`` {run: {scope: {leads: average}}}; below
        ``linear_probe`` {features: {kind of probe: {leads: {share: average}}}}.
    """
    result: dict[str, Any] = {run.name: _tree(run.asked(), ["leads", "dataset"]) for run in runs}
    result[PARTIAL] = {run.name: _tree(run.rows(dataset=AVERAGE), ["scope", "leads"]) for run in partial}
    result[PROBES] = {
        run.name: {kind: _tree(run.rows(dataset=AVERAGE, kind=kind), ["leads", "share"]) for kind in kinds_of([run])}
        for run in probes
    }
    return result


def _tree(rows: pl.DataFrame, keys: Sequence[str]) -> dict[str, dict[str, float]]:
    tree: dict[str, dict[str, float]] = {}
    for row in rows.iter_rows(named=True):
        if defined(row["value"]):
            outer, inner = (share_name(row[key]) if key == "share" else row[key] for key in keys)
            tree.setdefault(outer, {})[inner] = round(row["value"], 4)
    return tree
