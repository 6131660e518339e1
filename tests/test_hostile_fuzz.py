"""Archives with damaged bytes, through both stages: nothing crashes them, and nothing bad passes unnoticed.

What is damaged in a file of samples is told by the checksums of its header, of which every WFDB record here has one
per signal; CPSC2018's struct has the one of its compression. Where a file states none (a struct saved without
compression, a header with zeros), a wrong sample that is a likely one cannot be told from a right one.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kmerl.archives.recordings import read_file
from kmerl.archives.schemas import REJECTED
from kmerl.archives.wfdb_format import RecordError, millivolts_in, parse_header
from kmerl.archives.wfdb_reader import quick
from kmerl.artifacts import read_table
from kmerl.leads import LEADS, canonical, from_bit_mask
from kmerl.preprocessing.repair import prepare
from tests.archives import (
    csn_codes,
    mimic_tables,
    noise,
    params,
    ptb_xl_tables,
    read,
    write_cpsc2018,
    write_csn,
    write_record,
)

EXAMPLES = 40  # of each kind of archive and damage
SHORT = {"seconds": 1, "min_seconds": 0.5}
IDS = ("11", "12", "13")


def ptb_xl(folder: Path) -> None:
    ptb_xl_tables(folder, [(one, "7.0", 3, "{'SR': 0.0}") for one in IDS])
    for one in IDS:
        write_record(folder / f"records500/{one}_hr", noise(int(one), samples=500), gain=1000.0)


def mimic(folder: Path) -> None:
    mimic_tables(folder, {one: ("7", ["Sinus rhythm"]) for one in IDS})
    for one in IDS:
        write_record(folder / f"files/s{one}/{one}", noise(int(one), samples=500), baseline=3)


def csn(folder: Path) -> None:
    write_csn(folder, dict.fromkeys(IDS, csn_codes()["AFIB"]), samples=500)


def cpsc2018(folder: Path) -> None:
    write_cpsc2018(folder, dict.fromkeys(IDS, "1"), **{one: noise(int(one), samples=500).T / 1000 for one in IDS})


WRITERS: dict[str, Callable[[Path], None]] = {"ptb_xl": ptb_xl, "mimic_iv_ecg": mimic, "csn": csn, "cpsc2018": cpsc2018}
PLACES = {
    "ptb_xl": "records500/{}_hr", "mimic_iv_ecg": "files/s{0}/{0}", "csn": "WFDBRecords/01/010/{}", "cpsc2018": "{}",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What became of an archive's records: flags and mV of those that are kept, reasons against the others."""

    kept: dict[str, tuple[set[str], dict[str, NDArray[np.float32]]]]
    rejected: list[tuple[str, str]]


def through_both_stages(archive: str, folder: Path, out: Path) -> Result:
    _, made = read(archive, folder, out, **SHORT)
    store = made.store()
    kept = {
        one: (set(flags), {lead: store.read(row, [lead])[0] for lead in from_bit_mask(int(store.present[row]))})
        for row, (one, flags) in enumerate(store.records.select("record_id", "flags").iter_rows())
    }
    assert len(kept) == len(store)
    return Result(kept, list(read_table(made.rejected, REJECTED).select("record_id", "reason").iter_rows()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Callable[[str], tuple[Path, Result]]:
    """An undamaged archive and what becomes of it."""

    @cache
    def made(archive: str) -> tuple[Path, Result]:
        folder = tmp_path_factory.mktemp(archive)
        WRITERS[archive](folder / "raw")
        result = through_both_stages(archive, folder / "raw", folder / "out")
        assert set(result.kept) == set(IDS)
        assert not result.rejected and not any(flags for flags, _ in result.kept.values())
        return folder / "raw", result

    return made


place = st.floats(0, 1, exclude_max=True)
length = st.integers(1, 40)
flips = st.tuples(st.just("flip"), place, st.integers(1, 255))
blocks = st.one_of(
    st.tuples(st.sampled_from(["cut", "zero"]), place, length), st.tuples(st.just("repeat"), place, length, place)
)
samples_damage = st.lists(
    st.one_of(flips, flips, blocks, st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=4))),
    min_size=1,
    max_size=3,
)
words = st.sampled_from(
    [
        b"#", b"\n", b"\r\n", b"\t", b" ", b"0", b"9", b"-", b".", b"/", b"(", b")", b"e", b"x2", b":3", b"+24",
        b"mmHg", b"uV", b"V1", b"vx", b"\0", b"\x0c", b"\xe2\x80\xa8", b"\xa0", b"\xc2\xb5", b"1e9", b"16", b"212",
        b"-1", b"~", b".mat", b"999999999999",
    ]
)  # fmt: skip
header_damage = st.lists(
    st.one_of(flips, blocks, *[st.tuples(st.just("insert"), place, words)] * 3), min_size=1, max_size=3
)


def damaged(content: bytes, damage: list[tuple]) -> bytes:
    for kind, where, *what in damage:
        at = int(where * len(content))
        if kind == "flip" and content:
            content = content[:at] + bytes([content[at] ^ what[0]]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at] + content[at + what[0] :]
        elif kind == "zero":
            content = content[:at] + bytes(len(content[at : at + what[0]])) + content[at + what[0] :]
        elif kind == "insert":
            content = content[:at] + what[0] + content[at:]
        elif kind == "repeat":
            to = int(what[1] * len(content))
            content = content[:to] + content[at : at + what[0]] + content[to:]
    return content


def read_damaged(archive: str, raw: Path, out: Path, suffix: str, damage: list[tuple]) -> tuple[Path, Result]:
    """Both stages over an archive in which one record's file is damaged: that file, and what became of all."""
    folder = out / "raw"
    shutil.copytree(raw, folder)
    path = folder / f"{PLACES[archive].format(IDS[1])}{suffix}"
    path.write_bytes(damaged(path.read_bytes(), damage))
    return path, through_both_stages(archive, folder, out)


def check_all_are_there(result: Result, expected: Result) -> None:
    found = [*result.kept, *(one for one, _ in result.rejected)]
    assert sorted(found) == sorted(IDS)
    for one in (IDS[0], IDS[2]):
        assert same(result.kept[one], expected.kept[one])


def same(one, other) -> bool:
    return (
        one[0] == other[0]
        and list(one[1]) == list(other[1])
        and all(np.array_equal(one[1][lead], other[1][lead]) for lead in one[1])
    )


@pytest.mark.parametrize(
    ("archive", "suffix", "offset"), [("ptb_xl", ".dat", 0), ("mimic_iv_ecg", ".dat", 0), ("csn", ".mat", 24)]
)
@settings(max_examples=EXAMPLES)
@given(damage=samples_damage)
def test_every_damaged_sample_is_flagged_or_costs_its_record(whole, tmp_path_factory, archive, suffix, offset, damage):
    raw, expected = whole(archive)
    before = (raw / f"{PLACES[archive].format(IDS[1])}{suffix}").read_bytes()
    path, result = read_damaged(archive, raw, tmp_path_factory.mktemp("case"), suffix, damage)
    after = path.read_bytes()
    shutil.rmtree(path.parents[len(Path(PLACES[archive]).parts)])
    check_all_are_there(result, expected)
    if after[offset : len(before)] == before[offset:]:
        if IDS[1] in result.kept:
            assert same(result.kept[IDS[1]], expected.kept[IDS[1]])
        else:
            assert after[:offset] != before[:offset]
            assert result.rejected == [(IDS[1], "unreadable_signal")]
    elif IDS[1] in result.kept and sums(after[offset : len(before)]) != sums(before[offset:]):
        assert "checksum" in result.kept[IDS[1]][0]


def sums(content: bytes) -> list[int]:
    """What a header states of samples, of which a damage in a million has the same."""
    samples = np.frombuffer(content, "<i2").reshape(-1, len(LEADS))
    return [*samples[0].tolist(), *(samples.sum(axis=0, dtype=np.int64) % 65536).tolist()]


@settings(max_examples=EXAMPLES)
@given(damage=samples_damage)
def test_a_damaged_struct_is_rejected_or_holds_the_same_samples(whole, tmp_path_factory, damage):
    raw, expected = whole("cpsc2018")
    path, result = read_damaged("cpsc2018", raw, tmp_path_factory.mktemp("case"), ".mat", damage)
    shutil.rmtree(path.parents[1])
    check_all_are_there(result, expected)
    if IDS[1] in result.kept:
        assert same(result.kept[IDS[1]], expected.kept[IDS[1]])


@pytest.mark.parametrize("archive", ["ptb_xl", "mimic_iv_ecg", "csn"])
@settings(max_examples=EXAMPLES)
@given(damage=header_damage)
def test_a_damaged_header_is_rejected_or_flagged_or_read_as_the_wfdb_package_reads_it(
    whole, tmp_path_factory, archive, damage
):
    raw, expected = whole(archive)
    path, result = read_damaged(archive, raw, tmp_path_factory.mktemp("case"), ".hea", damage)
    check_all_are_there(result, expected)
    if IDS[1] in result.kept:
        check_header(path, *result.kept[IDS[1]], lambda: expected.kept[IDS[1]][1])
    shutil.rmtree(path.parents[len(Path(PLACES[archive]).parts)])


def check_header(path: Path, flags: set[str], found: dict[str, NDArray], otherwise: Callable[[], dict[str, NDArray]]):
    """That a record without flags is what the wfdb package reads, or, where that refuses the header, as undamaged."""
    if flags - {"unknown_code"}:
        return
    try:
        record = wfdb.rdrecord(str(path.with_suffix("")))
    except Exception:
        theirs = otherwise()
    else:
        signals = record.p_signal[: next(iter(found.values())).size].T
        theirs = {
            canonical(name): signal * millivolts_in(unit)
            for name, unit, signal in zip(record.sig_name, record.units, signals, strict=True)
        }
    assert set(found) == set(theirs)
    for lead, signal in theirs.items():
        np.testing.assert_allclose(found[lead], signal, rtol=1e-5, atol=1e-5 * np.ptp(signal))


# --- real files


def outcome(path: Path) -> tuple[set[str], dict[str, NDArray]] | None:
    """Flags and mV of a record, or None if it is rejected."""
    try:
        waveform = prepare(read_file(path), params())
    except RecordError:
        return None
    value = waveform.samples * waveform.scale[:, None].astype(float) + waveform.offset[:, None]
    return set(waveform.flags), {lead: value[LEADS.index(lead)] for lead in from_bit_mask(waveform.leads)}


def real_records(samples: Path) -> list[tuple[Path, str]]:
    """Some headers, and the suffix of their files of samples."""
    of_challenge = sorted((samples / "cinc2021").glob("*.hea"))[::7]
    return [*((path, ".mat") for path in of_challenge)] + [
        (path, ".dat") for path in sorted((samples / "ptb-xl/records500").rglob("*.hea"))[::60]
    ]


def flipped(content: bytes, rng: np.random.Generator, first: int = 0) -> bytes:
    at = int(rng.integers(first, len(content)))
    return content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]


def test_a_flipped_bit_in_a_real_file_of_samples_is_flagged_or_costs_the_record(samples, tmp_path):
    rng = np.random.default_rng(0)
    for header, suffix in real_records(samples):
        file = tmp_path / header.with_suffix(suffix).name
        (tmp_path / header.name).write_bytes(header.read_bytes())
        content = header.with_suffix(suffix).read_bytes()
        file.write_bytes(content)
        assert "checksum" not in outcome(tmp_path / header.name)[0]
        for _ in range(40):
            file.write_bytes(flipped(content, rng, first=24 if suffix == ".mat" else 0))
            found = outcome(tmp_path / header.name)
            assert found is None or "checksum" in found[0]


def test_a_flipped_bit_in_a_real_header_is_flagged_or_read_as_the_wfdb_package_reads_it(samples, tmp_path):
    rng = np.random.default_rng(0)
    for header, suffix in real_records(samples):
        path = tmp_path / header.name
        path.with_suffix(suffix).symlink_to(header.with_suffix(suffix))
        for _ in range(12):
            path.write_bytes(flipped(header.read_bytes(), rng))
            found = outcome(path)
            if found is not None:
                check_header(path, *found, lambda header=header: outcome(header)[1])


def test_a_flipped_bit_in_a_real_struct_costs_the_record_or_changes_nothing(samples, tmp_path):
    """These structs are packed, which brings a checksum."""
    rng = np.random.default_rng(0)
    for path in sorted((samples / "cpsc2018-original").glob("*.mat"))[::3]:
        expected = outcome(path)
        for _ in range(25):
            (tmp_path / path.name).write_bytes(flipped(path.read_bytes(), rng))
            found = outcome(tmp_path / path.name)
            assert found is None or same(found, expected)


# --- the quick way through a header

spaces = st.sampled_from([*" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2028", "\r\n", ""])
signs = st.sampled_from(
    [*"#/+-_.():09\uff11\u00b2\u0663", "00", "1_0", "+5", "r.dat", "16", "12", "x2", "\n#", "#\n", "1e1"]
)
line = st.just("\nr.dat 16 200 16 0 1 2 0 V1\n")
fragments = st.one_of(spaces, spaces, signs, signs, line, st.text(max_size=3))


@settings(max_examples=1500)
@given(signals=st.integers(1, 3), comments=st.integers(0, 2), data=st.data())
def test_the_quick_way_through_a_header_finds_what_the_thorough_one_finds(signals, comments, data):
    lines = [f"r {signals} 500 5000", *(f"r.dat 16 200(0)/mV 16 0 -{i} {i} 0 V{i}" for i in range(signals))]
    text = "\n".join([*lines, *["#Dx: 1"] * comments]) + "\n"
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(text)))
        text = text[:start] + data.draw(fragments) + text[start + data.draw(st.integers(0, 4)) :]
    found = quick(text)
    if found is not None:
        header = parse_header(text)  # and does not raise
        assert (found.fs, found.samples) == (header.fs, header.samples)
        assert {found.file} == {line.file for line in header.signals}
        assert list(found.layout.leads) == [line.name for line in header.signals]
        assert found.first.tolist() == [line.first for line in header.signals]
        assert found.checksum.tolist() == [line.checksum for line in header.signals]
        assert found.layout.gain.tolist() == [line.gain for line in header.signals]
        assert found.layout.baseline.tolist() == [line.baseline for line in header.signals]
        kinds = {(line.format, line.samples_per_frame, line.skew, line.byte_offset) for line in header.signals}
        assert found.layout.plain == (kinds == {("16", 1, 0, found.layout.byte_offset)})


def test_usual_headers_are_read_the_quick_way(samples):
    for path, _ in real_records(samples):
        assert quick(path.read_text()) is not None
