import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kmerl.methods.method import Records
from kmerl.model.params import MaskParams, TokenParams
from kmerl.model.tokens import draw_leads, draw_segments, draw_view, everything, whole_segments
from kmerl.randomness import streams, uniform

LEAD_TOKENS = TokenParams(length=100, per="lead", padding="tokens")
OVER_ALL = TokenParams(length=100, per="segment", padding="tokens")
DROPPED = TokenParams(length=100, per="lead", padding="dropped")


def masking(**changes):
    values = {"masked_leads": [9, 10, 11], "draw": "per_sample", "segment_share": 0.25, "segments": "per_lead"}
    return MaskParams(**(values | changes))


def noise(records, *shape, seed=0):
    """Even numbers in [0, 1), others for each record."""
    return uniform(streams(np.arange(records), seed, "noise"), int(np.prod(shape))).reshape(records, *shape)


def drawn(leads, times, params, seed=0, records=3):
    """(B, leads, times) what stays visible of records that have so many leads and segments."""
    rows, segments = np.ones((records, leads), bool), np.ones((records, times), bool)
    return draw_segments(rows, segments, params, noise(records, leads, times, seed=seed))


def records(n=200, tokens=LEAD_TOKENS, present=None, lengths=None, members=None, step=0):
    """As a step of training finds them, of 1,000 samples."""
    members = np.arange(n) if members is None else members
    lengths = np.full(len(members), 1000) if lengths is None else lengths
    return Records(
        leads=np.ones((len(members), 12), bool) if present is None else present,
        segments=whole_segments(np.asarray(lengths, np.int32), 1000, tokens),
        tokens=tokens,
        streams=lambda name: streams(members, 1, name),
        streams_of_step=lambda name: streams(np.zeros(1, np.int64), 1, name, step),
    )


presences = st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=1, max_size=9)


def as_mask(sets):
    return np.array([[lead in one for lead in range(12)] for one in sets])


@given(st.integers(1, 12), st.integers(1, 60), st.floats(0, 0.99), st.integers(0, 2**32))
def test_every_lead_keeps_equally_many_tokens(leads, times, share, seed):
    visible = drawn(leads, times, masking(segment_share=share), seed)
    assert visible.shape == (3, leads, times)
    (kept,) = set(visible.sum(2).ravel().tolist())
    assert times - share * times - 1e-6 <= kept < times - share * times + 1 + 1e-6


@given(presences, st.integers(0, 2**32), st.data())
def test_every_lead_of_a_record_keeps_equally_many_of_the_tokens_it_has(sets, seed, data):
    rows = as_mask(sets)
    times = np.array(data.draw(st.lists(st.integers(1, 10), min_size=len(rows), max_size=len(rows))))
    segments = np.arange(10) < times[:, None]
    visible = draw_segments(rows, segments, masking(segment_share=0.3), noise(len(rows), 12, 10, seed=seed))
    assert not visible[~rows].any() and not (visible & ~segments[:, None]).any()
    kept = times - np.floor(times * 0.3 + 1e-9)
    assert (visible.sum(2) == np.where(rows, kept[:, None], 0)).all()


@pytest.mark.parametrize(("share", "times", "hidden"), [(0.29, 100, 29), (0.25, 50, 12), (0.5, 7, 3), (0.0, 9, 0)])
def test_the_share_of_hidden_tokens_is_rounded_down(share, times, hidden):
    assert (drawn(1, times, masking(segment_share=share)).sum(2) == times - hidden).all()


def test_a_quarter_of_fifty_tokens_hides_twelve():
    assert drawn(3, 50, masking()).sum(2).tolist() == [[38, 38, 38]] * 3


def test_leads_and_records_are_masked_independently_of_one_another():
    visible = drawn(2, 50, masking())
    assert (visible[0, 0] != visible[0, 1]).any() and (visible[0, 0] != visible[1, 0]).any()


@given(st.integers(1, 12), st.integers(2, 60), st.integers(0, 2**32))
def test_masking_per_record_hides_as_many_tokens_in_all(leads, times, seed):
    per_lead, per_record = (drawn(leads, times, masking(segments=how), seed) for how in ("per_lead", "per_record"))
    assert (per_lead.sum((1, 2)) == per_record.sum((1, 2))).all()


def test_masking_per_record_falls_on_some_leads_more_than_on_others():
    assert len({*drawn(12, 50, masking(segments="per_record")).sum(2).ravel().tolist()}) > 1


@given(presences, st.integers(0, 11), st.integers(0, 2**32))
def test_visible_leads_are_present_and_at_least_one(sets, masked, seed):
    present = as_mask(sets)
    visible = draw_leads(present, np.full(len(present), masked), noise(len(present), 12, seed=seed))
    assert not (visible & ~present).any()
    assert (visible.sum(1) == np.minimum(12 - masked, present.sum(1))).all() and visible.any(1).all()


def test_every_lead_is_shown_equally_often():
    counts = draw_leads(np.ones((3000, 12), bool), np.full(3000, 10), noise(3000, 12)).sum(0)
    assert counts.sum() == 6000 and counts.min() > 0.8 * counts.mean()


def test_every_segment_is_shown_equally_often():
    shown = draw_view(records(3000), masking(), "mask", "count")
    counts = shown.tokens.sum((0, 1))
    assert counts.min() > 0.9 * counts.mean() and counts.max() < 1.1 * counts.mean()


def test_each_number_of_leads_is_drawn_equally_often_and_alike_for_all_records_of_a_step_where_they_share_it():
    count = draw_view(records(3000), masking(), "mask", "count").leads.sum(1)
    assert {*count.tolist()} == {1, 2, 3} and np.bincount(count)[1:].min() > 900
    shared = [draw_view(records(step=step), masking(draw="per_batch"), "mask", "count") for step in range(30)]
    each = [{*shown.leads.sum(1).tolist()} for shown in shared]
    assert all(len(one) == 1 for one in each) and set.union(*each) == {1, 2, 3}


@pytest.mark.parametrize("tokens", [LEAD_TOKENS, OVER_ALL, DROPPED], ids=["lead", "segment", "dropped"])
@pytest.mark.parametrize("segments", ["per_lead", "per_record"])
@pytest.mark.parametrize("draw", ["per_sample", "per_batch"])
def test_what_a_record_draws_does_not_depend_on_the_records_beside_it(tokens, segments, draw):
    rng = np.random.default_rng(0)
    present, lengths = rng.random((20, 12)) < 0.7, rng.integers(300, 1001, 20)
    how = masking(segments=segments, draw=draw)
    together = draw_view(records(20, tokens, present, lengths), how, "mask", "count")
    some = np.array([17, 3, 11])
    alone = draw_view(records(3, tokens, present[some], lengths[some], members=some), how, "mask", "count")
    assert np.array_equal(together.leads[some], alone.leads) and np.array_equal(together.tokens[some], alone.tokens)


def test_padding_becomes_tokens_or_is_left_out():
    lengths = np.array([1000, 250, 30], np.int32)
    assert whole_segments(lengths, 1050, LEAD_TOKENS).sum(1).tolist() == [10, 10, 10]
    assert whole_segments(lengths, 1050, DROPPED).sum(1).tolist() == [10, 2, 1]
    leads = as_mask([{0, 1}] * 3)
    assert everything(leads, whole_segments(lengths, 1050, DROPPED), DROPPED).tokens.sum((1, 2)).tolist() == [20, 4, 2]
    assert everything(leads, whole_segments(lengths, 1050, OVER_ALL), OVER_ALL).tokens.shape == (3, 1, 10)


def test_masking_all_leads_is_refused():
    with pytest.raises(ValidationError, match="one lead at least"):
        masking(masked_leads=[12])
