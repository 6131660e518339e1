import asked
import numpy as np
import polars as pl
import pytest
import scored
import small
import torch
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from kmerl.archives import classes
from kmerl.artifacts import read_metadata, read_table
from kmerl.errors import UserError
from kmerl.evaluation.answers import find_records, predict, score_answers
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES
from kmerl.evaluation.scoring import Item
from kmerl.evaluation.ways import Questions, Training
from kmerl.evaluations.zeroshot import table_scopes as scopes
from kmerl.evaluations.zeroshot.run import predictions, seen_classes
from kmerl.evaluations.zeroshot.schemas import PREDICTIONS, SEEN
from kmerl.leads import LEADS
from kmerl.results.scores import read_runs
from stages import zeroshot
from stages._runs import Subject

CODES = {"rhythm": ["SR", "AF", "PACE"], "form": ["Q", "STE"]}
LABELS = [
    ("r0", "rhythm", "AF"), ("r1", "rhythm", "SR"), ("r2", "rhythm", "SR"), ("r2", "form", "Q"), ("r9", "form", "Q"),
]  # fmt: skip
TARGETS = pl.DataFrame(LABELS, schema=["record_id", "task", "code"], orient="row")


def answers(store, lead_sets, order=1, rule="millivolt", scopes=("record",)):
    run = small.params()
    rng = np.random.default_rng(0)
    vectors = {task: {code: rng.normal(size=6).astype(np.float32) for code in codes} for task, codes in CODES.items()}
    codes = {task: found[::order] for task, found in CODES.items()}
    records = find_records(store, TARGETS, codes, ["train"])
    lists = [np.stack([vectors[task][code] for code in found]) for task, found in codes.items()]
    questions = Questions(small.model(run).eval(), lists, ["query", "contrastive"])
    normalize = run.normalize.model_copy(update={"rule": rule})
    return predict(questions, [("name", task) for task in codes], records, lead_sets, normalize, scopes, 5)


@pytest.fixture
def store(tmp_path):
    return small.store(tmp_path / "store", n=8)


def test_a_record_counts_only_in_tasks_in_which_it_has_a_label(store):
    table = predictions([answers(store, {"12 leads": LEADS, "I": ["I"]})])
    assert table.columns == PREDICTIONS.names
    found = {task: set(part["record_id"]) for (task,), part in table.group_by("task")}
    assert found == {"rhythm": {"r0", "r1", "r2"}, "form": {"r2"}}
    assert table.height == 2 * 2 * (3 * 3 + 2)


def test_labels_are_joined_by_name(store):
    table = predictions([answers(store, {"I": ["I"]})])
    positives = table.filter(pl.col("positive"), way="query").select("record_id", "task", "code")
    assert sorted(positives.rows()) == sorted(row for row in LABELS if row[0] != "r9")


def test_a_class_asked_under_another_order_of_classes_gets_the_same_answer(store):
    one, turned = (predictions([answers(store, {"I": ["I"]}, order)]) for order in (1, -1))
    both = one.join(turned, on=["record_id", "task", "code", "leads", "way"], suffix="_again")
    assert both.height == one.height
    assert np.allclose(both["probability"], both["probability_again"], atol=1e-5)


def test_records_with_none_of_the_shown_leads_are_left_out_and_counted(tmp_path):
    store = small.store(tmp_path / "chest", n=8, leads=LEADS[6:])
    found = answers(store, {"12 leads": LEADS, "limb": ["I", "II"]})
    assert predictions([found])["leads"].unique().to_list() == ["12 leads"]
    assert found.without_leads == 3
    limb = score_answers([found], Item("run"), "zeroshot", asked.evaluation(), seed=1).scores.filter(
        pl.col("code").is_null(), leads="limb"
    )
    assert set(limb["n"]) == {0}


def test_the_scope_matters_only_where_normalisation_and_leads_let_it(store):
    for rule, differs in (("millivolt", False), ("minmax", True)):
        found = answers(store, {"12 leads": LEADS, "I": ["I"]}, rule=rule, scopes=["record", "visible_leads"])
        for leads in ("12 leads", "I"):
            record, visible = (
                found.probability[key]["rhythm"]
                for key in found.probability
                if (key.leads, key.way) == (leads, "query")
            )
            assert np.array_equal(record, visible) == (not (differs and leads == "I"))


def test_an_archive_without_labelled_records_in_the_splits_is_one_clear_error(store):
    with pytest.raises(UserError, match=r"evaluation.splits test: toy has no record there with a label; name other"):
        find_records(store, TARGETS, CODES, ["test"])
    with pytest.raises(UserError, match="label 'Q' of toy is no class of task form"):
        find_records(store, TARGETS, {"form": ["STE"]}, ["train"])


def test_a_class_is_seen_by_its_text_or_by_similarity_to_a_training_query():
    names = {"task": {"A": "Sinus rhythm", "B": "close", "C": "far"}}
    training = Training(["sinus RHYTHM", "query"], np.array([[0, 0, 2], [1, 0, 0]], np.float32))
    vectors = {"task": {"A": [1, 0, 0], "B": [3, 0.3, 0], "C": [1, 1, 0]}}
    vectors = {"task": {code: np.array(v, np.float32) for code, v in vectors["task"].items()}}
    seen = seen_classes(names, vectors, training, 0.95)
    assert seen.columns == SEEN.names
    assert seen["seen"].to_list() == [True, True, False]
    assert seen["nearest"].to_list() == ["sinus RHYTHM", "query", "query"]
    assert seen["similarity"].to_list() == pytest.approx([0, 0.99504, 0.70711], abs=1e-4)


SEEN_OF_MADE_UP = pl.DataFrame({"task": ["task"] * 3, "code": ["A", "B", "C"], "seen": [True, False, False]})


def value(scores, **where):
    return scores.filter(**where)["value"].item()


def resampled(found, **where):
    return found.resamples.filter(**where)["values"].item().to_numpy()


def test_scores_equal_scikit_learns():
    one = asked.made_up()
    found = score_answers([one], Item("run"), "zeroshot", asked.evaluation(), seed=1)
    assert found.scores.columns == SCORES.names
    assert found.resamples.columns == RESAMPLES.names
    (probability,) = next(iter(one.probability.values())).values()
    counted = one.records.positive["task"].any(axis=1)
    for c, code in enumerate("AB"):
        expected = roc_auc_score(one.records.positive["task"][counted, c], probability[counted, c])
        assert value(found.scores, code=code, metric="auc") == pytest.approx(expected)


def test_classes_without_positives_are_left_out_and_named():
    scores = score_answers(
        [asked.made_up()], Item("run"), "zeroshot", asked.evaluation(min_positives=20), seed=1
    ).scores
    macro = scores.filter(dataset="task", metric="macro_auc").row(0, named=True)
    single = [value(scores, code=code, metric="auc") for code in ("A", "B")]
    assert macro["value"] == pytest.approx(np.mean(single))
    assert (macro["classes"], macro["left_out"]) == (2, ["C"])
    supported = scores.filter(dataset="task", metric="macro_auc_min").row(0, named=True)
    assert supported["left_out"] == ["B", "C"]
    assert supported["value"] == pytest.approx(single[0])


def test_seen_and_renamed_classes_share_out_all_classes():
    scores = score_answers(
        [asked.made_up()], Item("run"), "zeroshot", asked.evaluation(), seed=1, seen=SEEN_OF_MADE_UP
    ).scores
    rows = {row["metric"]: row for row in scores.filter(pl.col("code").is_null(), dataset="task").iter_rows(named=True)}
    every, seen, renamed = (rows[f"macro_auc{end}"] for end in ("", "_seen", "_renamed"))
    for count in ("classes", "positives"):
        assert seen[count] + renamed[count] == every[count]
    assert seen["left_out"] + renamed["left_out"] == every["left_out"]
    shares = [one["value"] * one["classes"] for one in (seen, renamed)]
    assert sum(shares) == pytest.approx(every["value"] * every["classes"])
    assert seen["value"] == value(scores, code="A")


def test_a_task_without_seen_classes_is_left_out_of_that_average_only():
    second = SEEN_OF_MADE_UP.with_columns(pl.lit("second").alias("task"), pl.lit(False).alias("seen"))
    both = [asked.made_up(), asked.made_up(60, "other", "second")]
    found = score_answers(
        both, Item("run"), "zeroshot", asked.evaluation(), seed=1, seen=pl.concat([SEEN_OF_MADE_UP, second])
    )
    rows = {row["metric"]: row for row in found.scores.filter(dataset=AVERAGE).iter_rows(named=True)}
    assert (rows["macro_auc_seen"]["classes"], rows["macro_auc_seen"]["left_out"]) == (1, ["second"])
    assert (rows["macro_auc"]["classes"], rows["macro_auc"]["left_out"]) == (2, [])
    assert rows["macro_auc_seen"]["value"] == value(found.scores, dataset="task", metric="macro_auc_seen")
    assert rows["macro_auc_seen"]["n"] < rows["macro_auc"]["n"]
    assert np.isnan(value(found.scores, dataset="second", metric="macro_auc_seen"))


def test_the_average_and_its_replicates_are_means_over_the_tasks_of_all_archives():
    both = [asked.made_up(), asked.made_up(60, "other", "second", patients=False)]
    found = score_answers(both, Item("run"), "zeroshot", asked.evaluation(), seed=1)
    tasks = [value(found.scores, dataset=task, metric="macro_auc") for task in ("task", "second")]
    assert value(found.scores, dataset=AVERAGE, metric="macro_auc") == pytest.approx(np.mean(tasks))
    parts = [resampled(found, dataset=task, metric="macro_auc") for task in ("task", "second")]
    assert len(parts[0]) == 200
    assert np.allclose(resampled(found, dataset=AVERAGE, metric="macro_auc"), np.mean(parts, axis=0), atol=1e-6)
    assert abs(np.corrcoef(parts)[0, 1]) < 0.3  # archives are resampled on their own


def test_a_replicate_is_the_same_resample_of_patients_for_every_run():
    one, other = (
        score_answers([asked.made_up(noise=noise)], Item(f"run {noise}"), "zeroshot", asked.evaluation(), seed=1)
        for noise in (0, 1)
    )
    where = {"dataset": "task", "metric": "macro_auc"}
    first, second = resampled(one, **where), resampled(other, **where)
    assert not np.array_equal(first, second)
    assert np.corrcoef(first, second)[0, 1] > 0.9
    same = score_answers([asked.made_up()], Item("another name"), "zeroshot", asked.evaluation(), seed=1)
    assert np.array_equal(first, resampled(same, **where))


def test_intervals_hold_the_value_and_come_from_the_seed():
    one, two, other = (
        score_answers([asked.made_up()], Item("run"), "zeroshot", asked.evaluation(), seed).scores for seed in (1, 1, 2)
    )
    assert one.equals(two)
    assert not one["low"].equals(other["low"])
    known = one.filter(pl.col("value").is_not_nan())
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leads": {"chest": ["V7"]}}, r"lead 'V7' is not one of .* \(of 'chest'\)"),
        ({"leads": {"none": []}}, "'none' names no lead"),
        ({"leads": {"twice": ["I", "lead i"]}}, "lead I is asked twice"),
        ({"ways": []}, "at least 1 item"),
        ({"ways": ["prompt"]}, "'query', 'contrastive', 'average' or 'mixture'"),
        ({"ways": ["query", "query"]}, "'query' is named twice"),
        ({"names": ["nickname"]}, "'name' or 'other_name'"),
        ({"mixture": {"nearest": 0, "temperature": 0.05}}, "greater than or equal to 1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        asked.zeroshot(**changes)


def test_leads_are_accepted_in_any_spelling():
    assert asked.zeroshot(leads={"limb": ["AVR", "lead ii"]}).leads == {"limb": ["aVR", "II"]}


def test_the_stage_asks_every_class_of_the_evaluated_archives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked.project(tmp_path)
    summary = zeroshot.main(asked.params(), "one")
    assert summary.startswith("40 records, 5 tasks; macro AUC by query, averaged: 12 leads 0.")
    folder = tmp_path / "data/scores/zeroshot/one"
    scores = read_table(folder / "scores.parquet", SCORES)
    tasks = classes.tasks("ptb_xl") + classes.tasks("cpsc2018")
    for task in tasks:
        for (way, names, leads), part in scores.filter(dataset=task, metric="auc").group_by("way", "names", "leads"):
            assert sorted(part["code"]) == sorted(classes.class_names(task)), (way, names, leads)
    keys = scores.select("leads", "way", "names").unique()
    assert keys.height == 2 * 4 * 2
    table = read_table(folder / "predictions.parquet", PREDICTIONS)
    assert set(table["archive"]) == {"ptb_xl", "cpsc2018"}
    assert table.filter(archive="cpsc2018")["patient_id"].is_null().all()
    seen = read_table(folder / "seen.parquet", SEEN)
    assert "sinus rhythm" in seen.filter(pl.col("seen"))["name"].str.to_lowercase().to_list()
    macros = scores.filter(pl.col("code").is_null()).height
    assert read_table(folder / "resamples.parquet", RESAMPLES).height == macros
    metadata = read_metadata(folder / "scores.parquet")
    assert metadata["archives"] == {"ptb_xl": "simulated", "cpsc2018": "simulated"}
    assert (metadata["run"], metadata["method"], metadata["trained_on"]["archive"]) == ("one", "kmerl", "toy")


def test_the_stage_gives_the_same_bytes_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked.project(tmp_path)
    contents = []
    for _ in range(2):
        zeroshot.main(asked.params(zeroshot=asked.zeroshot(ways=["average"], names=["other_name"])), "one")
        contents.append({file.name: file.read_bytes() for file in (tmp_path / "data/scores/zeroshot/one").iterdir()})
    assert contents[0] == contents[1]


def test_a_run_without_a_query_network_is_asked_in_the_ways_it_knows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked.project(tmp_path, "merl_vit", name="merl")
    assert "macro AUC by contrastive" in zeroshot.main(asked.params(), "merl")
    scores = read_table(tmp_path / "data/scores/zeroshot/merl/scores.parquet")
    assert set(scores["way"]) == {"contrastive"}
    with pytest.raises(
        UserError,
        match=r"zeroshot.ways: none is for merl: its method knows contrastive; add one of these, or leave its",
    ):
        zeroshot.main(asked.params(zeroshot=asked.zeroshot(ways=["query", "mixture"])), "merl")


def test_some_leads_are_asked_in_every_scope_and_results_are_in_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked.project(tmp_path, rule="minmax", name="one", louder_but=("I", "II"))
    zeroshot.main(asked.params(zeroshot=asked.zeroshot(scopes=["visible_leads", "record"])), "one")
    (both,) = read_runs(tmp_path / "data/scores/zeroshot", {"one": ["one"]}, 0.95, {"seen": SEEN}, one_scope=True)
    assert (both.scope, set(both.scores["scope"]), set(both.elsewhere["scope"])) == (
        "visible_leads", {"visible_leads"}, {"record"}
    )  # fmt: skip
    assert set(both.elsewhere["leads"]) == {"I"} and set(both.elsewhere["way"]) == {"query"}
    zeroshot.main(asked.params(zeroshot=asked.zeroshot(scopes=["record"])), "one")
    (alone,) = read_runs(tmp_path / "data/scores/zeroshot", {"one": ["one"]}, 0.95, {"seen": SEEN}, one_scope=True)
    keys = ["dataset", "leads", "metric", "value", "low", "high"]
    expected = alone.asked(leads="I").select(keys)
    assert both.elsewhere.filter(metric=MACRO).select(keys).equals(expected, null_equal=True)
    assert not both.asked(leads="I").select(keys).equals(expected, null_equal=True)
    assert alone.elsewhere.is_empty()
    frame = scopes.tidy([both])
    assert frame.filter(dataset=AVERAGE).select("leads", "scope").rows() == [
        ("12 leads", "visible_leads"), ("I", "visible_leads"), ("I", "record")
    ]  # fmt: skip
    text = scored.text_of(scopes.for_people, [both], 0.95)
    assert text.index("| I | the shown leads only |") < text.index("| I | all leads of the record |")


def test_the_stage_says_what_cannot_be_evaluated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked.project(tmp_path, splits=("test", "train"))
    with pytest.raises(UserError, match=r"evaluation.splits test: cpsc2018 has no record there with a label"):
        zeroshot.main(asked.params(), "one")
    with pytest.raises(UserError, match=r"evaluation.archives: mimic_iv_ecg has no classes to ask for"):
        zeroshot.main(asked.params(evaluation=asked.evaluation(archives=["mimic_iv_ecg"])), "one")


def test_a_run_that_trained_its_text_encoder_embeds_names_with_it(tmp_path, monkeypatch):
    class Encoder:
        def __init__(self, params):
            self.params = params

        def load_state_dict(self, weights):
            self.weight = weights["w"]

        def embed(self, texts):
            return np.full((len(texts), 6), float(self.weight), np.float32)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages._runs.TextEncoder", Encoder)
    asked.project(tmp_path)
    stored = Subject.load("one", 1, asked.STORED)
    trained = Subject("one", stored.model, stored.config, {"w": torch.tensor(3.0)}, asked.STORED)
    assert (trained.class_vectors(["cpsc2018"], "name")["cpsc2018"]["AFIB"] == 3).all()
    assert (trained.training().vectors == 3).all()
    assert not (stored.training().vectors == 3).any()
    config = stored.config.model_copy(update={"text": asked.TEXT.model_copy(update={"pooling": "cls"})})
    with pytest.raises(UserError, match="made by another text encoder than run one's"):
        Subject("one", stored.model, config, {}, asked.STORED).training()
