import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kmerl.model.params import MaskParams, TokenParams
from kmerl.model.tokens import draw_leads, draw_segments, tokenize, trim
from kmerl.randomness import generator

LEAD_TOKENS = TokenParams(length=100, per="lead", padding="tokens")


def masking(**changes):
    values = {"masked_leads": [9, 10, 11], "draw": "per_sample", "segment_share": 0.25, "segments": "per_lead"}
    return MaskParams(**(values | changes))


@given(st.integers(1, 12), st.integers(1, 60), st.floats(0, 0.99), st.integers(0, 2**32))
def test_every_lead_keeps_equally_many_tokens(leads, times, share, seed):
    visible = draw_segments(leads, times, masking(segment_share=share), generator(seed))
    assert visible.shape == (leads, times)
    (kept,) = set(visible.sum(1).tolist())
    assert times - share * times - 1e-6 <= kept < times - share * times + 1 + 1e-6


@pytest.mark.parametrize(("share", "times", "hidden"), [(0.29, 100, 29), (0.25, 50, 12), (0.5, 7, 3), (0.0, 9, 0)])
def test_the_share_of_hidden_tokens_is_rounded_down(share, times, hidden):
    assert draw_segments(1, times, masking(segment_share=share), generator(0)).sum() == times - hidden


def test_a_quarter_of_fifty_tokens_hides_twelve():
    assert draw_segments(3, 50, masking(), generator(0)).sum(1).tolist() == [38, 38, 38]


def test_leads_are_masked_independently_of_one_another():
    visible = draw_segments(2, 50, masking(), generator(0))
    assert (visible[0] != visible[1]).any()


@given(st.integers(1, 12), st.integers(2, 60), st.integers(0, 2**32))
def test_masking_per_record_hides_as_many_tokens_in_all(leads, times, seed):
    per_lead = draw_segments(leads, times, masking(), generator(seed))
    per_record = draw_segments(leads, times, masking(segments="per_record"), generator(seed))
    assert per_lead.sum() == per_record.sum()


@given(st.sets(st.integers(0, 11), min_size=1), st.integers(0, 11), st.integers(0, 2**32))
def test_visible_leads_are_present_and_at_least_one(present, masked, seed):
    visible = draw_leads(np.array(sorted(present)), masked, generator(seed))
    assert set(visible.tolist()) <= present
    assert len(visible) == min(12 - masked, len(present)) >= 1
    assert sorted(set(visible.tolist())) == visible.tolist()


def test_every_lead_is_shown_equally_often():
    counts = np.zeros(12)
    for draw in range(3000):
        counts[draw_leads(np.arange(12), 10, generator(draw))] += 1
    assert counts.min() > 0.8 * counts.mean()


def test_a_token_holds_its_own_lead_and_segment():
    signal = np.arange(3 * 500, dtype=np.float32).reshape(3, 500)
    tokens = tokenize(signal, np.array([1, 6, 11]), LEAD_TOKENS)
    assert tokens.segments.shape == (15, 100)
    for segment, lead, time in zip(tokens.segments, tokens.leads, tokens.times, strict=True):
        row = [1, 6, 11].index(lead)
        assert np.array_equal(segment, signal[row, time * 100 : (time + 1) * 100])


def test_only_visible_tokens_are_kept():
    visible = draw_segments(3, 5, masking(segment_share=0.4), generator(3))
    tokens = tokenize(np.zeros((3, 500), np.float32), np.array([0, 1, 2]), LEAD_TOKENS, visible)
    assert {(lead, time) for lead, time in zip(tokens.leads, tokens.times, strict=True)} == set(
        zip(*map(tuple, np.nonzero(visible)), strict=True)
    )


def test_a_token_over_all_leads_has_zeros_for_those_missing():
    signal = np.ones((2, 300), np.float32)
    tokens = tokenize(signal, np.array([0, 7]), TokenParams(length=100, per="segment", padding="tokens"))
    assert tokens.segments.shape == (3, 1200)
    filled = tokens.segments.reshape(3, 12, 100).any(axis=(0, 2))
    assert np.flatnonzero(filled).tolist() == [0, 7]


def test_padding_becomes_tokens_or_is_left_out():
    padded = np.zeros((2, 500), np.float32)
    dropped = TokenParams(length=100, per="lead", padding="dropped")
    assert trim(padded, 250, LEAD_TOKENS).shape == (2, 500)
    assert len(tokenize(trim(padded, 250, dropped), np.array([0, 1]), dropped).times) == 2 * 2
    assert trim(padded, 30, dropped).shape == (2, 100)


def test_masking_all_leads_is_refused():
    with pytest.raises(ValidationError, match="one lead at least"):
        masking(masked_leads=[12])
