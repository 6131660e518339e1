from collections import Counter

import numpy as np
import pytest
from scipy.io import loadmat

from kmerl.archives.wfdb_reader import read_recording
from kmerl.leads import LEADS, canonical
from kmerl.use.checks import doubts
from tests.used import ecg

FS = 250


def swap(a, b):
    rows = [LEADS.index({a: b, b: a}.get(lead, lead)) for lead in LEADS]
    return lambda signal: signal[rows]


def gap(signal):
    signal[3, 100:150] = np.nan
    return signal


def shift(signal):
    signal[6] += 3
    return signal


def clip(signal):
    signal[1] = np.clip(signal[1], -5, 0.4)
    return signal


def test_a_clean_signal_is_not_doubtful():
    assert doubts(LEADS, ecg(10, FS), FS) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda signal: signal * 1000,
            "large for an ECG: is the unit right? unit uV or gain 200 or gain 1000 would fit",
        ),
        (lambda signal: signal * 200, "gain 200"),
        (lambda signal: signal / 1000, "small for an ECG: is the unit right? unit V would fit"),
        (lambda signal: signal * 1e-7, "no usual unit fits"),
        (gap, "without a value were interpolated (shares: aVR 0.02)"),
        (shift, "constant offset (V1 +3"),
        (clip, "lead II looks clipped"),
        (swap("I", "II"), "contradict one another"),
        (swap("aVR", "aVF"), "contradict one another"),
        (swap("II", "V2"), "contradict one another"),
    ],
)
def test_each_doubt_is_said_in_one_line(change, message):
    found = doubts(LEADS, change(ecg(10, FS)), FS)
    assert any(message in line for line in found), found
    assert all("\n" not in line for line in found)


def test_a_slow_signal_is_doubtful():
    assert any("60 samples per second are few" in line for line in doubts(["I"], ecg(10, 60, ["I"]), 60))


def test_flat_and_empty_leads_raise_no_other_doubt():
    signal = ecg(10, FS)
    signal[4], signal[5] = 0, np.nan
    assert doubts(LEADS, signal, FS) == []
    assert doubts(["I"], np.zeros((1, 500)), FS) == []


def test_the_value_held_at_the_end_of_a_record_is_no_clipping():
    signal = ecg(10, FS)
    signal[0, -40:] = signal[0].max()
    assert doubts(LEADS, signal, FS) == []


def test_ordinary_clinical_records_raise_few_doubts(samples):
    headers = sorted((samples / "ptb-xl" / "records500").rglob("*.hea"))[:60]
    headers += sorted((samples / "cinc2021").glob("*.hea"))
    found: Counter[str] = Counter()
    for header in headers:
        record = read_recording(header)
        names = [canonical(lead) for lead in record.leads]
        found.update(line.split()[0] for line in doubts(names, record.millivolts(), record.fs))
    for path in sorted((samples / "cpsc2018-original").glob("*.mat")):
        found.update(doubts(LEADS, loadmat(path)["ECG"]["data"].item(), 500))
    assert found.total() <= 0.02 * len(headers), found
