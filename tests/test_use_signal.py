import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kmerl.archives.wfdb_format import MISSING, Recording
from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.use.signal import Stated, from_array, select
from tests.used import ecg

SPELLINGS = ("{}", "Lead {}", "lead_{}", "ECG {}", "MDC_ECG_LEAD_{}")
WHOLE = ecg(3)
leads = st.lists(st.sampled_from(LEADS), unique=True, min_size=1)


@given(leads, st.sampled_from(SPELLINGS), st.booleans(), st.sampled_from([str.upper, str.lower, str]))
def test_any_order_spelling_and_orientation_of_leads_is_the_same_signal(names, spelling, turned, case):
    rows = WHOLE[[LEADS.index(lead) for lead in names]]
    found = from_array(rows.T if turned else rows, [case(spelling.format(lead)) for lead in names], Stated(100))
    assert list(found.recording.leads) == sorted(names, key=LEADS.index)
    expected = WHOLE[[LEADS.index(lead) for lead in found.recording.leads]]
    np.testing.assert_allclose(found.recording.millivolts(), expected, atol=1e-4)
    assert bool(found.warnings) == turned


@pytest.mark.parametrize(
    ("factor", "stated"),
    [
        (1, Stated(100)),
        (1, Stated(100, "mV")),
        (1e3, Stated(100, "uV")),
        (1e3, Stated(100, "µV")),
        (1e-3, Stated(100, "V")),
        (200, Stated(100, gain=200)),
        (0.2, Stated(100, "uV", gain=0.2e-3)),
    ],
)
def test_units_and_gains_give_the_same_millivolts(factor, stated):
    found = from_array(WHOLE * factor, LEADS, stated)
    np.testing.assert_allclose(found.recording.millivolts(), WHOLE, atol=1e-4)


def test_raw_whole_numbers_are_kept_bit_by_bit():
    raw = np.round(WHOLE[:2] * np.array([[200], [1000]])).astype(np.int32) + 7
    raw[0, 3] = MISSING
    found = from_array(raw, ["II", "I"], Stated(100, gain=[200, 1000], baseline=7))
    np.testing.assert_array_equal(found.recording.samples[::-1], raw)
    assert np.isnan(found.recording.millivolts()[1, 3])
    assert not found.warnings


def test_whole_numbers_without_a_gain_are_doubtful():
    raw = np.round(WHOLE * 1000).astype(np.int16)
    assert any("whole numbers" in line for line in from_array(raw, LEADS, Stated(100)).warnings)
    assert not from_array(raw, LEADS, Stated(100, "uV")).warnings


def test_infinite_values_count_as_missing():
    signal = WHOLE.copy()
    signal[2, 5:9] = np.inf
    assert np.isnan(from_array(signal, LEADS, Stated(100)).recording.millivolts()[2]).sum() == 4


@pytest.mark.parametrize(
    ("values", "names", "stated", "message"),
    [
        (WHOLE, None, Stated(100), "no names"),
        (WHOLE, LEADS, Stated(), "sampling rate is not known"),
        (WHOLE, LEADS, Stated(0), "sampling rate 0"),
        (WHOLE, LEADS, Stated(-5), "sampling rate -5"),
        (WHOLE, LEADS, Stated(float("nan")), "sampling rate nan"),
        (WHOLE, LEADS, Stated("fast"), "sampling rate 'fast'"),
        (WHOLE, LEADS[:5], Stated(100), "5 lead names"),
        (WHOLE[:2], ["I", "lead i"], Stated(100), "twice"),
        (WHOLE[:2], ["I", "MLII"], Stated(100), "'MLII' is not one of"),
        (WHOLE[:2], ["I", "-aVR"], Stated(100), "inverted"),
        (WHOLE[:2], ["I", ""], Stated(100), "is not one of"),
        (WHOLE[:, :190], LEADS, Stated(100), "1.9 s of signal; at least 2 s"),
        (np.full((1, 500), np.nan), ["I"], Stated(100), "no values"),
        (WHOLE[None], LEADS, Stated(100), "shape"),
        (np.zeros((1, 0)), ["I"], Stated(100), "shape"),
        ("some.hea", ["I"], Stated(100), "not real numbers"),
        (WHOLE + 1j, LEADS, Stated(100), "not real numbers"),
        ([[1, 2], [3]], ["I", "II"], Stated(100), "no array of numbers"),
        (WHOLE, LEADS, Stated(100, "furlong"), "none of mV, uV, V"),
        (WHOLE, LEADS, Stated(100, gain=0), "gain 0"),
        (WHOLE, LEADS, Stated(100, gain=[1, 2]), "one per lead"),
        (WHOLE, LEADS, Stated(100, gain="big"), "one per lead"),
        (WHOLE, LEADS, Stated(100, gain=float("inf")), "is no number"),
        (WHOLE, LEADS, Stated(100, baseline=3), "baseline without a gain"),
        (WHOLE * 1e9, LEADS, Stated(100), "are no ECG"),
    ],
)
def test_an_impossible_signal_is_refused_in_one_line(values, names, stated, message):
    with pytest.raises(UserError, match=message) as error:
        from_array(values, names, stated)
    assert "\n" not in str(error.value)


def recording(*names):
    n = len(names)
    samples = np.arange(n * 300, dtype=np.int16).reshape(n, 300)
    return Recording(tuple(names), 100.0, samples, np.full(n, 1000.0), np.zeros(n), np.ones(n))


def test_other_channels_of_a_file_are_left_out_with_a_warning():
    found = select(recording("Resp", "ii", "I"), None, foreign=True)
    assert found.recording.leads == ("I", "II")
    assert found.recording.samples[0, 0] == 600
    assert found.warnings == ("channel 'Resp' is none of the twelve leads; it was left out",)
    assert not select(recording("Resp", "ii"), ["II"], foreign=True).warnings


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        (("I", "II"), ["V1"], "lead V1 asked, but the record has I, II"),
        (("I", "II"), ["I", "Lead I"], "twice"),
        (("I", "II"), [], "none asked"),
        (("I", "DI"), None, "there twice"),
        (("Resp", "Pleth"), None, "none of the twelve leads is there, but 'Resp', 'Pleth'"),
        (("I",), ["X"], "'X' is not one of"),
    ],
)
def test_leads_that_a_record_cannot_give_are_refused(names, asked, message):
    with pytest.raises(UserError, match=message):
        select(recording(*names), asked, foreign=True)
