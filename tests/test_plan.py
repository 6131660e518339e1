"""What follows from runs and suites: every item of every stage, by names that folders can bear."""

import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kmerl.naming import PATTERN
from kmerl.params import load
from kmerl.plan import BASE, Run, Suite, items_of, plan, variant
from workflow.plan import PLAN, fits, text_of

ROOT = Path(__file__).parent.parent


def planned(runs, seed=1, baselines=(), **suites):
    """The plan of runs (name -> what a run says), with suites (name -> runs, or what a suite says)."""
    runs = {name: Run.model_validate({"method": "kmerl"} | said) for name, said in runs.items()}
    suites = suites or {"all": {"runs": [*runs]}}
    whole = {"title": "", "evaluations": ["zeroshot"], "compare_with": None}
    return plan(runs, {name: Suite.model_validate(whole | said) for name, said in suites.items()}, baselines, seed)


def test_what_is_in_git_is_of_the_parameters_there():
    assert (ROOT / PLAN).read_text() == text_of(load(ROOT / "params.yaml"))


def test_a_plan_of_other_parameters_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = load(ROOT / "params.yaml")
    assert not fits(params)
    PLAN.write_text(text_of(params))
    assert fits(params)
    PLAN.write_text(text_of(params).replace("seed: 1", "seed: 2"))
    assert not fits(params)


def test_a_run_is_pretrained_once_from_each_of_its_seeds_and_the_first_bears_its_name():
    made = planned({"a": {"seeds": [5, 2]}, "b": {}}, seed=7)
    assert {name: (one["run"], one["seed"]) for name, one in made["pretrain"].items()} == {
        "a": ("a", 5), "a-2": ("a", 2), "b": ("b", 7),
    }  # fmt: skip
    assert [*made["zeroshot"]] == ["a", "a-2", "b"]


@pytest.mark.parametrize("other", ["a-2", "A-2"])
def test_no_two_items_have_one_name(other):
    with pytest.raises(ValueError, match=re.escape(other)):
        planned({"a": {"seeds": [1, 2]}, other: {}})


def test_labels_and_vectors_exist_once_for_all_runs_with_the_same_changes():
    unmerged, other_text = {"knowledge": {"merge": {"enabled": False}}}, {"text": {"pooling": "cls"}}
    made = planned({"a": {}, "b": unmerged, "c": unmerged, "d": other_text, "e": unmerged | other_text})
    assert [*made["knowledge"]] == [BASE, merged := variant({"merge": {"enabled": False}})]
    assert [*made["text"]] == [BASE, pooled := variant({"pooling": "cls"})]
    assert made["knowledge"][merged]["merge"] == {"enabled": False}
    assert {name: (one["knowledge"], one["text"]) for name, one in made["pretrain"].items()} == {
        "a": (BASE, BASE), "b": (merged, BASE), "c": (merged, BASE), "d": (BASE, pooled), "e": (merged, pooled),
    }  # fmt: skip
    assert {*made["embed_text"]} == {
        "reports", "classes", "vocabulary", f"vocabulary-{merged}-base", f"reports-{pooled}", f"classes-{pooled}",
        f"vocabulary-base-{pooled}", f"vocabulary-{merged}-{pooled}",
    }  # fmt: skip
    for one in made["pretrain"].values():
        stored = made["embed_text"][one["vocabulary"]]
        assert (stored["of"], stored["text"]) == (f"data/labels/{one['knowledge']}", one["text"])
        assert made["embed_text"][one["reports"]]["text"] == one["text"]


values = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.none())
changes = st.dictionaries(st.text(min_size=1), st.one_of(values, st.dictionaries(st.text(min_size=1), values)))


@given(changes, changes)
def test_a_variant_has_a_name_of_its_own_that_a_folder_can_bear(one, other):
    assert re.fullmatch(r"\w+", variant(one), re.ASCII)
    assert len(variant(one)) <= 60
    assert (variant(one) == variant(other)) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


def test_every_item_has_a_name_for_folders_and_none_stands_for_two():
    unmerged = {"knowledge": {"merge": {"enabled": False}}, "text": {"encoder": "ncbi/MedCPT-Query-Encoder"}}
    made = planned({"a": unmerged, "b": {"seeds": [1, 2]}}, baselines=["random_convolutions"])
    for stage in ("knowledge", "text", "embed_text", "pretrain", "zeroshot", "embed_ecg", "linear_probe"):
        assert all(PATTERN.fullmatch(item) for item in made[stage])
        assert len({item.lower() for item in made[stage]}) == len(made[stage])
    assert all("-" not in name for name in made["knowledge"])  # it is one of two parts of an item's name


def test_a_suite_says_what_is_evaluated_of_its_runs():
    made = planned(
        {"a": {}, "b": {}, "c": {}}, baselines=["random_convolutions"],
        one={"runs": ["b", "a"], "evaluations": ["zeroshot", "linear_probe"]},
        two={"runs": ["a", "c"], "evaluations": ["partial_leads", "linear_probe"]},
    )  # fmt: skip
    assert [*made["zeroshot"]] == ["b", "a"]
    assert [*made["partial_leads"]] == ["a", "c"]
    assert made["embed_ecg"] == ["b", "a", "c"]
    assert [*made["linear_probe"]] == ["b", "a", "c", "random_convolutions"]
    assert made["linear_probe"]["random_convolutions"] == {"run": "random_convolutions", "seed": None}
    assert [*made["pretrain"]] == ["a", "b", "c"]


def test_runs_are_compared_with_the_base_of_their_suite_or_all_with_all():
    runs = {name: {} for name in "abc"}
    based = planned(runs, one={"runs": ["a", "b", "c"], "compare_with": "b"})
    assert based["compare"] == [["b", "a"], ["b", "c"]]
    assert planned(runs)["compare"] == [list(pair) for pair in itertools.combinations("abc", 2)]
    assert planned(runs, one={"runs": ["a", "b"], "evaluations": ["linear_probe"]})["compare"] == []


def test_the_first_item_is_that_of_the_first_seed():
    run = Run(method="kmerl", seeds=[3, 1])
    assert items_of("x", run, seed=9) == {"x": 3, "x-1": 1}


def test_the_file_says_nothing_twice_by_reference(tmp_path):
    text = text_of(load(ROOT / "params.yaml"))
    assert "&id" not in text
    assert yaml.safe_load(text)["plan"] == load(ROOT / "params.yaml").plan
