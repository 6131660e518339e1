import json
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import scored
from scored import LEADS

from kmerl.archives import classes
from kmerl.documents import markdown, read_document, write_document
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_SEEN
from kmerl.evaluations.linear_probe import tables as probes
from kmerl.evaluations.partial_leads import tables as partial
from kmerl.evaluations.registry import rooms
from kmerl.evaluations.zeroshot import table_auc as zeroshot
from kmerl.evaluations.zeroshot import table_comparisons as differences
from kmerl.evaluations.zeroshot import table_queries as queries
from kmerl.evaluations.zeroshot.schemas import SEEN
from kmerl.evaluations.zeroshot.scores import seen_codes
from kmerl.leads import LEADS as ALL_LEADS
from kmerl.results import published
from kmerl.results.scores import read_runs
from kmerl.tables.origin import notice, provenance
from stages import tables as stage

SURE = 0.95
COUNTS = {**LEADS, "all": 12}


@pytest.fixture(scope="module")
def runs():
    return [
        scored.zeroshot("kmerl", 0.70),
        scored.zeroshot("merl_vit", 0.71, ways=("contrastive",), fall=0.1),
        scored.zeroshot("merl_resnet18", 0.60, ways=("contrastive",), fall=0.1),
    ]


@pytest.fixture(scope="module")
def partials():
    return [scored.partial("kmerl"), scored.partial("merl_vit", 0.5, scope_gap=0.03, wobble=0.02)]


@pytest.fixture(scope="module")
def features():
    return [scored.probes("kmerl"), scored.probes("random_convolutions", 0.65, 0.1, trained=None)]


@pytest.fixture(scope="module")
def compared(runs):
    return differences.tidy(runs, scored.pairs(runs), LEADS, SURE)


def cells(text, start):
    """The cells of the first line of a Markdown table that begins with ``start``."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_published_figure_never_shares_a_row_with_one_of_ours(runs, partials, features):
    frames = {
        "zeroshot": zeroshot.tidy(runs), "partial": partial.tidy(partials, SURE), "probes": probes.tidy(features)
    }  # fmt: skip
    for name, frame in frames.items():
        theirs = frame.filter(pl.col("published").is_not_null())
        assert theirs.height >= len(published.zeroshot()), name
        assert theirs["value"].null_count() == theirs.height, name
        assert theirs["published"].is_between(0.4, 1).all()
        assert set(theirs["data"]) == {"recorded"}
        assert theirs[frame.columns[0]].str.ends_with("(published)").all()
        assert not set(theirs["dataset"]) & {AVERAGE}, "our average may be of other tasks"


def test_published_probes_are_table_1_and_their_mean():
    found = {(one.method, one.dataset, one.share): one.auc for one in published.probes()}
    assert found["K-MERL", "csn", 1.0] == 0.9371
    assert found["MERL (ViT)", "ptbxl_super", 0.01] == 0.7864
    six = [found["MERL (ViT)", task, 0.01] for task in classes.tasks()]
    assert found["MERL (ViT)", published.SIX, 0.01] == pytest.approx(np.mean(six))
    assert len(found) == 5 * 3 * 7


def test_every_run_lead_set_and_task_has_a_row_asked_in_its_own_way(runs):
    ours = zeroshot.tidy(runs).filter(pl.col("value").is_not_null())
    assert ours.height == len(runs) * len(LEADS) * (len(classes.tasks()) + 1) * 2  # two averages over classes
    assert {*ours.select("run", "way").iter_rows()} == {
        ("kmerl", "query"), ("merl_vit", "contrastive"), ("merl_resnet18", "contrastive")
    }  # fmt: skip


@pytest.mark.parametrize(
    ("origin", "trained", "data", "words"),
    [
        ("simulated", "simulated", "simulated", "Simulated data"),
        ("recorded", "simulated", "recorded (trained on simulated)", "pretrained on simulated"),
        ("simulated", "recorded", "simulated (trained on recorded)", "Simulated data"),
        ("recorded", "recorded", "recorded", "Recorded ECGs"),
    ],
)
def test_every_table_says_what_data_are_behind_it(origin, trained, data, words, compared):
    data_of = {"origin": origin, "trained": trained}
    one, some = scored.zeroshot(ways=("query",), **data_of), scored.partial(single=False, **data_of)
    probed = scored.probes(**data_of)
    assert set(zeroshot.tidy([one]).filter(pl.col("value").is_not_null())["data"]) == {data}
    for document in (
        zeroshot.for_people([one], 10, SURE), zeroshot.classes_for_people([one], SURE),
        queries.for_people([one], compared, 0.95, SURE), differences.for_people(compared, [one], SURE),
        probes.for_people([probed], LEADS, SURE), partial.for_people([some], SURE),
    ):  # fmt: skip
        text = markdown.markdown(document)
        assert words in notice([one])
        assert notice([one]) in text
        assert f"mimic_iv_ecg ({trained})" in text


def test_one_recorded_archive_among_simulated_ones_is_told_apart():
    one = scored.zeroshot(ways=("query",))
    one = replace(one, metadata=one.metadata | {"archives": one.metadata["archives"] | {"ptb_xl": "recorded"}})
    data = dict(zeroshot.tidy([one]).filter(pl.col("value").is_not_null()).select("dataset", "data").iter_rows())
    assert data["ptbxl_super"] == "recorded (trained on simulated)"
    assert data["csn"] == "simulated"
    assert data[AVERAGE] == "recorded and simulated (trained on simulated)"
    assert "Simulated data" in notice([one])


def test_scores_of_unknown_data_are_refused(runs):
    with pytest.raises(UserError, match="run their stage again"):
        zeroshot.tidy([replace(runs[0], metadata={})])


def test_classes_without_positives_are_named_and_have_no_value(runs):
    text, by_class = scored.text_of(zeroshot.for_people, runs, 10, SURE), zeroshot.tidy_by_class(runs)
    left_out = text.split("## Left out")[1].split("##")[0]
    for task in classes.tasks():
        code, name = list(classes.class_names(task).items())[-1]
        assert f"{name} ({code})" in left_out
        value = by_class.filter(pl.col("dataset") == task, pl.col("code") == code)["value"]
        assert value.null_count() == len(value) > 0
        line = cells(
            scored.text_of(zeroshot.classes_for_people, runs, SURE).split(f"## {zeroshot.title(task)}")[1], code
        )
        assert line[3:] == ["0", *["–"] * len(runs)]


def test_cells_are_the_scores(runs):
    row = runs[1].row(dataset="ptbxl_super", leads="I", way="contrastive", names="name")
    section = scored.text_of(zeroshot.for_people, runs, 10, SURE).split("## Shown: I\n")[1]
    line = cells(section, "PTB-XL Super")
    assert line[1:3] == ["172", "4 of 5"]
    assert line[4] == f"{row['value']:.3f} [{row['low']:.2f}, {row['high']:.2f}]"


def test_a_paired_difference_has_the_interval_of_paired_resamples(runs, compared):
    row = compared.row(
        by_predicate=(pl.col("kind") == differences.RUNS)
        & (pl.col("run") == "kmerl")
        & (pl.col("other_run") == "merl_vit")
        & (pl.col("leads") == "I")
        & (pl.col("dataset") == "csn"),
        named=True,
    )
    where = {"dataset": "csn", "leads": "I", "names": "name"}
    ours, theirs = (run.resampled(way=run.way, **where) for run in runs[:2])
    assert row["difference"] == pytest.approx(
        runs[0].row(way="query", **where)["value"] - runs[1].row(way="contrastive", **where)["value"]
    )
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(ours - theirs, [0.025, 0.975]))
    unpaired = np.quantile(ours - theirs[::-1], [0.025, 0.975])
    assert row["high"] - row["low"] < (unpaired[1] - unpaired[0]) / 1.5, "the same patients in both narrow it"
    assert row["excludes_zero"] == (not row["low"] <= 0 <= row["high"])


def test_swapping_two_runs_turns_the_difference_around(runs):
    sides = [differences.side(run, "12 leads") for run in runs[:2]]
    one, other = (
        differences.difference(*pair, AVERAGE, MACRO, SURE) for pair in (sides, sides[::-1])
    )  # fmt: skip
    assert one["difference"] == pytest.approx(-other["difference"])
    assert [one["low"], one["high"]] == pytest.approx([-other["high"], -other["low"]])


def test_every_two_runs_are_compared_and_one_lead_with_all(runs, compared):
    between = compared.filter(kind=differences.RUNS, dataset=AVERAGE)
    assert between.height == 3 * len(LEADS)
    few = compared.filter(kind=differences.LEADS, dataset=AVERAGE)
    assert {*few.select("run", "leads", "other_run", "other_leads").iter_rows()} == {
        ("kmerl", "I", run.name, "12 leads") for run in runs
    }
    text = scored.text_of(differences.for_people, compared, runs, SURE)
    row = few.filter(other_run="merl_vit").row(0, named=True)
    line = cells(text, "kmerl, I − merl_vit, 12 leads")
    assert line[1] == f"**{row['difference']:+.3f}**".replace("-", "−")
    assert line[3] == "yes"


def test_a_difference_whose_interval_holds_0_is_not_bold(runs):
    same = [runs[1], replace(runs[1], name="again")]
    frame = differences.tidy(same, scored.pairs(same), LEADS, SURE)
    assert not frame.filter(kind=differences.RUNS)["excludes_zero"].any()
    assert cells(scored.text_of(differences.for_people, frame, same, SURE), "merl_vit − again")[1:4] == [
        "+0.000", "[+0.000, +0.000]", "no"
    ]  # fmt: skip


def test_runs_resampled_differently_are_not_compared(runs):
    other = scored.zeroshot("other", repeats=20)
    with pytest.raises(UserError, match=r"one value of evaluation\.bootstrap"):
        differences.tidy([runs[0], other], scored.pairs([runs[0], other]), LEADS, SURE)


def test_queries_show_seen_classes_by_both_names_and_renamed_ones_in_every_way(runs, compared):
    frame = queries.tidy(runs)
    average = frame.filter(dataset=AVERAGE, leads="I", run="kmerl")
    assert {*average.select("way", "group").iter_rows()} == {
        (way, group) for way in scored.ALL_WAYS for group in queries.GROUPS
    }
    assert set(average.filter("own_way")["way"]) == {"query"}
    text = scored.text_of(queries.for_people, runs, compared, 0.95, SURE).split("## Shown: I\n")[1]
    line = cells(text, "`kmerl` | query network ●")
    for group, place in ((queries.SEEN, 2), (queries.OTHER, 3), (queries.RENAMED, 5), (queries.ALL, 6)):
        row = average.filter(way="query", group=group).row(0, named=True)
        assert line[place].startswith(f"{row['value']:.3f}"), group
    change = compared.filter(kind=differences.NAMES, dataset=AVERAGE, leads="I", run="kmerl", way="query")
    row = change.row(0, named=True)
    assert row["metric"] == MACRO_SEEN
    seen, other = (average.filter(way="query", group=group)["value"][0] for group in (queries.SEEN, queries.OTHER))
    assert row["difference"] == pytest.approx(other - seen)
    assert f"{other - seen:+.3f}".replace("-", "−") in line[4]


def test_a_remedy_is_compared_with_the_runs_own_way(compared):
    frame = compared.filter(kind=differences.WAYS)
    assert set(frame["way"]) == {"contrastive", "average", "mixture"}
    assert set(frame["other_way"]) == {"query"}
    assert set(frame["run"]) == {"kmerl"}


def test_classes_that_training_knew_are_marked_and_renamed_ones_listed_with_what_is_nearest(runs, compared):
    seen = runs[0].tables["seen"].filter("seen")
    text = scored.text_of(zeroshot.classes_for_people, runs, SURE)
    assert text.count(" | ✓ | ") == seen.height * len(LEADS) + len(classes.tasks()) * len(LEADS)  # and headers
    assert f"`kmerl`: {seen.height} of 106 classes" in text
    listed = scored.text_of(queries.for_people, runs, compared, 0.95, SURE)
    renamed = runs[0].tables["seen"].filter(pl.col("task") == "cpsc2018", ~pl.col("seen")).row(0, named=True)
    assert f"{renamed['name']} → {renamed['nearest']} ({renamed['similarity']:.2f})" in listed


def test_features_without_pretraining_come_first_and_are_bold(features):
    text = scored.text_of(probes.for_people, features, LEADS, SURE)
    lines = [line for line in text.splitlines() if line.startswith("| the paper's | ")]
    assert lines[0].split(" | ")[1] == "**`random_convolutions`**"
    assert lines[1].split(" | ")[1] == "`kmerl`"
    assert "`random_convolutions`: not pretrained" in text
    assert "Probes. the paper's: a linear layer on features as they are" in text
    assert "; logistic regression: a penalised logistic regression" in text
    row = features[1].row(dataset=AVERAGE, leads="12 leads", share=0.1, kind="logistic")
    assert cells(text, " | Classes that count with 0.5")[2:] == ["1", "0", "0"]
    found = cells(text, "logistic regression | **`random_convolutions`**")
    assert found[3].startswith(f"{row['value']:.3f} [") and found[3].endswith("] ± 0.010")
    assert "±" not in found[4]  # of all records there is one draw


def test_published_probes_stand_only_where_the_leads_are_as_many(features):
    sections = scored.text_of(probes.for_people, features, LEADS, SURE).split("\n\n")
    after = {
        leads: sections[sections.index(f"## Average over the tasks, shown: {leads}") + 1] for leads in ("12 leads", "I")
    }
    assert "K-MERL (published)" in after["12 leads"]
    assert "(published)" not in after["I"]
    assert cells(after["12 leads"], "the paper's | K-MERL (published)")[2] == "0.696"
    assert after["12 leads"].count("K-MERL (published)") == 1


def test_partial_leads_show_both_scopes_only_where_they_differ(partials):
    text = scored.text_of(partial.for_people, partials, SURE)
    assert cells(text, "Leads") == ["Leads", "`kmerl`", "`merl_vit`, record", "`merl_vit`, visible_leads"]
    assert "makes no difference to `kmerl`" in text
    assert cells(text, "1 lead: I")[1].startswith(
        f"{partials[0].row(dataset=AVERAGE, leads='1', scope='record')['value']:.3f}"
    )
    first = [cells(text, f"{k} lead") for k in range(1, 13)]
    assert [line[0].split()[-1] for line in first] == list(scored.PARTIAL_ORDER)
    alone = text.split("one lead alone")[1].split("##")[0]
    assert {cells(alone, f"{lead} |")[0] for lead in ALL_LEADS} == set(ALL_LEADS)


def test_the_mean_over_growing_leads_and_the_largest_fall(partials):
    steady, wobbling = partials
    values = [wobbling.row(dataset=AVERAGE, leads=str(k), scope="record")["value"] for k in range(1, 13)]
    found = partial.mean(wobbling, "record", SURE)
    assert found["value"] == pytest.approx(np.mean(values))
    assert found["low"] < found["value"] < found["high"]
    assert partial.largest_fall(wobbling, "record") == pytest.approx(-min(np.diff(values)))
    assert partial.largest_fall(steady, "record") == 0
    without = replace(wobbling, scores=wobbling.scores.filter(pl.col("leads") != "3"))
    assert partial.mean(without, "record", SURE) is None


def test_metrics_hold_every_run_lead_set_task_and_share(runs, partials, features):
    value = {}
    for name, several in (("zeroshot", runs), ("partial_leads", partials), ("linear_probe", features)):
        value |= rooms("tables")[name].metrics(several)
    assert set(value["merl_vit"]) == set(LEADS)
    assert set(value["kmerl"]["I"]) == {*classes.tasks(), AVERAGE}
    assert set(value["linear_probe"]["kmerl"]) == {"paper", "logistic"}
    assert set(value["linear_probe"]["kmerl"]["paper"]["12 leads"]) == {"1%", "10%", "100%"}
    assert value["partial_leads"]["merl_vit"]["visible_leads"]["1"] == pytest.approx(
        partials[1].row(dataset=AVERAGE, leads="1", scope="visible_leads")["value"], abs=5e-5
    )
    undefined = pl.when(pl.col("dataset") == "csn").then(float("nan")).otherwise("value").alias("value")
    one = replace(runs[0], scores=runs[0].scores.with_columns(undefined))
    assert "csn" not in rooms("tables")["zeroshot"].metrics([one])["kmerl"]["I"]


def test_what_was_evaluated_and_pretrained_is_named_once(runs):
    bare = replace(runs[0], name="bare", metadata=scored.metadata(trained=None))
    text = markdown.text(provenance([*runs, bare]))
    assert text.count("mimic_iv_ecg (simulated)") == 1
    assert "`bare`: not pretrained" in text


def params(runs=("kmerl",), partials=("kmerl",), features=("kmerl",)):
    lead_sets = {"12 leads": list(ALL_LEADS), "I+II": ["I", "II"], "I": ["I"]}
    return SimpleNamespace(
        evaluation=SimpleNamespace(confidence=SURE, min_positives=10),
        zeroshot=SimpleNamespace(leads=lead_sets, seen_similarity=0.95),
        plan=SimpleNamespace(
            zeroshot=scored.planned(runs),
            partial_leads=scored.planned(partials),
            linear_probe=scored.planned(features),
            compare=[*combinations(runs, 2)],
        ),
    )


def test_the_stage_writes_every_table_twice_over_and_the_same_bytes_again(
    runs, partials, features, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    scored.write(tmp_path, runs, partials, features)
    names = [[one.name for one in several] for several in (runs, partials, features)]
    first: dict[str, bytes] = {}
    for _ in range(2):
        assert stage.main(params(*names)).startswith("scores 3 of zeroshot")
        found = {p.name: p.read_bytes() for one in ("results", "data/tables") for p in (tmp_path / one).rglob("*.*")}
        stems = ["zeroshot_auc", "zeroshot_scopes_auc", "zeroshot_auc_by_class", "queries_auc", "comparisons_auc",
                 "linear_probe_auc", "partial_leads_auc"]  # fmt: skip
        kinds = ("csv", "md", "json", "parquet")
        assert set(found) == {"metrics.json", "index.json", *(f"{stem}.{kind}" for stem in stems for kind in kinds)}
        assert not first or found == first
        first = found
    assert json.loads(first["metrics.json"])["kmerl"]["12 leads"][AVERAGE] > 0.5
    for name, content in first.items():
        assert b"NaN" not in content, name
        assert (
            name.endswith((".csv", ".parquet")) or b"imulated data" in content or name in ("metrics.json", "index.json")
        ), name
    with pytest.raises(UserError, match="no such file"):
        stage.main(params(["other"]))


def test_the_page_gets_the_very_document_that_is_written_for_people(runs, tmp_path):
    compared = differences.tidy(runs, scored.pairs(runs), LEADS, SURE)
    for document in (
        zeroshot.for_people(runs, 10, SURE), queries.for_people(runs, compared, 0.95, SURE),
        differences.for_people(compared, runs, SURE),
    ):  # fmt: skip
        write_document(tmp_path / "one.json", document)
        assert read_document(tmp_path / "one.json") == document


def test_scores_read_back_are_those_written(runs, tmp_path):
    scored.write(tmp_path, runs[:1])
    (one,) = read_runs(tmp_path / "data/scores/zeroshot", {"kmerl": ["kmerl"]}, 0.95, {"seen": SEEN}, one_scope=True)
    assert one.scores.equals(runs[0].scores)
    assert seen_codes(one) == seen_codes(runs[0])
    assert one.resampled(dataset=AVERAGE, leads="I", way="query", names="name").shape == (50,)
