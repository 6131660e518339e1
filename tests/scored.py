"""Scores as evaluation writes them, made up: what tables, figures and pages are tested with."""

from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

from kmerl.archives import classes
from kmerl.artifacts import columns_of, write_table
from kmerl.documents.markdown import markdown
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN, MACRO_RENAMED, MACRO_SEEN, PER_CLASS, RESAMPLES, SCORES
from kmerl.evaluations.partial_leads.schemas import LEAD_SETS
from kmerl.evaluations.zeroshot.schemas import SEEN
from kmerl.leads import PARTIAL_ORDER
from kmerl.randomness import generator
from kmerl.results.scores import RunScores, over_seeds

LEADS = {"12 leads": 12, "I+II": 2, "I": 1}
ALL_WAYS = ("query", "contrastive", "average", "mixture")
SHARES = (0.01, 0.1, 1.0)
KINDS = ("paper", "logistic")
RECORDS = {"ptbxl_super": 172, "ptbxl_sub": 172, "ptbxl_form": 104, "ptbxl_rhythm": 200, "cpsc2018": 120, "csn": 180}
_GROUPS = {
    (MACRO, "name"): 0.0, (MACRO_MIN, "name"): 0.02, (MACRO_SEEN, "name"): 0.06, (MACRO_RENAMED, "name"): -0.06,
    (MACRO, "other_name"): -0.07, (MACRO_MIN, "other_name"): -0.05, (MACRO_SEEN, "other_name"): -0.05,
    (MACRO_RENAMED, "other_name"): -0.09,
}  # fmt: skip


def text_of(make, *given):
    """A document as Markdown."""
    return markdown(make(*given))


def metadata(name="kmerl", origin="simulated", trained="simulated", method=None):
    """What data scores are from; ``trained`` None for features that nothing was learnt for."""
    archives = dict.fromkeys(map(classes.archive_of, classes.tasks()), origin)
    on = None if trained is None else {"archive": "mimic_iv_ecg", "origin": trained, "records": 10, "reports": 5}
    return {"run": name, "method": method or name.split("_")[0], "archives": archives, "trained_on": on}


def _task_values(value, task, n, repeats, spread=0.015):
    """A task's score and its resamples: the same patients for all runs, and a little of its own."""
    value = round(min(0.99, max(0.3, value + generator(0, task).normal(scale=0.04))), 6)
    shared = generator(0, "patients", task).normal(scale=spread, size=repeats)
    own = generator(0, task, n, value).normal(scale=spread / 3, size=repeats)
    return value, np.minimum(1, value + shared + own)


def _rows(value, repeats, keys, tasks, metric, left_out=True):
    """Score and resample rows of every task and of their average."""
    scores, resamples, values, arrays = [], [], [], []
    for task in tasks:
        n, codes = RECORDS[task], list(classes.class_names(task))
        one, array = _task_values(value, task, n, repeats)
        values.append(one)
        arrays.append(array)
        counts = {"n": n, "positives": 2 * n, "classes": len(codes) - 1, "left_out": codes[-1:] if left_out else []}
        scores.append(keys | {"dataset": task, "metric": metric, "code": None} | _ends(one, array) | counts)
        resamples.append(keys | {"dataset": task, "metric": metric, "values": array})
    mean, means = float(np.mean(values)), np.mean(arrays, axis=0)
    counts = {"n": sum(RECORDS[task] for task in tasks), "positives": 0, "classes": len(tasks), "left_out": []}
    scores.append(keys | {"dataset": AVERAGE, "metric": metric, "code": None} | _ends(mean, means) | counts)
    resamples.append(keys | {"dataset": AVERAGE, "metric": metric, "values": means})
    return scores, resamples


def _ends(value, array):
    low, high = np.quantile(array, [0.025, 0.975])
    return {"value": value, "low": float(low), "high": float(high)}


def _frame(rows, schema, evaluation):
    return pl.DataFrame([row | {"evaluation": evaluation} for row in rows], columns_of(schema))


def _tables(scores, resamples, evaluation):
    frames = [_frame(scores, SCORES, evaluation)], [_frame(resamples, RESAMPLES, evaluation)]
    return over_seeds(*frames, 0.95)


def zeroshot(name="kmerl", level=0.72, ways=ALL_WAYS, leads=LEADS, repeats=50, fall=0.015, **data):
    """A run whose average is about ``level`` with the first lead set and ``fall`` less with each next one."""
    scores, resamples = [], []
    tasks = classes.tasks()
    for i, lead_set in enumerate(leads):
        for w, way in enumerate(ways):
            for (metric, names), shift in _GROUPS.items():
                keys = {"run": name, "leads": lead_set, "scope": "record", "way": way, "names": names}
                found = _rows(level + shift - fall * i - 0.01 * w, repeats, keys, tasks, metric)
                scores += found[0]
                resamples += found[1]
            scores += _class_rows(name, lead_set, way, tasks, level)
    seen = [
        {"task": task, "code": code, "name": text, "nearest": f"training {text}", "similarity": 1 - 0.1 * (c % 3),
         "seen": c % 3 == 0}
        for task in tasks
        for c, (code, text) in enumerate(classes.class_names(task).items())
    ]  # fmt: skip
    frame, resampled = _tables(scores, resamples, "zeroshot")
    shown = [*leads][1:]  # the first has all leads
    elsewhere = frame.filter(pl.col("leads").is_in(shown), metric=MACRO, way=ways[0], names="name")
    elsewhere = elsewhere.with_columns(pl.lit("visible_leads").alias("scope"), pl.col("value") - 0.01)
    return RunScores(name, frame, resampled, metadata(name, **data), elsewhere, {"seen": pl.DataFrame(seen)})


def _class_rows(name, lead_set, way, tasks, level):
    """Every class; the last of each task has no positives and thus no AUC."""
    rows = []
    for task in tasks:
        codes, rng = list(classes.class_names(task)), generator(0, name, lead_set, way, task)
        for c, code in enumerate(codes):
            value = float(np.clip(rng.normal(level, 0.1), 0.2, 1)) if c < len(codes) - 1 else float("nan")
            rows += [
                {"run": name, "leads": lead_set, "scope": "record", "way": way, "names": names, "dataset": task,
                 "code": code, "metric": PER_CLASS, "value": value, "low": value - 0.1, "high": value + 0.1,
                 "n": RECORDS[task], "positives": 0 if np.isnan(value) else 7 + c, "classes": 1, "left_out": []}
                for names in ("name", "other_name")
            ]  # fmt: skip
    return rows


def partial(name="kmerl", first=0.66, last=0.72, scope_gap=0.0, wobble=0.0, single=True, repeats=50, **data):
    """A run with one to twelve leads; ``scope_gap`` is lost where normalisation sees only the shown leads."""
    nested = [{"leads": str(k), "kind": "nested", "count": k, "names": PARTIAL_ORDER[:k]} for k in range(1, 13)]
    alone = [{"leads": f"only {lead}", "kind": "single", "count": 1, "names": [lead]} for lead in PARTIAL_ORDER]
    sets = [*nested, *(alone if single else [])]
    scores, resamples = [], []
    for scope, gap in (("record", 0.0), ("visible_leads", scope_gap)):
        for i, one in enumerate(sets):
            share = (one["count"] - 1) / 11
            value = first + (last - first) * share**0.5 - gap * (1 - share) + wobble * (-1) ** i
            keys = {"run": name, "leads": one["leads"], "scope": scope, "way": "query", "names": "name"}
            found = _rows(value, repeats, keys, classes.tasks(), MACRO)
            scores += found[0]
            resamples += found[1]
    lead_sets = pl.DataFrame(sets, schema_overrides={"count": pl.Int32, "names": pl.List(pl.String)})
    frame, resampled = _tables(scores, resamples, "partial_leads")
    return RunScores(name, frame, resampled, metadata(name, **data), frame.clear(), {"leads": lead_sets})


def probes(name="kmerl", level=0.7, gain=0.08, leads=("12 leads", "I"), repeats=50, **data):
    """Probes on features: about ``level`` at the least share, ``gain`` more with each next one."""
    scores, resamples = [], []
    for i, lead_set in enumerate(leads):
        for s, share in enumerate(SHARES):
            for metric in (MACRO, MACRO_MIN):
                for k, kind in enumerate(KINDS):
                    keys = {"run": name, "leads": lead_set, "share": share, "kind": kind}
                    drawn = {"draws": 5, "spread": 0.01} if share < 1 else {"draws": 1, "spread": None}
                    drawn |= {"train_records": round(400 * share), "untrained": [] if s else ["X"]}
                    found = _rows(level + gain * s - 0.05 * i + 0.02 * k, repeats, keys, classes.tasks(), metric)
                    scores += [row | drawn for row in found[0]]
                    resamples += found[1]
    frame, resampled = _tables(scores, resamples, "linear_probe")
    return RunScores(name, frame, resampled, metadata(name, **data), frame.clear())


def write(root: Path, runs=(), partials=(), features=()) -> None:
    """Scores as the stages leave them, below ``root``."""
    for kind, several in (("zeroshot", runs), ("partial_leads", partials), ("linear_probe", features)):
        for one in several:
            folder = root / "data/scores" / kind / one.name
            scores = pl.concat([one.scores, one.elsewhere]).with_columns(pl.lit(1, pl.Int64).alias("seed"))
            write_table(folder / "scores.parquet", scores.select(SCORES.names), SCORES, one.metadata)
            write_table(folder / "resamples.parquet", one.resamples, RESAMPLES, one.metadata)
            for name, schema in (("seen", SEEN), ("leads", LEAD_SETS)):
                if name in one.tables:
                    write_table(folder / f"{name}.parquet", one.tables[name], schema, one.metadata)


def pairs(runs):
    """All with all."""
    return [*combinations([run.name for run in runs], 2)]


def planned(names):
    """As the plan has them: each a run of one seed."""
    return {name: {"run": name, "seed": 1} for name in names}
