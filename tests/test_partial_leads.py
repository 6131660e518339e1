import asked
import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from kmerl.artifacts import read_metadata, read_table
from kmerl.evaluation.answers import find_records
from kmerl.evaluation.schemas import AVERAGE, RESAMPLES, SCORES
from kmerl.evaluations.partial_leads.run import draw, lead_sets
from kmerl.evaluations.partial_leads.schemas import LEAD_SETS
from kmerl.leads import PARTIAL_ORDER
from stages import partial_leads, zeroshot


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data/scores/partial_leads/one"


def scores_of(folder):
    return read_table(folder / "scores.parquet", SCORES)


def values(folder, scope):
    """Rows of a scope, without its name."""
    return scores_of(folder).filter(scope=scope).drop("scope")


def test_leads_are_added_in_the_order_asked_for_and_shown_alone():
    sets = lead_sets(asked.partial_leads(order=list(PARTIAL_ORDER)))
    assert sets.columns == LEAD_SETS.names
    nested = sets.filter(kind="nested")
    assert nested["leads"].to_list() == [str(count) for count in range(1, 13)]
    assert nested["names"].to_list()[3] == ["I", "II", "III", "aVF"]
    assert nested["count"].to_list() == nested["names"].list.len().to_list()
    single = sets.filter(kind="single")
    assert single.select("leads", "names").rows()[-1] == ("only V6", ["V6"])
    assert single.height == 12
    assert lead_sets(asked.partial_leads(single=False))["kind"].unique().to_list() == ["nested"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": ["V7"]}, "lead 'V7' is not one of"),
        ({"order": ["I", "di"]}, "lead I is asked twice"),
        ({"order": []}, "names no lead"),
        ({"scopes": ["twelve"]}, "'record', 'visible_leads' or 'lead'"),
        ({"records": 0}, "greater than or equal to 1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        asked.partial_leads(**changes)


def test_the_drawn_records_are_labelled_and_the_same_for_every_run(tmp_path):
    store = asked.store(tmp_path / "store", "cpsc2018")
    labels = asked.targets(tasks=["cpsc2018"])
    codes = {"cpsc2018": labels["code"].unique().sort().to_list()}
    every = find_records(store, labels, codes, ["test"])
    few = draw(every, 5, seed=1)
    assert few.rows == draw(every, 5, seed=1).rows != draw(every, 5, seed=2).rows
    assert set(few.rows) < set(every.rows)
    for row, positive in zip(few.rows, few.positive["cpsc2018"], strict=True):
        expected = labels.filter(record_id=f"r{row}")["code"].to_list()
        assert sorted(np.array(codes["cpsc2018"])[positive]) == sorted(expected)
    assert draw(every, None, seed=1).rows == draw(every, 1000, seed=1).rows == every.rows


def test_the_stage_scores_every_lead_set_under_both_scopes(project, tmp_path):
    asked.project(tmp_path, rule="minmax")
    assert partial_leads.main(asked.params(), "one").startswith("40 records, 5 tasks; macro AUC, averaged: 1 lead 0.")
    scores, sets = scores_of(project), read_table(project / "leads.parquet", LEAD_SETS)
    average = scores.filter(dataset=AVERAGE, metric="macro_auc")
    assert average["leads"].to_list() == sets["leads"].to_list() * 2
    assert sets["leads"].to_list() == ["1", "2", "3", "only V1", "only I", "only II"]
    assert set(scores.select("way", "names").rows()) == {("query", "name")}
    assert read_table(project / "resamples.parquet", RESAMPLES).height == scores.height
    one, alone = (scores.filter(leads=leads).drop("leads") for leads in ("1", "only V1"))
    assert one.equals(alone)
    assert not values(project, "record").equals(values(project, "visible_leads"))
    assert read_metadata(project / "leads.parquet")["archives"] == {"ptb_xl": "simulated", "cpsc2018": "simulated"}


def test_scopes_are_the_same_where_normalisation_does_not_depend_on_them(project, tmp_path):
    asked.project(tmp_path)
    partial_leads.main(asked.params(), "one")
    assert values(project, "record").equals(values(project, "visible_leads"))


def test_hidden_leads_do_not_change_scores_under_the_visible_scope(project, tmp_path):
    found = {}
    for name, louder_but in (("quiet", ()), ("loud", ("V1", "I", "II"))):
        options = {"louder_but": louder_but} if louder_but else {}
        asked.project(tmp_path, rule="minmax", **options)
        partial_leads.main(asked.params(), "one")
        found[name] = {scope: values(project, scope) for scope in ("record", "visible_leads")}
        for archive in ("ptb_xl", "cpsc2018"):
            (tmp_path / "data/waveforms" / archive).rename(tmp_path / f"{name}_{archive}")
    assert found["quiet"]["visible_leads"].equals(found["loud"]["visible_leads"])
    assert not found["quiet"]["record"].equals(found["loud"]["record"])


def test_a_lead_set_scores_as_in_zero_shot(project, tmp_path):
    asked.project(tmp_path, "merl_vit")
    params = asked.params(zeroshot=asked.zeroshot(leads={"two": ["V1", "I"]}, names=["name"]))
    partial_leads.main(params, "one")
    zeroshot.main(params, "one")
    where = {"dataset": AVERAGE, "metric": "macro_auc", "scope": "record"}
    columns = ["way", "value", "low", "high", "n", "classes", "positives"]
    two = scores_of(project).filter(leads="2", **where).select(columns)
    other = (
        read_table(tmp_path / "data/scores/zeroshot/one/scores.parquet").filter(leads="two", **where).select(columns)
    )
    assert two.equals(other)
    assert two["way"].to_list() == ["contrastive"]


def test_records_without_the_shown_leads_are_counted_in_the_summary(project, tmp_path):
    asked.project(tmp_path, leads=["I", "II", "V2"])
    summary = partial_leads.main(asked.params(), "one")
    assert "40 records (40 left out of lead sets of which they have no lead)" in summary
    scores = scores_of(project).filter(pl.col("metric") == "macro_auc", dataset=AVERAGE, scope="record")
    assert dict(scores.select("leads", "n").iter_rows()) == {
        "1": 0, "2": 40, "3": 40, "only V1": 0, "only I": 40, "only II": 40,
    }  # fmt: skip
