"""Tables and figures of scores as the evaluation itself makes them, of random answers."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import scored

from kmerl.archives import classes
from kmerl.evaluation.answers import Answers, Condition, Records, score_answers
from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_RENAMED, MACRO_SEEN
from kmerl.evaluation.scoring import Item
from kmerl.evaluations.zeroshot import table_auc as zeroshot
from kmerl.evaluations.zeroshot import table_comparisons as differences
from kmerl.evaluations.zeroshot import table_queries as queries
from kmerl.evaluations.zeroshot.figure_auc import zeroshot_figure
from kmerl.evaluations.zeroshot.figure_queries import queries_figure
from kmerl.randomness import generator
from kmerl.results import published
from kmerl.results.scores import RunScores, over_seeds

N, LEADS = 40, {"12 leads": 12, "I": 1}
PARAMS = EvaluationParams(
    archives=["ptb_xl", "cpsc2018", "csn"], splits=["test"], batch=8, threads=1, bootstrap=100, confidence=0.95,
    min_positives=3,
)  # fmt: skip


def records(archive):
    """Records with random labels, of which nobody has the last class of a task."""
    rng, tasks = generator(0, "labels", archive), classes.tasks(archive)
    table = pl.DataFrame({"record_id": [f"r{i}" for i in range(N)], "patient_id": [f"p{i // 2}" for i in range(N)]})
    codes = {task: list(classes.class_names(task)) for task in tasks}
    positive = {task: rng.random((N, len(own))) < 0.3 for task, own in codes.items()}
    for labels in positive.values():
        labels[:, -1] = False
    return Records(
        SimpleNamespace(archive=archive, records=table),
        list(range(N)),
        positive,
        {task: labels.any(1) for task, labels in positive.items()},
        codes,
    )


def run(name, ways, skill, seen_share=0.4):
    answers = []
    for archive in PARAMS.archives:
        asked, probability = records(archive), {}
        for condition in (
            Condition(k, "record", way, by) for k in LEADS for way in ways for by in ("name", "other_name")
        ):
            rng = generator(0, name, archive, *condition)
            probability[condition] = {
                task: (rng.random(labels.shape) + skill * labels).astype(np.float32)
                for task, labels in asked.positive.items()
            }
        answers.append(Answers(asked, probability))
    seen = pl.DataFrame(
        [
            {"task": task, "code": code, "name": text, "nearest": "x", "similarity": 0.5,
             "seen": i % 10 < 10 * seen_share}
            for task in classes.tasks()
            for i, (code, text) in enumerate(classes.class_names(task).items())
        ]
    )  # fmt: skip
    found = score_answers(answers, Item(name), "zeroshot", PARAMS, 1, seen)
    scores, resamples = over_seeds([found.scores], [found.resamples], 0.95)
    return RunScores(name, scores, resamples, scored.metadata(name), scores.clear(), {"seen": seen})


@pytest.fixture(scope="module")
def runs():
    return [run("kmerl", ("query", "contrastive"), 0.5), run("merl_vit", ("contrastive",), 0.1)]


def test_a_better_run_is_told_from_a_worse_one_and_not_from_itself(runs):
    frame = differences.tidy(runs, scored.pairs(runs), LEADS, 0.95)
    between = frame.filter(kind=differences.RUNS, dataset=AVERAGE, metric=MACRO)
    assert between["excludes_zero"].all()
    assert (between["low"] > 0).all()
    own = differences.side(runs[0], "I")
    same = differences.difference(own, own, AVERAGE, MACRO, 0.95)
    assert (same["difference"], same["low"], same["high"], same["excludes_zero"]) == (0, 0, 0, False)


def test_tables_and_figures_show_what_the_evaluation_wrote(runs):
    text = scored.text_of(zeroshot.for_people, runs, PARAMS.min_positives, 0.95)
    row = runs[1].row(dataset="csn", leads="I", way="contrastive", names="name")
    assert f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]" in text.split("## Shown: I\n")[1]
    assert "hypertrophy (HYP)" in text.split("## Left out")[1]
    compared = differences.tidy(runs, scored.pairs(runs), LEADS, 0.95)
    groups = queries.tidy(runs).filter(dataset=AVERAGE, run="kmerl", leads="I", way="query")
    assert set(groups["group"]) == set(queries.GROUPS)
    assert groups["value"].null_count() == 0
    assert "| `kmerl` | query network ● |" in scored.text_of(queries.for_people, runs, compared, 0.95, 0.95)
    assert len(zeroshot_figure(runs, published.zeroshot(), LEADS, 0.95).axes) == 2
    assert len(queries_figure(runs, 0.95).axes) == 2


@pytest.mark.parametrize(("share", "metric"), [(0.0, MACRO_SEEN), (1.0, MACRO_RENAMED)])
def test_where_all_or_no_classes_are_renamed_the_empty_group_is_a_dash(share, metric):
    one = run("kmerl", ("query",), 0.5, share)
    assert np.isnan(one.row(metric, dataset=AVERAGE, leads="I", way="query", names="name")["value"])
    compared = differences.tidy([one], scored.pairs([one]), LEADS, 0.95)
    assert not compared.filter(pl.col("difference").is_null())["excludes_zero"].any()
    text = scored.text_of(queries.for_people, [one], compared, 0.95, 0.95)
    line = text.split("## Shown: I\n")[1].split("| `kmerl` |")[1].split("\n")[0]
    assert line.split(" | ").count("–") == (3 if metric == MACRO_SEEN else 1)
    queries_figure([one], 0.95)
