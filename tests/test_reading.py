"""A batch is one read: what it gives is what each record gives alone, cut into tokens."""

import numpy as np
import pytest
import small
import torch
from hypothesis import given
from hypothesis import strategies as st

from kmerl.leads import LEADS, from_bit_mask
from kmerl.model.params import TokenParams
from kmerl.model.reading import read
from kmerl.model.tokens import Shown
from kmerl.preprocessing.repair import prepare
from kmerl.shards import store_writer
from kmerl.training.batches import Batches
from kmerl.waveforms import NormalizeParams, WaveformStore
from tests.archives import noise, params
from tests.test_waveforms import recording

CPU = torch.device("cpu")
RECORDS, SAMPLES, P, M = 10, 2500, 120, 20  # 100 samples are left over

rules = st.builds(
    NormalizeParams,
    rule=st.sampled_from(["millivolt", "minmax", "zscore"]),
    clip_mv=st.just(2.0),
    scope=st.sampled_from(["record", "visible_leads", "lead"]),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Records that each lack a lead, some far from 0 mV, in several shards."""
    folder = tmp_path_factory.mktemp("store") / "waveforms"
    with store_writer(folder, "ptb_xl", "recorded", 500, SAMPLES, 4) as writer:
        for i in range(RECORDS):
            samples = noise(i, samples=SAMPLES).T.copy()
            samples[i] = 0
            writer.append(
                prepare(recording(samples, gain=100.0 + i, baseline=40.0 * i), params(seconds=5)), str(i), None
            )
    return WaveformStore(folder)


@st.composite
def views(draw, over_all=False):
    """Rows, in any order and twice, with leads they have and some tokens of these."""
    rows = np.array(draw(st.lists(st.integers(0, RECORDS - 1), min_size=1, max_size=6)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    leads = rng.random((len(rows), 12)) < draw(st.sampled_from([0.2, 0.6, 1.0]))
    leads[np.arange(len(rows)), rows] = False
    leads[np.arange(len(rows)), (rows + 1) % 12] = True
    tokens = rng.random((len(rows), 1 if over_all else 12, M)) < draw(st.sampled_from([0.3, 1.0]))
    tokens[:, :, 3] = True
    return rows, Shown(leads, tokens if over_all else tokens & leads[:, :, None])


def tokens_of(reading):
    """Record of the batch -> its segments, leads and times."""
    rows = [record for group in reading.cut(CPU) for record in zip(*group, strict=True)]
    return dict(zip(reading.order.tolist(), rows, strict=True))


@given(views(), rules)
def test_a_batch_holds_bit_by_bit_what_its_records_hold_when_read_alone(store, view, normalize):
    rows, shown = view
    found = tokens_of(read(store, rows, shown, TokenParams(length=P, per="lead", padding="tokens"), normalize))
    assert found.keys() == {*range(len(rows))}
    for i, (segments, leads, times) in found.items():
        names = [LEADS[lead] for lead in np.flatnonzero(shown.leads[i])]
        alone = np.zeros((12, M, P), np.float32)
        alone[shown.leads[i]] = store.read_normalized(int(rows[i]), names, normalize)[:, : M * P].reshape(-1, M, P)
        assert np.array_equal(np.stack(np.nonzero(shown.tokens[i])), torch.stack([leads, times]).numpy())
        assert np.array_equal(segments.numpy(), alone[leads.numpy(), times.numpy()])


@given(views(over_all=True), rules)
def test_tokens_over_all_leads_hold_them_side_by_side_and_zeros_for_those_not_shown(store, view, normalize):
    rows, shown = view
    found = tokens_of(read(store, rows, shown, TokenParams(length=P, per="segment", padding="tokens"), normalize))
    for i, (segments, leads, times) in found.items():
        names = [LEADS[lead] for lead in np.flatnonzero(shown.leads[i])]
        alone = np.zeros((12, M, P), np.float32)
        alone[shown.leads[i]] = store.read_normalized(int(rows[i]), names, normalize)[:, : M * P].reshape(-1, M, P)
        assert times.tolist() == np.flatnonzero(shown.tokens[i, 0]).tolist() and not leads.any()
        assert np.array_equal(segments.numpy(), alone[:, times.numpy()].transpose(1, 0, 2).reshape(len(times), -1))


@given(views())
def test_groups_hold_records_that_show_equally_many_tokens_and_nothing_is_padded(store, view):
    rows, shown = view
    normalize = NormalizeParams(rule="zscore", clip_mv=5, scope="record")
    reading = read(store, rows, shown, TokenParams(length=P, per="lead", padding="tokens"), normalize)
    counts = shown.tokens.sum((1, 2))
    assert sorted(reading.order.tolist()) == list(range(len(rows)))
    assert reading.sizes == [(int((counts == n).sum()), n) for n in sorted({*counts.tolist()})]
    groups = reading.cut(CPU)
    assert [(*segments.shape,) for segments, _, _ in groups] == [(b, n, P) for b, n in reading.sizes]
    assert len(reading.samples) == shown.leads.sum()  # hidden leads are not read


@given(views())
def test_a_view_alters_each_segment_by_its_record_and_place(store, view):
    rows, shown = view
    places = torch.zeros(len(rows), 12 * M, dtype=torch.int64)

    def noted(segments, records, of_record):
        places[records, of_record] += 1
        return segments * 0 + (1000 * records + of_record)[:, None]

    normalize, tokens = (
        NormalizeParams(rule="zscore", clip_mv=5, scope="lead"),
        TokenParams(length=P, per="lead", padding="tokens"),
    )
    found = tokens_of(read(store, rows, Shown(shown.leads, shown.tokens, noted), tokens, normalize))
    assert np.array_equal(places.numpy().reshape(-1, 12, M), shown.tokens.astype(int))
    for i, (segments, leads, times) in found.items():
        assert torch.equal(segments, (1000.0 * i + leads * M + times)[:, None].expand(-1, P).float())


def test_simclr_multiplies_by_a_gain_of_its_range_and_adds_noise_of_its_deviation(tmp_path):
    store = small.store(tmp_path / "toy", n=64)
    plain, gained, noisy = (
        small.changed(
            small.method("simclr"), options={"gain": gain, "noise": deviation, "masking": {"masked_leads": [9]}}
        )
        for gain, deviation in (([1.0, 1.0], 0.0), ([0.5, 2.0], 0.0), ([1.0, 1.0], 0.05))
    )

    def segments(run):
        made = Batches(store, small.examples(range(64)), run.method, run.model.tokens, run.normalize, 64, 1)
        return [torch.cat([s.flatten(1) for s, _, _ in v.groups]) for v in made[0].to(CPU).views]

    for one, louder, other in zip(segments(plain), segments(gained), segments(noisy), strict=True):
        factors = (louder * one).sum(1) / (one * one).sum(1)
        torch.testing.assert_close(louder, one * factors[:, None])
        assert 0.5 <= factors.min() < 0.8 and 1.7 < factors.max() <= 2
        added = other - one
        assert abs(added.std() - 0.05) < 0.001 and abs(added.mean()) < 0.001
    first, second = segments(noisy)
    assert not torch.equal(first, second)


def test_records_of_many_shards_are_read_with_few_open(store, monkeypatch):
    monkeypatch.setattr("kmerl.waveforms._OPEN_SHARDS", 1)
    fresh = WaveformStore(store.folder)
    rows, leads = np.array([9, 0, 0, 5, 9, 3]), np.array([2, 1, 4, 3, 2, 11])
    found = fresh.samples_of(rows, leads)
    assert found.dtype == np.int16 and len(fresh._shards) == 1
    for samples, row, lead in zip(found, rows, leads, strict=True):
        mv = store.read(int(row), [LEADS[lead]])[0]
        scale, offset = store.records["scale"][int(row)][int(lead)], store.records["offset"][int(row)][int(lead)]
        np.testing.assert_allclose(samples * scale + offset, mv, atol=1e-6)
    assert from_bit_mask(int(store.present[3])) == tuple(lead for lead in LEADS if lead != LEADS[3])
