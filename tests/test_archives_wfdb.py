"""The WFDB reader against the wfdb package, and its header parser against any text."""

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from kmerl.archives.wfdb_format import Header, RecordError, SignalLine, parse_header, quantise
from kmerl.archives.wfdb_reader import read_recording
from tests.archives import noise, write_record

word = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,12}", fullmatch=True)
signal = st.builds(
    SignalLine,
    file=word,
    format=st.sampled_from(["16", "212", "80", "24"]),
    samples_per_frame=st.integers(1, 8),
    skew=st.integers(0, 100),
    byte_offset=st.integers(0, 10_000),
    gain=st.floats(1e-3, 1e6),
    baseline=st.integers(-40_000, 40_000),
    unit=st.sampled_from(["mV", "mv", "uV", "V", "mmHg"]),
    name=st.from_regex(r"([A-Za-z0-9]+( [A-Za-z0-9]+)?)?", fullmatch=True),
    first=st.integers(-32768, 32767),
    checksum=st.integers(-32768, 65535),
)
header = st.builds(
    Header,
    name=word,
    segments=st.just(1),
    parts=st.just(()),
    channels=st.just(0),
    fs=st.floats(1, 10_000),
    samples=st.one_of(st.none(), st.integers(1, 10**9)),
    signals=st.lists(signal, max_size=13).map(tuple),
    comments=st.lists(st.from_regex(r"([A-Za-z0-9]+: ?[A-Za-z0-9,]+)?", fullmatch=True), max_size=4).map(tuple),
)


def written(header: Header) -> str:
    """The text of a single-segment header."""
    lines = [f"{header.name} {len(header.signals)} {header.fs!r} {header.samples or 0}"]
    for s in header.signals:
        offset = f"x{s.samples_per_frame}:{s.skew}+{s.byte_offset}"
        stored = f"{s.file} {s.format}{offset} {s.gain!r}({s.baseline})/{s.unit} 16 0 {s.first} {s.checksum}"
        lines.append(f"{stored} 0 {s.name}".rstrip())
    return "\n".join([*lines, *(f"# {comment}".rstrip() for comment in header.comments)]) + "\n"


@given(header)
def test_every_field_of_a_header_is_read_as_written(value):
    assert parse_header(written(value)) == value


@given(st.text(max_size=300))
def test_any_text_is_a_header_or_refused_in_one_line(text):
    refused_in_one_line(text)


@given(header, st.data())
def test_a_mangled_header_is_read_or_refused_in_one_line(value, data):
    text = written(value)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 10)))
    refused_in_one_line(text[:start] + data.draw(st.text(max_size=6)) + text[end:])


def refused_in_one_line(text: str) -> None:
    refusal = None
    try:
        parse_header(text)
    except RecordError as error:
        refusal = error
    assert refusal is None or (refusal.reason == "bad_header" and "\n" not in str(refusal))


@pytest.mark.parametrize(
    ("fields", "gain", "baseline", "unit"),
    [
        ("", 200.0, 0, "mV"),
        ("0", 200.0, 0, "mV"),
        ("0(5)/uV", 200.0, 5, "uV"),
        ("1000.0(0)/mv 16 0", 1000.0, 0, "mv"),
        ("4880/V 16 7", 4880.0, 7, "V"),
        ("1e3(-5)/mV 16 7", 1000.0, -5, "mV"),
    ],
)
def test_gain_baseline_and_unit_default_as_the_format_says(fields, gain, baseline, unit):
    (line,) = parse_header(f"r 1 500 10\nr.dat 16 {fields}").signals
    assert (line.gain, line.baseline, line.unit) == (gain, baseline, unit)


def test_comments_are_the_same_with_and_without_a_blank():
    assert parse_header("r 0\n#Dx: 1,2").comments == parse_header("r 0\n# Dx: 1,2").comments == ("Dx: 1,2",)


def test_the_first_line_may_carry_an_extension(tmp_path):
    write_record(tmp_path / "A1", noise(1))
    expected = wfdb.rdrecord(str(tmp_path / "A1")).p_signal.T
    header_path = tmp_path / "A1.hea"
    header_path.write_text(header_path.read_text().replace("A1 12", "A1.mat 12", 1))
    np.testing.assert_array_equal(read_recording(header_path).millivolts(), expected)


@settings(deadline=None)  # files are written
@given(seed=st.integers(0, 10**6), leads=st.integers(1, 12), samples=st.integers(1, 60), gain=st.floats(1, 1e4))
def test_format_16_gives_what_the_wfdb_package_gives(tmp_path_factory, seed, leads, samples, gain):
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("record")
    data = rng.integers(-32768, 32768, (samples, leads)).astype(np.int16)
    data[rng.random(data.shape) < 0.1] = -32768  # no value
    write_record(folder / "r", data, [f"V{i}" for i in range(leads)], gain=gain, baseline=int(rng.integers(-99, 99)))
    expected = wfdb.rdrecord(str(folder / "r")).p_signal.T
    np.testing.assert_array_equal(read_recording(folder / "r.hea").millivolts(), expected)


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1), ("uV", 1e-3), ("V", 1e3)])
def test_units_become_millivolts(tmp_path, unit, factor):
    write_record(tmp_path / "r", noise(1), gain=100.0, unit=unit)
    np.testing.assert_allclose(read_recording(tmp_path / "r.hea").millivolts(), noise(1).T / 100 * factor)


@pytest.mark.parametrize("format", ["212", "24", "32"])
def test_other_formats_are_within_half_a_16_bit_step(tmp_path, format):
    write_record(tmp_path / "r", noise(1).astype(np.int64), format=format)
    expected = wfdb.rdrecord(str(tmp_path / "r")).p_signal.T
    step = np.ptp(expected, axis=1, keepdims=True) / 65534
    assert (np.abs(read_recording(tmp_path / "r.hea").millivolts() - expected) <= step * 0.501).all()


def test_samples_after_a_byte_offset_are_read(tmp_path):
    samples = noise(1, leads=2)
    (tmp_path / "r.mat").write_bytes(b"\0" * 24 + samples.astype("<i2").tobytes())
    (tmp_path / "r.hea").write_text(
        "r 2 500 5000\n" + "".join(f"r.mat 16+24 1000/mV 16 0 0 0 0 {x}\n" for x in ("I", "II"))
    )
    np.testing.assert_array_equal(read_recording(tmp_path / "r.hea").samples, samples.T)


def test_a_record_split_into_segments_goes_to_the_wfdb_package(tmp_path):
    for name, seed in (("s1", 1), ("s2", 2)):
        write_record(tmp_path / name, noise(seed, samples=100))
    (tmp_path / "r.hea").write_text("r/2 12 500 200\ns1 100\ns2 100\n")
    expected = np.concatenate([noise(1, samples=100), noise(2, samples=100)]).T / 200
    np.testing.assert_allclose(read_recording(tmp_path / "r.hea").millivolts(), expected, atol=2e-4)


@given(
    leads=st.integers(0, 14),
    samples=st.integers(0, 50),
    format=st.sampled_from(["16", "212", "24"]),
    segmented=st.booleans(),
    announced=st.integers(0, 14),
)
def test_a_record_of_any_number_of_signals_is_read_or_refused(
    tmp_path_factory, leads, samples, format, segmented, announced
):
    folder = tmp_path_factory.mktemp("record")
    lines = [f"s {leads} 500 {samples}", *(f"s.dat {format} 200/mV 16 0 0 0 0 V{i}" for i in range(leads))]
    (folder / "s.hea").write_text("\n".join(lines) + "\n")
    (folder / "s.dat").write_bytes(bytes(leads * samples * 3))
    if segmented:
        (folder / "r.hea").write_text(f"r/1 {announced} 500 {samples}\ns {samples}\n")
    path = folder / ("r.hea" if segmented else "s.hea")
    try:
        recording = read_recording(path)
    except RecordError as error:
        assert leads == 0 or samples == 0 or segmented, error
        assert error.reason in {"bad_header", "empty_signal_file", "unreadable_signal"}
        assert leads or segmented or error.reason == "bad_header"
    else:
        assert len(recording.samples) == len(recording.leads) == leads > 0


@given(st.lists(st.one_of(st.floats(-1e3, 1e3), st.just(float("nan"))), min_size=1, max_size=50))
def test_quantising_keeps_gaps_and_loses_at_most_half_a_step(values):
    value = np.array(values)
    samples, gain, baseline = quantise(value)
    np.testing.assert_array_equal(samples == -32768, np.isnan(value))
    known = ~np.isnan(value)
    error = np.abs((samples[known] - baseline) / gain - value[known])
    assert (error <= 0.5 / gain + 1e-9 * np.abs(value[known])).all() or np.ptp(value[known]) <= 1e-6


@pytest.mark.parametrize(("folder", "count"), [("records500", 500), ("records100", 999)])
def test_every_real_record_is_what_the_wfdb_package_reads(samples, folder, count):
    headers = sorted((samples / "ptb-xl" / folder).rglob("*.hea"))
    assert len(headers) == count
    for path in headers if folder == "records500" else headers[::4]:
        expected = wfdb.rdrecord(str(path.with_suffix("")))
        ours = read_recording(path)
        assert list(ours.leads) == expected.sig_name
        np.testing.assert_array_equal(ours.millivolts(), expected.p_signal.T)


def test_real_challenge_records_are_what_the_wfdb_package_reads(samples):
    headers = sorted((samples / "cinc2021").glob("*.hea"))
    assert headers
    for path in headers:
        expected = wfdb.rdrecord(str(path.with_suffix("")))
        np.testing.assert_array_equal(read_recording(path).millivolts(), expected.p_signal.T)
