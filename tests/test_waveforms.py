"""Repair, the store and normalisation."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kmerl.archives.archive import SplitParams
from kmerl.archives.ptb_xl import PtbXl
from kmerl.archives.wfdb_format import RecordError, Recording
from kmerl.archives.wfdb_reader import read_recording
from kmerl.errors import UserError
from kmerl.leads import LEADS, bit_mask, from_bit_mask
from kmerl.preprocessing.repair import prepare
from kmerl.shards import store_writer
from kmerl.waveforms import NormalizeParams, WaveformStore
from tests.archives import noise, params

GAP = -32768


def recording(samples: NDArray[np.int16], leads=LEADS, fs=500.0, gain=200.0, baseline=0.0, unit=1.0) -> Recording:
    n = len(leads)
    return Recording(tuple(leads), fs, samples, np.full(n, gain), np.full(n, baseline), np.full(n, unit))


def stored_mv(waveform) -> NDArray[np.float64]:
    return waveform.samples * waveform.scale[:, None].astype(np.float64) + waveform.offset[:, None]


def write_store(folder, waveforms, shard_records=4) -> WaveformStore:
    with store_writer(folder, "ptb_xl", "recorded", 500, waveforms[0].samples.shape[1], shard_records) as store:
        for i, waveform in enumerate(waveforms):
            store.append(waveform, str(i), None)
    return WaveformStore(folder)


def test_samples_at_the_target_rate_are_kept_bit_by_bit():
    samples = np.random.default_rng(1).integers(-32767, 32768, (12, 5000)).astype(np.int16)
    waveform = prepare(recording(samples, baseline=7.0), params())
    np.testing.assert_array_equal(waveform.samples, samples)
    np.testing.assert_allclose(stored_mv(waveform), (samples - 7.0) / 200, atol=1e-4)
    # unrelated leads of up to 164 mV are no ECG, but they are stored as they are
    assert (waveform.flags, waveform.leads, waveform.length) == (("large_amplitude", "limb_leads"), 0xFFF, 5000)


@given(st.permutations(range(12)))
@settings(max_examples=10)
def test_the_order_of_leads_in_the_file_changes_nothing(order):
    samples = noise(1, samples=2500).T
    shuffled = recording(samples[order], [LEADS[i] for i in order])
    np.testing.assert_array_equal(prepare(shuffled, params()).samples, prepare(recording(samples), params()).samples)


def test_short_records_are_padded_with_0_mv_and_long_ones_cropped():
    short = prepare(recording(noise(1, samples=3000).T, baseline=50.0), params())
    assert (short.length, short.flags) == (3000, ("padded",))
    assert np.abs(stored_mv(short)[:, 3000:]).max() < 1e-7
    assert short.mean == pytest.approx((noise(1, samples=3000).mean(0) - 50) / 200, abs=1e-5)  # padding left out
    long = prepare(recording(noise(1, samples=6000).T), params())
    assert (long.length, long.flags) == (5000, ("cropped",))
    np.testing.assert_array_equal(long.samples, noise(1, samples=6000)[:5000].T)


def test_a_gap_is_interpolated_in_its_own_lead_only():
    samples = noise(1).T.copy()
    samples[2, 100], samples[2, 104] = 10, 50
    samples[2, 101:104] = GAP
    samples[5, :20] = GAP
    waveform = prepare(recording(samples), params())
    assert waveform.samples[2, 100:105].tolist() == [10, 20, 30, 40, 50]
    assert set(waveform.samples[5, :20].tolist()) == {samples[5, 20]}
    assert waveform.flags == ("nan_repaired",)
    assert waveform.nans.tolist() == [0, 0, 3, 0, 0, 20, 0, 0, 0, 0, 0, 0]
    untouched = [0, 1, 3, 4, *range(6, 12)]
    np.testing.assert_array_equal(waveform.samples[untouched], samples[untouched])


@pytest.mark.parametrize(("fill", "flag"), [(0, "flat_lead"), (17, "flat_lead"), (GAP, "nan_lead")])
def test_a_lead_without_a_signal_is_left_out_of_the_mask(fill, flag):
    samples = noise(1).T.copy()
    samples[LEADS.index("V3")] = fill
    waveform = prepare(recording(samples), params())
    assert waveform.flags == (flag,)
    assert "V3" not in from_bit_mask(waveform.leads)
    assert np.isnan(waveform.minimum).nonzero()[0].tolist() == [LEADS.index("V3")]
    assert not waveform.samples[LEADS.index("V3")].any()


@pytest.mark.parametrize(
    ("names", "flags"),
    [
        ([*LEADS[:2], "RESP", *LEADS[3:]], ("missing_lead", "unknown_lead")),
        ([*LEADS, "III"], ("repeated_lead",)),
    ],
)
def test_a_lead_that_is_left_out_moves_no_other_one(names, flags):
    samples = np.concatenate([noise(1).T, noise(2).T[-1:]])[: len(names)]
    waveform = prepare(recording(samples, names), params())
    assert waveform.flags == flags
    assert from_bit_mask(waveform.leads) == (*LEADS[:2], *LEADS[3:])
    np.testing.assert_array_equal(np.delete(waveform.samples, 2, 0), np.delete(samples[:12], 2, 0))
    assert not waveform.samples[2].any()


def test_missing_leads_are_left_out_or_derived_as_the_parameter_says():
    names = ["I", "II", *LEADS[6:]]
    i, ii = noise(1, leads=8)[:, :2].T / 200
    partial = recording(noise(1, leads=8).T, names)
    left_out = prepare(partial, params())
    assert (left_out.leads, left_out.flags) == (bit_mask(names), ("missing_lead",))
    derived = prepare(partial, params(derive_limb_leads=True))
    assert (derived.leads, derived.flags) == (0xFFF, ("derived_lead", "missing_lead"))
    np.testing.assert_allclose(stored_mv(derived)[LEADS.index("aVF")], ii - i / 2, atol=2e-4)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (recording(noise(1, leads=5).T, LEADS[:5]), "too_few_leads"),
        (recording(np.zeros((12, 5000), np.int16)), "too_few_leads"),
        (recording(np.full((12, 5000), GAP, np.int16)), "too_few_leads"),
        (recording(noise(1, samples=2499).T), "too_short"),
        (recording(noise(1, leads=6).T, ["I", "i", "lead I", "I", "I", "I"]), "repeated_lead"),
        (recording(noise(1, leads=6).T, ["MLII", "X", "Y", "Z", "PLETH", "Resp"]), "unknown_lead"),
        (recording(noise(1).T, fs=1e-6), "unusable_rate"),
        (recording(noise(1).T, gain=1e-30), "unusable_gain"),
    ],
)
def test_an_unusable_record_has_a_reason(bad, reason):
    with pytest.raises(RecordError) as caught:
        prepare(bad, params())
    assert caught.value.reason == reason


@pytest.mark.parametrize("fs", [100, 250, 257, 1000])
def test_another_rate_is_resampled_without_changing_the_signal(fs):
    seconds = np.arange(10 * fs) / fs
    wave = np.sin(2 * np.pi * 1.3 * seconds) + 0.3 * np.cos(2 * np.pi * 7 * seconds) + 2  # mV, with an offset
    samples = np.rint(np.tile(wave, (12, 1)) * 1000).astype(np.int16)
    waveform = prepare(recording(samples, fs=float(fs), gain=1000.0), params())
    at = np.arange(5000) / 500
    expected = np.sin(2 * np.pi * 1.3 * at) + 0.3 * np.cos(2 * np.pi * 7 * at) + 2
    # twelve leads alike are no ECG
    assert (waveform.flags, waveform.length, waveform.fs) == (("limb_leads", "resampled"), 5000, fs)
    assert np.abs(stored_mv(waveform)[0] - expected)[50:-50].max() < 0.01


def test_units_and_gains_of_each_lead_are_honoured():
    gain, unit = np.linspace(100, 5000, 12), np.array([1.0, 1e-3] * 6)
    samples = noise(1).T
    found = Recording(LEADS, 500.0, samples, gain * unit, np.arange(12.0), unit)
    np.testing.assert_allclose(stored_mv(prepare(found, params())), found.millivolts(), atol=1e-5)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> WaveformStore:
    waveforms = []
    for i in range(10):
        samples = noise(i, samples=2500).T.copy()
        samples[i] = 0  # lead i is flat
        waveforms.append(prepare(recording(samples, gain=100.0 + i, baseline=3.0), params(seconds=5)))
    return write_store(tmp_path_factory.mktemp("store") / "waveforms", waveforms)


def expected_mv(row: int) -> NDArray[np.float64]:
    signal = (noise(row, samples=2500).T - 3.0) / (100 + row)
    signal[row] = 0
    return signal


some_leads = st.lists(st.sampled_from(LEADS), min_size=1, max_size=12, unique=True)


@given(st.integers(0, 9), some_leads)
def test_a_store_gives_back_each_record_in_mv_in_the_order_asked(store, row, leads):
    signal = store.read(row, leads)
    assert (signal.dtype, signal.shape) == (np.float32, (len(leads), 2500))
    np.testing.assert_allclose(signal, expected_mv(row)[[LEADS.index(lead) for lead in leads]], atol=1e-5)


def naive(row: int, leads: list[str], rule: NormalizeParams) -> NDArray[np.float64]:
    """Normalisation as its definition says, with every lead read."""
    signal = expected_mv(row)
    asked = [LEADS.index(lead) for lead in leads]
    if rule.rule == "millivolt":
        return np.clip(signal, -rule.clip_mv, rule.clip_mv)[asked]
    counted = [i for i in (range(12) if rule.scope == "record" else asked) if i != row]
    if not counted:
        return np.zeros((len(leads), signal.shape[1]))
    each = signal if rule.scope == "lead" else [signal[counted]] * 12
    with np.errstate(invalid="ignore"):
        result = np.stack(
            [
                (lead - seen.min()) / np.ptp(seen) if rule.rule == "minmax" else (lead - seen.mean()) / seen.std()
                for lead, seen in zip(signal, each, strict=True)
            ]
        )
    result[row] = 0
    return result[asked]


@given(
    st.integers(0, 9),
    some_leads,
    st.sampled_from(["millivolt", "minmax", "zscore"]),
    st.sampled_from(["record", "visible_leads", "lead"]),
)
def test_normalising_from_the_index_equals_normalising_the_signals(store, row, leads, rule, scope):
    normalize = NormalizeParams(rule=rule, clip_mv=2.0, scope=scope)
    found = store.read_normalized(row, leads, normalize)
    np.testing.assert_allclose(found, naive(row, leads, normalize), atol=1e-4)


def test_scope_visible_leads_sees_nothing_of_hidden_leads(tmp_path):
    samples = noise(1, samples=2500).T
    other = samples.copy()
    other[3:] = 10 * other[3:]
    store = write_store(tmp_path / "w", [prepare(recording(s), params(seconds=5)) for s in (samples, other)])
    for rule in ("millivolt", "minmax", "zscore"):
        for scope in ("visible_leads", "lead"):
            visible = NormalizeParams(rule=rule, clip_mv=5, scope=scope)
            first, second = (store.read_normalized(row, ["I", "III"], visible) for row in (0, 1))
            np.testing.assert_array_equal(first, second)
    record = NormalizeParams(rule="minmax", clip_mv=5, scope="record")
    assert not np.array_equal(store.read_normalized(0, ["I"], record), store.read_normalized(1, ["I"], record))


@pytest.mark.parametrize("fs", [500, 250, 1000])
def test_a_record_is_cut_as_its_archive_says_with_zeros_behind(fs):
    """As the field evaluates CPSC2018: 2,500 samples at 500 Hz, then zeros."""
    samples = np.tile(noise(1, samples=2500), (8, 1)).T
    whole = recording(samples, fs=fs)
    for crop, flags in ((5.0, {"cropped", "padded"}), (None, {"cropped"}), (60.0, {"cropped"})):
        made = prepare(whole, params(seconds=10), crop_seconds=crop)
        assert flags <= {*made.flags} <= flags | {"resampled", "limb_leads"}
        assert made.length == (2500 if crop == 5 else 5000)
        mv = made.samples * made.scale[:, None] + made.offset[:, None]
        assert (np.abs(mv[:, : made.length]).max(1) > 0.5).all()
        assert (np.abs(mv[:, made.length :]) <= made.scale[:, None]).all()  # 0 mV, to a step
    same = prepare(whole, params(seconds=10)), prepare(whole, params(seconds=10), crop_seconds=5.0)
    if fs == 500:
        np.testing.assert_array_equal(same[0].samples[:, :2500], same[1].samples[:, :2500])
    with pytest.raises(RecordError, match="at least"):
        prepare(recording(samples[:, : fs // 2], fs=fs), params(seconds=10), crop_seconds=5.0)


def test_a_store_can_be_pickled_and_read_in_other_processes(store):
    store.read(0)
    assert len(pickle.dumps(store)) < 100_000
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(store.read, range(4), [("V2",)] * 4))
    for row, signal in enumerate(results):
        np.testing.assert_array_equal(signal, store.read(row, ["V2"]))


def test_many_shards_can_be_read_with_few_open(store, monkeypatch):
    monkeypatch.setattr("kmerl.waveforms._OPEN_SHARDS", 1)
    fresh = WaveformStore(store.folder)
    for row in (0, 9, 5, 0):
        np.testing.assert_array_equal(fresh.read(row), store.read(row))
    assert len(fresh._shards) == 1


def test_a_store_that_failed_while_written_is_not_there(tmp_path):
    waveform = prepare(recording(noise(1).T), params())

    def fail():
        with store_writer(tmp_path / "w", "ptb_xl", "recorded", 500, 5000, 1) as store:
            store.append(waveform, "1", None)
            store.append(waveform, "2", None)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_missing_or_cut_shard_is_one_clear_line(tmp_path):
    store = write_store(tmp_path / "w", [prepare(recording(noise(1).T), params())])
    shard = tmp_path / "w/shard-00000.npy"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"shard-00000\.npy: missing or damaged"):
        store.read(0)
    with pytest.raises(UserError, match="no such file"):
        WaveformStore(tmp_path / "none")


def test_parameters_refuse_what_makes_no_sense():
    for wrong in ({"fs": 0}, {"min_leads": 13}, {"max_nan_share": 1.0}, {"misspelt": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            params(**wrong)
    with pytest.raises(ValueError, match="nothing to train"):
        SplitParams(unit="patient", valid_share=0.6, test_share=0.5)


def test_real_records_are_stored_without_loss(samples, tmp_path):
    entries = list(PtbXl(samples / "ptb-xl").records())[::25]
    found = [read_recording(entry.file) for entry in entries]
    store = write_store(tmp_path / "w", [prepare(r, params(min_leads=12)) for r in found])
    for row, original in enumerate(found):
        np.testing.assert_allclose(store.read(row, original.leads), original.millivolts(), rtol=1e-6, atol=1e-7)
    assert set(store.present) == {0xFFF}
    slow = read_recording(samples / "ptb-xl/records100/00000/00001_lr.hea")
    resampled = prepare(slow, params())
    fast = read_recording(samples / "ptb-xl/records500/00000/00001_hr.hea").millivolts()
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(stored_mv(resampled), fast, strict=True)]
    assert min(correlation) > 0.95


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("name", ["X1", "-aVR"])
def test_a_lead_that_is_left_out_moves_no_other(lead, name):
    samples = noise(1).T
    waveform = prepare(recording(samples, [name if one == lead else one for one in LEADS]), params())
    others = [i for i, one in enumerate(LEADS) if one != lead]
    np.testing.assert_array_equal(waveform.samples[others], samples[others])
    assert not waveform.samples[LEADS.index(lead)].any()
    assert from_bit_mask(waveform.leads) == tuple(one for one in LEADS if one != lead)


@pytest.mark.parametrize("fs", [250, 500])
@pytest.mark.parametrize("baseline", [9000, -9000, 40000])
def test_padding_is_0_mv_however_far_the_signal_is_from_it(fs, baseline):
    samples = noise(1, samples=6 * fs).T
    waveform = prepare(recording(samples, fs=float(fs), gain=4880.0, baseline=float(baseline)), params())
    assert "padded" in waveform.flags
    assert np.abs(stored_mv(waveform)[:, waveform.length :]).max() < 1e-3
    if fs == 500:
        np.testing.assert_allclose(stored_mv(waveform)[:, :3000], (samples - float(baseline)) / 4880, atol=2e-4)
