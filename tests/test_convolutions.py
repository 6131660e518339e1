from dataclasses import replace

import archives
import numpy as np
import pytest
import small
import torch
from probes import probe_params
from sklearn.metrics import roc_auc_score

from kmerl.archives.archive import RecordEntry
from kmerl.archives.ptb_xl import PtbXl
from kmerl.archives.wfdb_reader import read_recording
from kmerl.evaluations.linear_probe.probe import Examples, probe
from kmerl.features.convolutions import convolve, draw_kernels, fit_banks, respond, shown_signal
from kmerl.features.params import RandomConvolutionsParams
from kmerl.leads import LEADS, bit_mask
from kmerl.preprocessing.repair import prepare
from kmerl.randomness import generator
from kmerl.waveforms import Waveform, WaveformStore

TRAIN = range(12)


def convolution_params(**changes):
    values = {"kernels": 30, "length": 9, "dilations": [1, 2, 4], "fs": 100, "references": 6, "threads": 1}
    return RandomConvolutionsParams(**(values | changes))


def waveform(mv, leads=LEADS, length=None, scale=0.001):
    samples = np.round(np.asarray(mv) / scale).astype(np.int16)
    none = np.zeros(12, np.float32)
    return Waveform(
        samples=samples, scale=np.full(12, scale, np.float32), offset=none, fs=100.0,
        length=samples.shape[1] if length is None else length, leads=bit_mask(leads), minimum=none, maximum=none,
        mean=none, deviation=none, zeros=none.astype(np.int32), nans=none.astype(np.int32), flags=(),
    )  # fmt: skip


def signals(n=16, samples=300):
    return [generator(0, "convolved", i).normal(size=(12, samples)) * (1 + i % 2) for i in range(n)]


def features(waves, leads=LEADS, seed=1, **changes):
    """Features of all records with thresholds from the first twelve."""
    store, params = WaveformStore.in_memory(waves, 100), convolution_params(**changes)
    return convolve(store, range(len(store)), leads, fit_banks(store, TRAIN, leads, params, seed), params.fs)


def test_a_response_is_the_dilated_convolution_of_the_leads():
    signal, weights = torch.randn(3, 50), torch.randn(4, 3 * 9)
    for dilation in (1, 3, 16):
        expected = torch.nn.functional.conv1d(
            signal[None], weights.view(4, 3, 9), padding=4 * dilation, dilation=dilation
        )
        torch.testing.assert_close(respond(signal, weights, dilation), expected[0], atol=1e-5, rtol=1e-5)


def test_features_are_shares_of_time_and_depend_on_the_seed_alone():
    waves = [waveform(one) for one in signals()]
    first = features(waves)
    assert first.shape == (16, 30)
    assert ((first >= 0) & (first <= 1)).all()
    np.testing.assert_array_equal(first, features(waves))
    assert not np.allclose(first, features(waves, seed=2))


def test_kernels_have_mean_zero_in_every_lead_and_look_at_few_or_many():
    drawn = draw_kernels(LEADS, convolution_params(kernels=200), 1)
    weights = np.concatenate([kernels for _, kernels in drawn]).reshape(200, 12, 9)
    np.testing.assert_allclose(weights.sum(2), 0, atol=1e-5)
    used = (weights != 0).any(2).sum(1)
    assert used.min() == 1
    assert used.max() == 12
    assert [dilation for dilation, _ in drawn] == [1, 2, 4]


def test_a_shift_of_every_lead_and_a_common_unit_change_nothing():
    plain = features([waveform(one) for one in signals()])
    np.testing.assert_allclose(features([waveform(one + 3) for one in signals()]), plain, atol=0.02)
    np.testing.assert_array_equal(features([waveform(one * 4, scale=0.004) for one in signals()]), plain)


def test_a_louder_record_among_the_same_others_has_other_features():
    waves = [waveform(one) for one in signals()]
    louder = [*waves[:-1], waveform(signals()[-1] * 2)]
    plain, changed = features(waves), features(louder)
    np.testing.assert_array_equal(plain[:-1], changed[:-1])
    assert np.abs(plain[-1] - changed[-1]).mean() > 0.02


def test_thresholds_come_from_training_records_alone():
    waves = [waveform(one) for one in signals()]
    others = [*waves[:12], *[waveform(one * 3) for one in signals()[12:]]]
    np.testing.assert_array_equal(features(waves)[:12], features(others)[:12])


def test_hidden_leads_and_padding_do_not_count():
    shorter = [np.concatenate([one[:, :200], np.zeros((12, 100))], 1) for one in signals()]
    junk = [np.concatenate([one[:, :200], 5 + 0 * one[:, 200:]], 1) for one in signals()]
    for one in junk:
        one[1:] *= -3
    leads = ["I"]
    plain = features([waveform(one, length=200) for one in shorter], leads)
    np.testing.assert_array_equal(plain, features([waveform(one, length=200) for one in junk], leads))


def test_a_record_without_any_of_the_leads_gets_nan():
    waves = [waveform(one) for one in signals()]
    waves[3] = replace(waves[3], leads=bit_mask(["V1"]))
    found = features(waves, ["I", "II"])
    assert np.isnan(found[3]).all()
    assert np.isfinite(np.delete(found, 3, 0)).all()


def test_waveforms_are_averaged_down(tmp_path):
    store = small.store(tmp_path / "store")  # 100 Hz
    halved = shown_signal(store, 0, ["I"], 50)
    expected = store.read(0, ["I"]).reshape(1, -1, 2).mean(2)
    np.testing.assert_allclose(halved.numpy(), expected - expected.mean(), atol=1e-6)
    assert shown_signal(store, 0, ["I"], 500).shape == (1, 200)  # never up


def test_real_ecgs_are_told_apart(samples):
    """NORM against the rest, of 480 real records, two thirds for training."""
    archive = PtbXl(samples / "ptb-xl")
    entries = [entry for entry in archive.records() if isinstance(entry, RecordEntry) and entry.file.exists()][:480]
    waves = [prepare(read_recording(entry.file), archives.params()) for entry in entries]
    labels = np.array([[("ptbxl_super", "NORM") in entry.targets] for entry in entries])
    store, params = WaveformStore.in_memory(waves, 500), convolution_params(kernels=300, dilations=[1, 2, 4, 8, 16])
    train = np.arange(480) % 3 > 0
    banks = fit_banks(store, np.flatnonzero(train).tolist(), LEADS, params, 1)
    found = convolve(store, range(480), LEADS, banks, 100)
    own, rest = Examples(found[train], labels[train]), Examples(found[~train], labels[~train])
    answers = probe(own, own, rest, probe_params(logistic_c=[0.01]), True, generator(0))
    assert roc_auc_score(labels[~train], answers) > 0.85


@pytest.mark.parametrize("wrong", [{"kernels": 0}, {"dilations": []}, {"dilations": [1, 1]}, {"length": 1}])
def test_senseless_kernels_are_refused(wrong):
    with pytest.raises(ValueError):
        convolution_params(**wrong)
