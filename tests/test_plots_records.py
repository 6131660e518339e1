import math
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from kmerl.evaluations.zeroshot.schemas import PREDICTIONS
from kmerl.knowledge.vocabulary import make_vocabulary
from kmerl.leads import bit_mask
from kmerl.plots.params import FiguresParams
from kmerl.plots.records import answers, evaluated, mined, pretraining, shares, true_names

PARAMS = FiguresParams(dpi=100, examples=2, pretraining_examples=2, answers=2, compare=["12 leads", "I"])


def predictions(*rows):
    """Rows (record, task, code, leads, probability, positive)."""
    full = [(row[0], None, "toy", *row[1:4], "query", "name", *row[4:]) for row in rows]
    return pl.DataFrame(full, schema=PREDICTIONS.names, orient="row")


ASKED = predictions(
    ("r1", "ptbxl_super", "NORM", "12 leads", 0.9, True),
    ("r1", "ptbxl_sub", "NORM", "12 leads", 0.8, True),
    ("r1", "ptbxl_super", "MI", "12 leads", 0.1, False),
    ("r1", "ptbxl_super", "CD", "12 leads", 0.4, False),
    ("r1", "ptbxl_super", "NORM", "I", 0.2, True),
    ("r2", "ptbxl_super", "MI", "12 leads", 0.7, True),
)


def store():
    """Two records of 4 s in a store of 5 s; the second has lead I only, and a flag."""
    columns = {"record_id": ["r1", "r2"], "length": [400, 400], "flags": [[], ["noisy"]], "split": ["train", "valid"]}
    return SimpleNamespace(
        records=pl.DataFrame(columns), present=[bit_mask(["I", "V1"]), bit_mask(["I"])], archive="toy",
        origin="simulated", fs=100, read=lambda row, leads: np.full((len(leads), 500), row, np.float32),
    )  # fmt: skip


def test_the_highest_probabilities_under_the_first_lead_set_come_first_and_a_shared_name_once():
    shown = answers(ASKED.filter(pl.col("record_id") == "r1"), PARAMS.compare, 2)
    assert [(one.name, one.true) for one in shown] == [("normal ECG", True), ("conduction disturbance", False)]
    assert shown[0].probability == {"12 leads": 0.9, "I": 0.2}
    assert math.isnan(shown[1].probability["I"])


def test_the_labels_of_a_record_are_named_once():
    assert true_names(ASKED) == {"r1": ["normal ECG"], "r2": ["myocardial infarction"]}


def test_superclasses_stand_apart_from_what_the_report_names_itself():
    trace = pl.DataFrame({"query": ["a", "group", "b", "group b"], "via": ["a", "a", "b", "b"]})
    assert mined(["a", "b", "group", "group b"], trace) == (["a", "b"], ["group", "group b"])
    itself = pl.DataFrame({"query": ["a", "b", "b"], "via": ["a", "a", "b"]})
    assert mined(["a", "b"], itself) == (["a", "b"], [])


def test_an_evaluated_record_is_shown_without_padding_with_its_report_and_flags():
    shown = {one.heading: one for one in evaluated(store(), ASKED, {"r2": "infarct"}, "model m", 2, PARAMS, 1)}
    assert set(shown) == {"toy record r1, simulated", "toy record r2, simulated"}
    one = shown["toy record r2, simulated"]
    assert one.subheading == "model m; quality flags: noisy"
    assert (one.signal.shape, tuple(one.leads)) == ((1, 400), ("I",))
    assert one.texts == {"Report": "infarct", "Labels": "myocardial infarction"}
    assert shown["toy record r1, simulated"].texts["Report"] == ""


def test_a_long_record_is_cut_and_says_so():
    long = store()
    long.records = long.records.with_columns(length=pl.lit(3450))
    long.read = lambda row, leads: np.zeros((len(leads), 6000), np.float32)
    (one,) = evaluated(long, ASKED, {}, "model m", 1, PARAMS, 1)
    assert one.signal.shape[1] == 1000
    assert one.heading.endswith("simulated, first 10 s of 34.5 s")


@pytest.mark.parametrize(
    ("count", "expected"), [(4, [2, 1, 1]), (3, [1, 1, 1]), (2, [1, 1, 0]), (0, [0, 0, 0]), (8, [3, 3, 2])]
)
def test_every_archive_gives_examples_in_turn(count, expected):
    assert list(shares(count, ["a", "b", "c"]).values()) == expected


@pytest.mark.parametrize("unlabelled", [[], ["r9"]])
def test_a_pretraining_record_is_shown_with_the_entities_of_its_own_report(unlabelled):
    vocabulary = make_vocabulary(["a", "b"], {"group": ["a"]})
    index = {query: i for i, query in enumerate(vocabulary.queries)}
    ids = ["r1", "r2", *unlabelled]  # r9 was rejected as a waveform
    positives = [[index["a"], index["group"]], [], [index["b"]]][: len(ids)]
    labels = pl.DataFrame(
        {"record_id": ids, "positives": positives}, {"record_id": pl.String, "positives": pl.List(int)}
    )
    trace = pl.DataFrame(
        {"report_id": ["t1", "t1", "t2"], "query": ["a", "group", "group"], "via": ["a", "a", "group"]}
    )
    shown = list(pretraining(store(), vocabulary, labels, trace, {"r1": "t1"}, {"t1": "text"}, PARAMS, 1))
    assert [one.heading for one in shown] == ["toy record r1, simulated"]
    assert shown[0].subheading == "pretraining data, split train"
    assert shown[0].texts == {"Report": "text"}
    assert shown[0].lists == {"Entities mined from the report": ["a"], "Superclasses set by them": ["group"]}
