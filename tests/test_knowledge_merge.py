from hypothesis import given
from hypothesis import strategies as st

from kmerl.knowledge import merge, superclass
from kmerl.knowledge.merge import merge_spellings, spelling_key

NAMES = st.sampled_from(["pvc", "pvcs", "pvc(s)", "PVC", "lvh", "a-v block", "a v block", "block", "rbbb", "vpc"])


def test_case_spaces_plurals_and_hyphens_are_merged_without_a_model() -> None:
    counts = {"pvc(s)": 5, "pvcs": 7, "pvc": 1, "1st degree a-v block": 2, "1st degree a v  block": 1, "lvh": 1}
    assert merge_spellings(counts) == {
        "1st degree a v  block": "1st degree a-v block",
        "1st degree a-v block": "1st degree a-v block",
        "lvh": "lvh",
        "pvc": "pvcs",
        "pvc(s)": "pvcs",
        "pvcs": "pvcs",
    }


def test_words_that_only_look_like_plurals_stay_apart() -> None:
    assert spelling_key("pericarditis") == ("pericarditis",)
    assert spelling_key("t wave") == spelling_key("T-Waves")
    assert spelling_key("rbbb") != spelling_key("lbbb")


def test_missing_keys_stay_and_invented_ones_are_dropped() -> None:
    mapping, checks = merge.mend(["lvh", "rbbb"], {"LVH": "left ventricular hypertrophy", "stemi": "infarct"})
    assert mapping == {"lvh": "left ventricular hypertrophy", "rbbb": "rbbb"}
    assert checks.missing == ["rbbb"]
    assert checks.invented == ["stemi"]


def test_what_is_no_name_is_reported() -> None:
    mapping, checks = merge.mend(["lvh", "rbbb"], {"lvh": ["left"], "rbbb": " "})
    assert mapping == {"lvh": "lvh", "rbbb": "rbbb"}
    assert checks.unnamed == ["lvh", "rbbb"]
    assert checks.missing == []


def test_chains_are_followed_and_circles_broken() -> None:
    mapping, checks = merge.mend(["a", "b", "c"], {"a": "b", "b": "c", "c": "c"})
    assert mapping == {"a": "c", "b": "c", "c": "c"}
    assert checks.cycles == []
    mapping, checks = merge.mend(
        ["afib", "atrial fibrillation"], {"afib": "Atrial Fibrillation", "atrial fibrillation": "afib"}
    )
    assert set(mapping.values()) == {"atrial fibrillation"}
    assert checks.cycles == [["afib", "atrial fibrillation"]]


def test_a_merged_name_in_another_spelling_is_the_entity_itself() -> None:
    mapping, _ = merge.mend(["pvc", "vpb"], {"pvc": "PVC", "vpb": "PVCs"})
    assert mapping == {"pvc": "pvc", "vpb": "pvc"}
    mapping, _ = merge.mend(["flat t waves", "low t"], {"flat t waves": "flat t wave", "low t": "Flat T-waves"})
    assert mapping == {"flat t waves": "flat t wave", "low t": "flat t wave"}


@given(st.sets(NAMES), st.dictionaries(NAMES | st.text(max_size=5), NAMES | st.text(max_size=5) | st.none()))
def test_the_mapping_is_total_and_idempotent_whatever_was_answered(asked: set[str], answer: dict) -> None:
    names = {name.lower() for name in asked}
    mapping, _ = merge.mend(names, answer)
    assert set(mapping) == names
    for name in mapping.values():
        assert mapping.get(name, name) == name


@given(st.dictionaries(NAMES, st.integers(1, 9)))
def test_merging_spellings_is_total_and_idempotent(counts: dict[str, int]) -> None:
    mapping = merge_spellings(counts)
    assert set(mapping) == set(counts)
    assert all(mapping[name] == name for name in mapping.values())


def test_members_must_be_known_entities() -> None:
    found, checks = superclass.mend(
        ["lvh", "rvh"], {"Hypertrophy": ["LVH", "rvh", "septal hypertrophy", 3], "none": "lvh"}, 1
    )
    assert found == {"hypertrophy": ["lvh", "rvh"]}
    assert checks.unknown == {"hypertrophy": ["septal hypertrophy", "3"]}
    assert checks.no_list == ["none"]


def test_a_superclass_that_is_an_entity_takes_its_name_and_is_no_member_of_itself() -> None:
    found, _ = superclass.mend(
        ["av block", "1st degree av block"], {"AV-Blocks": ["av block", "1st degree av block"]}, 2
    )
    assert found == {"av block": ["1st degree av block"]}


def test_an_entity_may_have_several_superclasses_and_small_ones_are_reported() -> None:
    answer = {"conduction": ["rbbb", "lbbb"], "bundle branch block": ["rbbb", "lbbb"], "right": ["rbbb"]}
    found, checks = superclass.mend(["rbbb", "lbbb"], answer, 2)
    assert sorted(found) == ["bundle branch block", "conduction"]
    assert checks.small == {"right": ["rbbb"]}
