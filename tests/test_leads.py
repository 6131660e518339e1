import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmerl.errors import UserError
from kmerl.leads import LEADS, PARTIAL_ORDER, bit_mask, canonical, derive_limb_leads, from_bit_mask, positions

some_leads = st.lists(st.sampled_from(LEADS), unique=True)


@given(
    st.sampled_from(LEADS),
    st.sampled_from(
        ["{}", "lead {}", "ECG Lead {}", "MDC_ECG_LEAD_{}", " {} ", "lead_{}", "{}:", "Lead-{}", "{} lead"]
    ),
    st.sampled_from([str.lower, str.upper, str]),
)
def test_usual_spellings_name_the_same_lead(lead, pattern, case):
    assert canonical(case(pattern.format(lead))) == lead


def test_a_blank_before_the_place_is_no_other_lead():
    assert [canonical(name) for name in ("V 1", "aV-R", "C_3", "V5", "D-II")] == ["V1", "aVR", "V3", "V5", "II"]


@pytest.mark.parametrize(
    ("name", "lead"),
    [
        ("DI", "I"), ("d2", "II"), ("DIII", "III"), ("Lead 1", "I"), ("lead3", "III"), ("ECG lead 2", "II"),
        ("\u2160", "I"), ("\u2162", "III"), ("V\u2084", "V4"), ("avf", "aVF"), ("VF", "aVF"), ("C6", "V6"),
        ("MDC_ECG_LEAD_AVL", "aVL"),
    ],
)  # fmt: skip
def test_other_names_in_use_name_the_same_lead(name, lead):
    assert canonical(name) == lead


@pytest.mark.parametrize(
    "name",
    [
        "MLII",
        "MCL1",
        "CM5",
        "V7",
        "V4R",
        "",
        "X",
        "1",
        "ECG 1",
        "ecg2",
        "-aVR",
        "\u2212aVR",
        "lead -I",
        "I II",
        "I-II",
        "Resp",
        "aV",
    ],
)
def test_other_signals_and_inverted_leads_are_refused(name):
    with pytest.raises(UserError):
        canonical(name)


@given(st.text(max_size=12))
def test_any_text_is_a_lead_or_refused(text):
    try:
        answer = canonical(text)
    except UserError:
        answer = "refused"
    assert answer in (*LEADS, "refused")


@given(some_leads)
def test_bit_mask_and_back_keeps_the_leads(names):
    assert set(from_bit_mask(bit_mask(names))) == set(names)
    assert list(from_bit_mask(bit_mask(names))) == sorted(names, key=LEADS.index)


@given(st.permutations(LEADS), some_leads)
def test_reordering_leads_with_their_names_changes_nothing(order, asked):
    values = {lead: i for i, lead in enumerate(LEADS)}
    stored = [values[lead] for lead in order]
    assert [stored[p] for p in positions(asked, within=order)] == [values[lead] for lead in asked]


def test_a_lead_asked_twice_or_absent_is_refused():
    with pytest.raises(UserError, match="twice"):
        positions(["I", "lead i"])
    with pytest.raises(UserError, match="twice"):
        positions(["I"], within=["II", "ii"])
    with pytest.raises(UserError, match="not among"):
        positions(["V1"], within=["I", "II"])


def test_partial_order_names_each_lead_once():
    assert sorted(PARTIAL_ORDER) == sorted(LEADS)


@given(st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=20))
def test_derived_limb_leads_follow_from_the_electrodes(potentials):
    right, left, foot = np.array(potentials).T  # arm and leg potentials
    derived = derive_limb_leads(left - right, foot - right)
    np.testing.assert_allclose(derived["III"], foot - left, atol=1e-9)
    np.testing.assert_allclose(derived["aVR"], right - (left + foot) / 2, atol=1e-9)
    np.testing.assert_allclose(derived["aVL"], left - (right + foot) / 2, atol=1e-9)
    np.testing.assert_allclose(derived["aVF"], foot - (right + left) / 2, atol=1e-9)
