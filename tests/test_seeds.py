"""A run of several seeds is one run in all tables, whose intervals hold patients and seeds apart."""

import numpy as np
import polars as pl
import pytest
import scored

from kmerl.documents import estimate
from kmerl.documents.numbers import shown
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, PER_CLASS
from kmerl.evaluations.linear_probe import tables as probes
from kmerl.evaluations.partial_leads import tables as partial
from kmerl.evaluations.zeroshot import table_auc, table_comparisons, table_queries, table_scopes
from kmerl.evaluations.zeroshot.schemas import SEEN
from kmerl.results.scores import read_runs
from kmerl.tables.origin import caveat

SURE = 0.95
SEEDS = {"kmerl": ["kmerl", "kmerl-2", "kmerl-3"], "merl": ["merl"]}


def made(make, kind, **options):
    """Scores of three seeds of one run and of one of another, as the stages leave them."""
    levels = {"kmerl": 0.72, "kmerl-2": 0.70, "kmerl-3": 0.77, "merl": 0.65}
    return {kind: [make(name, *level(make, one), **options) for name, one in levels.items()]}


def level(make, value):
    return (value - 0.05, value) if make is scored.partial else (value,)


def read(folder, kind, beside=None, runs=SEEDS):
    return read_runs(folder / "data/scores" / kind, runs, SURE, beside, one_scope=kind == "zeroshot")


@pytest.fixture
def zeroshot(tmp_path):
    scored.write(tmp_path, **made(scored.zeroshot, "runs", repeats=40))
    return read(tmp_path, "zeroshot", {"seen": SEEN}), tmp_path


def test_a_score_is_the_mean_over_seeds_and_its_deviation_stands_apart_from_the_interval_over_patients(zeroshot):
    (run, other), folder = zeroshot
    alone = [read(folder, "zeroshot", {"seen": SEEN}, {name: [name]})[0] for name in SEEDS["kmerl"]]
    where = {"dataset": AVERAGE, "leads": "I", "way": "query", "names": "name"}
    row, rows = run.row(**where), [one.row(**where) for one in alone]
    values = [one["value"] for one in rows]
    assert (run.seeds, other.seeds) == (3, 1)
    assert row["value"] == pytest.approx(np.mean(values))
    assert row["deviation"] == pytest.approx(np.std(values, ddof=1))
    resampled = np.mean([one.resampled(**where) for one in alone], axis=0)
    assert run.resampled(**where) == pytest.approx(resampled, abs=1e-6)
    assert (row["low"], row["high"]) == pytest.approx([*np.quantile(resampled, [0.025, 0.975])], abs=1e-6)
    assert shown(estimate(row)) == f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}] ± {row['deviation']:.3f}"
    assert other.row(**where)["deviation"] is None


def test_a_class_that_was_not_resampled_by_itself_has_no_interval_over_seeds(zeroshot):
    (run, other), _ = zeroshot
    classes = run.rows(PER_CLASS).filter(pl.col("value").is_not_nan())
    assert classes.height
    assert classes["low"].is_nan().all()
    assert classes["deviation"].is_not_null().all()
    assert other.rows(PER_CLASS).filter(pl.col("value").is_not_nan())["low"].is_not_nan().all()


def test_every_table_has_a_row_per_run_and_says_what_its_intervals_leave_out(zeroshot, tmp_path):
    runs, folder = zeroshot
    scored.write(folder, **made(scored.partial, "partials", repeats=20))
    scored.write(folder, **made(scored.probes, "features", repeats=20))
    some, features = read(folder, "partial_leads", {"leads": partial_schema()}), read(folder, "linear_probe")
    pairs, counts = [("kmerl", "merl")], scored.LEADS
    compared = table_comparisons.tidy(runs, pairs, counts, SURE)
    frames = [
        table_auc.tidy(runs), table_auc.tidy_by_class(runs), table_scopes.tidy(runs), table_queries.tidy(runs),
        partial.tidy(some, SURE), probes.tidy(features).rename({"features": "run"}),
    ]  # fmt: skip
    for frame in frames:
        ours = frame.filter(pl.col("value").is_not_null() & pl.col("seeds").is_not_null())
        assert {*ours["run"]} == {"kmerl", "merl"}
        assert {*ours.filter(run="kmerl")["seeds"]} == {3}
        assert ours.filter(run="kmerl")["deviation"].is_not_null().all()
        assert ours.filter(run="merl")["deviation"].is_null().all()
    texts = [
        scored.text_of(table_auc.for_people, runs, 5, SURE), scored.text_of(table_auc.classes_for_people, runs, SURE),
        scored.text_of(table_scopes.for_people, runs, SURE),
        scored.text_of(table_queries.for_people, runs, compared, 0.95, SURE),
        scored.text_of(table_comparisons.for_people, compared, runs, SURE),
        scored.text_of(partial.for_people, some, SURE), scored.text_of(probes.for_people, features, counts, SURE),
    ]  # fmt: skip
    for text in texts:
        assert "Pretrained from several seeds: `kmerl` (3)" in text
        assert "Of the others, what another seed would change is in no interval." in text
    assert "what another seed of pretraining would change is not in them" in str(caveat(runs[1:]))


def partial_schema():
    from kmerl.evaluations.partial_leads.schemas import LEAD_SETS

    return LEAD_SETS


def test_differences_are_between_means_over_seeds(zeroshot):
    runs, _ = zeroshot
    frame = table_comparisons.tidy(runs, [("kmerl", "merl")], scored.LEADS, SURE)
    where = {"dataset": AVERAGE, "leads": "12 leads"}
    row = frame.filter(kind="runs", metric=MACRO, **where).row(0, named=True)
    values = [run.asked(**where)["value"][0] for run in runs]
    assert row["difference"] == pytest.approx(values[0] - values[1])


def test_seeds_that_were_evaluated_differently_are_refused(tmp_path):
    runs = made(scored.zeroshot, "runs", repeats=10)["runs"]
    runs[1] = scored.zeroshot("kmerl-2", leads={"12 leads": 12, "II": 1}, repeats=10)
    scored.write(tmp_path, runs)
    with pytest.raises(UserError, match="the seeds of kmerl were not evaluated alike; run their stages again"):
        read(tmp_path, "zeroshot", {"seen": SEEN})
