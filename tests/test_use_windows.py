from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.preprocessing.repair import WaveformParams, prepare
from kmerl.use.signal import Stated, from_array
from kmerl.use.windows import cut, starts
from tests.used import FS, config, ecg

RUN = config()
STORED = WaveformParams(
    fs=FS, seconds=4, min_seconds=2, min_leads=1, max_nan_share=0.1, derive_limb_leads=False
)  # fmt: skip


def recording(signal, fs=FS):
    return from_array(signal, LEADS, Stated(fs)).recording


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 60), st.integers(1, 10))
def test_windows_leave_nothing_out_but_less_than_a_token(length, window, hop, least):
    hop = min(hop, window)
    found = starts(length, window, hop, least)
    assert found == sorted(set(found)) and found[0] == 0
    seen = np.zeros(length, bool)
    for start in found:
        assert start == 0 or start + window <= length
        seen[start : start + window] = True
    assert (~seen).sum() < least
    assert not (~seen[: found[-1] + window]).any()


@pytest.mark.parametrize("fs", [100, 125, 250, 360, 500, 1000])
def test_the_first_window_is_what_the_store_would_hold(fs):
    record = recording(ecg(11, fs), fs)
    windows, warnings = cut(record, RUN, None)
    stored = prepare(record, STORED)
    np.testing.assert_array_equal(windows[0].waveform.samples, stored.samples)
    assert windows[0].waveform.length == stored.length == 400
    assert [(window.start, window.stop) for window in windows] == [(0, 4), (4, 8), (7, 11)]
    assert not warnings


def test_a_short_record_is_one_window_of_its_own_length():
    windows, _ = cut(recording(ecg(2.5)), RUN, None)
    assert [window.waveform.length for window in windows] == [250]


def test_hop_overlaps_windows():
    windows, _ = cut(recording(ecg(10)), RUN, 1.5)
    assert [window.start for window in windows] == [0, 1.5, 3, 4.5, 6]


@pytest.mark.parametrize("hop", [0, -1, 5])
def test_an_impossible_hop_is_refused(hop):
    with pytest.raises(UserError, match="hop"):
        cut(recording(ecg(10)), RUN, hop)


def test_unusable_leads_and_windows_are_said():
    signal = ecg(8)
    signal[2] = 0
    signal[3, 100:200] = np.nan
    signal[:, 400:] = 1.0
    windows, warnings = cut(recording(signal), RUN, None)
    assert [window.start for window in windows] == [0]
    assert warnings == [
        "lead III is flat or has too many gaps; it was left out",
        "lead aVR is flat or has too many gaps; it was left out",
        "1 of 2 windows have no usable lead; they were left out",
    ]
    signal = ecg(8)
    signal[3, 100:200] = np.nan
    _, warnings = cut(recording(signal), RUN, None)
    assert warnings == ["lead aVR is flat or has too many gaps in 1 of 2 windows"]


def test_a_record_without_a_usable_lead_or_rate_is_refused():
    with pytest.raises(UserError, match="no usable lead: I flat"):
        cut(from_array(np.ones((1, 500)), ["I"], Stated(FS)).recording, RUN, None)
    with pytest.raises(UserError, match="9000 Hz"):
        cut(replace(recording(ecg(200, 100)), fs=9000.0), RUN, None)
