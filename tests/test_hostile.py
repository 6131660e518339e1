"""Every kind of hostile record, written to files and read through both stages: the rule that mends or rejects it."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat

from kmerl.archives.recordings import read_file
from kmerl.archives.schemas import REJECTED
from kmerl.archives.wfdb_format import RecordError
from kmerl.artifacts import read_table
from kmerl.leads import LEADS, from_bit_mask
from tests.archives import (
    mimic_tables,
    noise,
    read,
    write_cpsc2018,
    write_mimic,
    write_record,
)

S = noise(1)  # (5000, 12)
N = S.T.astype(int)
MV = N / 200
GAP = -32768
EXTRA = ("vx", "vy", "vz")


@dataclass(frozen=True)
class Case:
    """A record, what writes it, and what has to become of it.

    Attributes:
        write: gets the path of the record without a suffix.
        found: the flags, sorted and joined; or the reason against it, with an exclamation mark.
        mv: (12, n) what is stored, NaN for leads that are left out.
    """

    name: str
    write: Callable[[Path], object]
    found: str = ""
    mv: NDArray[np.float64] = field(default_factory=lambda: MV)
    atol: float = 1e-5


def put(
    samples: NDArray[np.int16] = S,
    leads: Sequence[str] = LEADS,
    rate: str = "500",
    length: int | str | None = None,
    form: str = "16",
    gain: str | Sequence[str] = "200(0)/mV",
    zero: int | str = 0,
    file: str | None = None,
    edit: Callable[[str], str | bytes] = lambda text: text,
    data: Callable[[bytes], bytes] = lambda content: content,
) -> Callable[[Path], None]:
    """A writer of a record with true checksums, and of whatever is wrong with it."""

    def write(path: Path) -> None:
        name, n = path.name, len(leads)
        gains = [gain] * n if isinstance(gain, str) else gain
        lines = [f"{name} {n} {rate} {len(samples) if length is None else length}"]
        for lead, one, signal in zip(leads, gains, samples.T, strict=True):
            stated = f"{signal[0]} {int(signal.sum(dtype=np.int64)) % 65536}"
            lines.append(f"{file or name + '.dat'} {form} {one} 16 {zero} {stated} 0 {lead}")
        text = edit("\n".join(lines) + "\n")
        path.with_suffix(".hea").write_bytes(text if isinstance(text, bytes) else text.encode())
        path.with_suffix(".dat").write_bytes(data(samples.astype("<i2").tobytes()))

    return write


def instead(make: Callable[[Path], object], suffix: str = ".dat") -> Callable[[Path], None]:
    """A writer of a good record in place of whose file something else stands."""

    def write(path: Path) -> None:
        put()(path)
        path.with_suffix(suffix).unlink()
        make(path.with_suffix(suffix))

    return write


def changed(rows: dict[str, object], samples: NDArray[np.int16] = S) -> NDArray[np.int16]:
    """Samples in which some leads hold something else: a value, or a function of what was there."""
    samples = samples.copy()
    for lead, value in rows.items():
        row = samples[:, LEADS.index(lead)]
        row[:] = value(row.copy()) if callable(value) else value
    return samples


def stretch(begin: int, end: int, value: int) -> Callable[[NDArray[np.int16]], NDArray[np.int16]]:
    def within(signal: NDArray[np.int16]) -> NDArray[np.int16]:
        signal[begin:end] = value
        return signal

    return within


def v2(value: object) -> dict[str, Any]:
    """Something else in lead V2, and what is then to be stored."""
    samples = changed({"V2": value})
    return {"write": put(samples), "mv": samples.T / 200}


def cell(at: int, text: str) -> Callable[[str], str]:
    """Another text in one column of all signal lines."""

    def edit(header: str) -> str:
        first, *lines = [line.split(" ") for line in header.splitlines()]
        return "\n".join(map(" ".join, [first, *([*line[:at], text, *line[at + 1 :]] for line in lines)])) + "\n"

    return edit


def both(*edits: Callable[[str], str]) -> Callable[[str], str]:
    def edit(header: str) -> str:
        for one in edits:
            header = one(header)
        return header

    return edit


def without(*leads: str, mv: NDArray[np.float64] = MV) -> NDArray[np.float64]:
    mv = mv.copy()
    mv[[LEADS.index(lead) for lead in leads]] = np.nan
    return mv


def wave(fs: int, seconds: float = 10) -> NDArray[np.float64]:
    """Twelve leads (12, S) in mV that any rate can hold, related as limb leads are."""
    at = np.arange(round(fs * seconds)) / fs
    leads = np.stack([np.sin(2 * np.pi * (1 + i / 4) * at) + np.cos(2 * np.pi * (6 - i / 3) * at) for i in range(12)])
    one, two = leads[:2]
    leads[2:6] = [two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return leads


def sampled(fs: int, seconds: float = 10) -> NDArray[np.int16]:
    return np.rint(wave(fs, seconds).T * 1000).astype(np.int16)


def bridged(lead: str, begin: int, end: int) -> NDArray[np.float64]:
    mv, row = MV.copy(), LEADS.index(lead)
    mv[row, begin:end] = np.interp(np.arange(begin, end), [begin - 1, end], mv[row, [begin - 1, end]])
    return mv


def by_wfdb(form: str, samples: NDArray[np.int16]) -> Callable[[Path], None]:
    return lambda path: write_record(path, samples.astype(np.int64), format=form)


def packed(form: str, after: Callable[[bytes], bytes] = bytes) -> Callable[[bytes], bytes]:
    """Samples of format 16 in another one, as signal(5) describes it."""

    def pack(content: bytes) -> bytes:
        return after(repack(content))

    def repack(content: bytes) -> bytes:
        flat = np.frombuffer(content, "<i2").astype(np.int64)
        if form == "160":
            return (flat + 32768).astype("<u2").tobytes()
        if form == "80":
            return (flat + 128).astype("u1").tobytes()
        if form == "212":
            one, two = flat[::2], flat[1::2]
            return np.stack([one & 255, one >> 8 & 15 | (two >> 8 & 15) << 4, two & 255], 1).astype("u1").tobytes()
        one, two, three = (flat[i::3] & 1023 for i in range(3))
        if form == "310":
            words = one << 1 | (three & 31) << 11 | (two << 1 | three >> 5 << 11) << 16
        else:
            words = one | two << 10 | three << 20
        return words.astype("<u4").tobytes()

    return pack


PACKED = {"160": S, "80": np.clip(S // 8, -110, 110), "212": S, "310": S // 4, "311": S // 4}


def flipped(content: bytes) -> bytes:
    return content[:3000] + bytes([content[3000] ^ 0x10]) + content[3001:]


def segmented(path: Path, parts: str = "{name}a 2000\n{name}b 3000", first: str = "{name}/2 12 500 5000") -> None:
    put(S[:2000])(path.with_name(path.name + "a"))
    put(S[2000:])(path.with_name(path.name + "b"))
    path.with_suffix(".hea").write_text(f"{first}\n{parts}\n".format(name=path.name))


def spoilt_segment(path: Path) -> None:
    segmented(path)
    put(S[2000:], data=flipped)(path.with_name(path.name + "b"))


def long_segments(path: Path) -> None:
    """Three of two million samples each, announced as one sample each."""
    for part in "abc":
        put(length=2 * 10**6)(path.with_name(path.name + part))
        os.truncate(path.with_name(f"{path.name}{part}.dat"), 48 * 10**6)
    path.with_suffix(".hea").write_text("r/3 12 500 3\n" + "".join(f"{path.name}{part} 1\n" for part in "abc"))


def files_apart(path: Path) -> None:
    """A file per signal, as format 16 with nothing else unusual."""
    put(edit=lambda text: "".join(
        line.replace(".dat", f"_{i}.dat", 1) for i, line in enumerate(text.splitlines(keepends=True))
    ))(path)  # fmt: skip
    for i, signal in enumerate(S.T, 1):
        path.with_name(f"{path.name}_{i}.dat").write_bytes(signal.astype("<i2").tobytes())


def matlab_4(rows: int, columns: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        put(file=f"{path.name}.mat", form="16x1+24")(path)
        begin = np.array([30, rows, columns, 0, 4], "<i4").tobytes() + b"val\0"
        path.with_suffix(".mat").write_bytes(begin + path.with_suffix(".dat").read_bytes())
        path.with_suffix(".dat").unlink()

    return write


def sparse(length: int, form: str = "16") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        put(length=length, form=form)(path)
        with path.with_suffix(".dat").open("wb") as file:
            file.truncate(1 << 40)

    return write


HUGE = 10**12 - 1
EIGHT = [0, 1, *range(6, 12)]
MANY = np.concatenate([S[:2500], noise(3, 988, 2500)], axis=1)
EDGE = 0.025  # mV, at the ends of a resampled record
OWN = range(100, 1300, 100)
BRIDGED = bridged("V2", 100, 140)  # to half a step of 1/200 mV
CLIPPED = np.clip(20 * np.convolve(S[:, 7], np.ones(50) / 50, "same"), -800, 800)
WIDE = np.concatenate([S, noise(2, leads=3)], axis=1)
SPELT = ("Lead I", "II", "DIII", "AVR", "avl", "aVf", "v1", "C2", "MDC_ECG_LEAD_V3", "V 4", "ecg_V5", "V６")
UNITS = (
    "0.2(0)/uV", "200000(0)/V", "0.0002(0)/nV", "200(0)/mv", "200(0)/MV", "0.2(0)/\u00b5V", "0.2(0)/\u03bcV",
    "200", "200/mV", "2e2/mV", "200.000(0)", "0", "0/mV", "0(0)/mV",
)  # fmt: skip
SLOW, FAST = wave(500)[:, :2500], wave(500)

CASES = [
    Case("as it should be", put()),
    # samples
    Case("a short run of NaN", put(changed({"V2": stretch(100, 140, GAP)})), "nan_repaired", BRIDGED, 0.0026),
    Case("a long run of NaN", put(changed({"V2": stretch(100, 1100, GAP)})), "nan_lead", without("V2")),
    Case("nothing but NaN", put(changed(dict.fromkeys(LEADS, GAP))), "too_few_leads!"),
    Case("a dead lead", put(changed({"V2": 0})), "flat_lead", without("V2")),
    Case("a constant lead", put(changed({"V2": 77})), "flat_lead", without("V2")),
    Case("all constant", put(changed(dict.fromkeys(LEADS, 77))), "too_few_leads!"),
    Case("all zero", put(data=lambda content: bytes(len(content))), "too_few_leads!"),
    Case("a clipped lead", found="clipped_lead", **v2(CLIPPED)),
    Case("a lead that stands still for 2 s", found="flat_part", **v2(stretch(0, 1000, 5))),
    Case("a spike of 100 mV", found="large_amplitude", **v2(stretch(9, 10, 20000))),
    Case("leads of some microvolts", put(gain="200000(0)/mV"), "small_amplitude", MV / 1000),
    Case("swapped limb leads", put(leads=("II", "I", *LEADS[2:])), "limb_leads", MV[[1, 0, *range(2, 12)]]),
    # leads
    Case("a lead by a wrong name", put(leads=(*LEADS[:11], "V7")), "missing_lead unknown_lead", without("V6")),
    Case("leads by wrong names", put(leads=[f"ch{i}" for i in range(12)]), "unknown_lead!"),
    Case("a lead without a name", put(leads=(*LEADS[:11], "")), "missing_lead unknown_lead", without("V6")),
    Case("an inverted lead", put(leads=(*LEADS[:3], "-aVR", *LEADS[4:])), "missing_lead unknown_lead", without("aVR")),
    Case("any spelling", put(leads=SPELT)),
    Case("another order", put(S[:, ::-1], LEADS[::-1])),
    Case("eight leads", put(S[:, EIGHT], [LEADS[i] for i in EIGHT]), "missing_lead", without(*LEADS[2:6])),
    Case("five leads", put(S[:, :5], LEADS[:5]), "too_few_leads!"),
    Case("one lead twice, and alike", put(S[:, [*range(12), 6]], (*LEADS, "v1")), "repeated_lead"),
    Case("one lead twice, and not alike", put(S[:, [*range(12), 7]], (*LEADS, "v1")), "repeated_lead", without("V1")),
    Case("one lead in all places", put(leads=["V1"] * 12), "repeated_lead!"),
    Case("15 leads", put(WIDE, (*LEADS, *EXTRA)), "unknown_lead"),
    Case("15 leads, others first", put(WIDE[:, [12, 13, 14, *range(12)]], (*EXTRA, *LEADS)), "unknown_lead"),
    Case("a channel of pressure", put(WIDE[:, :13], (*LEADS, "ABP"), gain=["200(0)/mV"] * 12 + ["12.5(0)/mmHg"]),
         "unknown_lead"),
    Case("a lead in mmHg", put(gain=["200(0)/mV"] * 11 + ["200(0)/mmHg"]), "unknown_unit!"),
    Case("1,000 signals", put(MANY, (*LEADS, *(f"x{i}" for i in range(988)))),
         "padded unknown_lead", MV[:, :2500]),
    # length and rate
    *(Case(f"{fs} Hz", put(sampled(fs), rate=str(fs), gain="1000(0)/mV"), "resampled", FAST, EDGE)
      for fs in (100, 250, 360, 1000)),
    Case("500 Hz with decimals and a counter", put(rate="500.000/25(3)")),
    Case("4.9 s", put(S[:2450]), "too_short!"),
    Case("5 s", put(S[:2500]), "padded", MV[:, :2500]),
    Case("60 s", put(np.tile(S, (6, 1))), "cropped"),
    Case("60 s at 100 Hz", put(sampled(100, 60), rate="100", gain="1000(0)/mV"), "cropped resampled", FAST, EDGE),
    Case("5 s at 1,000 Hz", put(sampled(1000, 5), rate="1000", gain="1000(0)/mV"), "padded resampled", SLOW, EDGE),
    Case("5 s far from 0 mV", put(S[:2500], gain="4880(40000)/mV"), "padded", (N[:, :2500] - 40000) / 4880, 2e-4),
    Case("5 s at 250 Hz far from 0 mV", put(sampled(250, 5), rate="250", gain="1000(9000)/mV"), "padded resampled",
         SLOW - 9, EDGE),
    Case("1e-3 Hz", put(rate="0.001"), "unusable_rate!"),
    Case("0 Hz", put(rate="0"), "bad_header!"),
    Case("a rate of text", put(rate="fast"), "bad_header!"),
    # gains, baselines, units
    *(Case(f"gain and unit {gain}", put(gain=gain)) for gain in UNITS),
    *(Case(f"gain {gain}", put(gain=f"{gain}(0)/mV"), mv=S.T / gain) for gain in (1000, 4880, 163.84)),
    Case("negative gain", put(gain="-200(0)/mV"), mv=-MV),
    Case("gains of their own", put(gain=[f"{gain}(0)/mV" for gain in OWN]), "limb_leads", N / np.array(OWN)[:, None]),
    Case("gain 1e-30", put(gain="1e-30(0)/mV"), "unusable_gain!"),
    Case("gain 1e99", put(gain="1e99(0)/mV"), "unusable_gain!"),
    Case("gain of text", put(gain="high"), "bad_header!"),
    Case("a baseline", put(gain="200(-30)/mV"), mv=(N + 30) / 200),
    Case("an ADC's zero for the baseline", put(gain="200/mV", zero=-30), mv=(N + 30) / 200),
    Case("a baseline over an ADC's zero", put(gain="200(-30)/mV", zero=1024), mv=(N + 30) / 200),
    Case("a baseline beyond int16", put(gain="4880(40000)/mV"), mv=(N - 40000) / 4880),
    Case("a baseline far away", put(gain="200(40000)/mV"), "large_offset", (N - 40000) / 200, 1e-4),
    Case("a baseline out of this world", put(gain="200(1000000000)/mV"), "unusable_baseline!"),
    Case("an ADC's zero of text", put(zero="none"), "bad_header!"),
    # headers
    Case("a name with an extension", put(edit=lambda text: text.replace(" ", ".mat ", 1))),
    Case("another record's name", put(edit=lambda text: "other" + text[text.index(" ") :])),
    Case("CRLF", put(edit=lambda text: text.replace("\n", "\r\n"))),
    Case("CR alone", put(edit=lambda text: text.replace("\n", "\r"))),
    Case("tabs", put(edit=lambda text: text.replace(" ", "\t"))),
    Case("no final newline", put(edit=lambda text: text.rstrip("\n"))),
    Case("comments first", put(edit=lambda text: f"# made by hand\n#\n{text}")),
    Case("comments everywhere", put(edit=lambda text: text.replace("\n", "\n# of no use\n"))),
    Case("blank lines and indents", put(edit=lambda text: text.replace("\n", " \n\n  "))),
    Case("a byte order mark", put(edit=lambda text: "\ufeff" + text)),
    Case("a time and a date", put(length="5000 12:30:00 1/2/2003")),
    Case("a NUL in a name", put(leads=(*LEADS[:11], "V6\0")), "missing_lead unknown_lead", without("V6")),
    Case("a NUL in a file's name", put(edit=lambda text: text.replace(".dat", ".d\0t")), "unreadable_file!"),
    Case("NULs throughout", put(edit=lambda text: text.encode("utf-16-le")), "bad_header!"),
    Case("NULs alone", put(edit=lambda text: bytes(len(text))), "bad_header!"),
    Case("an empty header", put(edit=lambda text: ""), "bad_header!"),
    Case("a header of comments", put(edit=lambda text: "# nothing\n"), "bad_header!"),
    Case("no signals", put(edit=lambda text: "r 0 500 5000\n"), "bad_header!"),
    Case("a line too many", put(edit=lambda text: text + text.splitlines()[-1]), "bad_header!"),
    Case("a line too many behind comments", put(edit=lambda text: text + "# so\n" + text.splitlines()[-1]),
         "bad_header!"),
    Case("a comment within a name", put(leads=(*LEADS[:11], "V6#2")), "missing_lead unknown_lead", without("V6")),
    Case("a line too few", put(edit=lambda text: text[: text.rstrip().rindex("\n")]), "bad_header!"),
    Case("a header of 2 MB", put(edit=lambda text: text + "#" * (1 << 21)), "bad_header!"),
    Case("no header", instead(lambda file: None, ".hea"), "no_header!"),
    Case("a folder for a header", instead(Path.mkdir, ".hea"), "unreadable_file!"),
    Case("a pipe for a header", instead(os.mkfifo, ".hea"), "unreadable_file!"),
    Case("a device for a header", instead(lambda file: file.symlink_to("/dev/zero"), ".hea"), "unreadable_file!"),
    Case("a checksum that is wrong", put(edit=cell(6, "7")), "checksum"),
    Case("a first sample that is wrong", put(edit=cell(5, "7")), "checksum"),
    Case("no checksums", put(edit=both(cell(5, "0"), cell(6, "0")))),
    Case("a checksum of text", put(edit=cell(6, "?")), "bad_header!"),
    # files of samples
    Case("a byte too few", put(data=lambda content: content[:-1]), "truncated_signal_file!"),
    Case("a byte too many", put(data=lambda content: content + b"\0")),
    Case("an empty file", put(data=lambda content: b""), "empty_signal_file!"),
    Case("no file", instead(lambda file: None), "no_signal_file!"),
    Case("a folder", instead(Path.mkdir), "unreadable_file!"),
    Case("a pipe", instead(os.mkfifo), "unreadable_file!"),
    Case("a link to nothing", instead(lambda file: file.symlink_to("nothing")), "no_signal_file!"),
    Case("a link to itself", instead(lambda file: file.symlink_to(file.name)), "unreadable_file!"),
    Case("a link to a device", instead(lambda file: file.symlink_to("/dev/zero")), "unreadable_file!"),
    Case("a link to a good file", lambda path: (put()(path), path.with_suffix(".dat").rename(path.with_suffix(".x")),
                                                path.with_suffix(".dat").symlink_to(path.with_suffix(".x").name))),
    Case("a file of a terabyte without a length", sparse(0), "too_long!"),
    Case("a file of a terabyte with a length", sparse(10**10), "too_long!"),
    Case("samples far down in a file of a terabyte", sparse(5000, "16+999999999000"), "too_few_leads!"),
    Case("the name of a device", put(file="/dev/zero"), "bad_path!"),
    Case("an absolute path", put(file="/etc/hostname"), "bad_path!"),
    Case("a path upwards", put(file="../r/r.dat"), "bad_path!"),
    Case("a name that is too long", put(file="x" * 300), "unreadable_file!"),
    Case("standard input", put(file="-"), "no_signal_file!"),
    Case("no length stated", put(length=0)),
    Case("no rate and length stated", put(sampled(250), rate="250", gain="1000(0)/mV",
                                          edit=lambda text: text.replace(" 250 2500", "", 1)),
         "resampled", FAST, EDGE),
    Case("10^12 samples", put(length=10**12), "bad_header!"),
    *(Case(f"{HUGE} samples in format {form}", put(length=HUGE, form=form), "truncated_signal_file!")
      for form in ("16", "16+24", "16x2", "16:9", "8", "24", "32", "61", "80", "160", "212", "310", "311")),
    *(Case(f"{HUGE} samples in format {form}", put(length=HUGE, form=form), "too_long!")
      for form in ("508", "516", "524")),
    *(Case(f"format {form}", put(form=form), "unreadable_signal!") for form in ("0", "17", "9999", "516")),
    Case("a format of text", put(form="16bit"), "bad_header!"),
    Case("999,999 samples per frame", put(form="16x999999"), "truncated_signal_file!"),
    Case("a skew of 999,999,999", put(form="16:999999999"), "too_long!"),
    # other formats, through the wfdb package
    *(Case(f"format {form}", put(one, form=form, data=packed(form)), mv=one.T / 200, atol=2e-4)
      for form, one in PACKED.items()),
    *(Case(f"a flipped bit in format {form}", put(one, form=form, data=packed(form, flipped)), "checksum", mv=None)
      for form, one in PACKED.items()),
    *(Case(f"format {form}", by_wfdb(form, S), atol=2e-4) for form in ("24", "32", "516")),
    Case("a flipped bit in format 16", put(data=flipped), "checksum", mv=None),
    Case("a file per signal", files_apart, atol=2e-4),
    Case("segments", segmented, atol=2e-4),
    Case("a flipped bit in a segment", spoilt_segment, "checksum", mv=None),
    Case("a segment that is not there", lambda path: segmented(path, "{name}a 2000\n{name}c 3000"), "no_header!"),
    Case("a segment elsewhere", lambda path: segmented(path, "{name}a 2000\n../r/{name}b 3000"), "bad_path!"),
    Case("a segment of itself", lambda path: segmented(path, "{name} 2000\n{name} 3000"), "bad_header!"),
    Case("segments of more signals", lambda path: segmented(path, first="r/2 3 500 5000"), "bad_header!"),
    Case("segments of more samples than announced", long_segments, "too_long!"),
    Case("segments of 10^11 samples", lambda path: segmented(path, "~ 99999999999\n{name}b 3000"), "too_long!"),
    Case("10^12 segments", lambda path: segmented(path, first=f"r/{HUGE} 12 500 5000"), "bad_header!"),
    Case("10^12 signals in segments", lambda path: segmented(path, first=f"r/2 {HUGE} 500 5000"), "bad_header!"),
    Case("segments with other signals", lambda path: segmented(path, first="r/2 11 500 5000"), "bad_header!"),
    Case("samples behind a MATLAB 4 header", matlab_4(12, 5000)),
    Case("a MATLAB 4 matrix of another size", matlab_4(12, 2500), "unreadable_signal!"),
]  # fmt: skip


@dataclass(frozen=True)
class Read:
    """What became of an archive's records: of each the flags, the leads in use and mV; or the reason against it."""

    found: dict[str, str]
    mv: dict[str, NDArray[np.float32]]


def through_both_stages(archive: str, raw: Path, out: Path) -> Read:
    _, made = read(archive, raw, out, shard_records=1000)
    store, found, mv = made.store(), {}, {}
    for row, (one, flags, length) in enumerate(store.records.select("record_id", "flags", "length").iter_rows()):
        found[one] = " ".join(flags)
        mv[one] = store.read(row)[:, :length]
        np.testing.assert_allclose(store.read(row)[:, length:], 0, atol=1e-4)
        mv[one][[lead not in from_bit_mask(int(store.present[row])) for lead in LEADS]] = np.nan
    for one, reason, detail in read_table(made.rejected, REJECTED).iter_rows():
        assert one not in found
        assert "\n" not in detail
        found[one] = f"{reason}!"
    return Read(found, mv)


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> Read:
    folder = tmp_path_factory.mktemp("hostile")
    mimic_tables(folder / "raw", {str(i): ("7", ["Sinus rhythm"]) for i in range(len(CASES))})
    for i, case in enumerate(CASES):
        path = folder / f"raw/files/s{i}/{i}"
        path.parent.mkdir(parents=True)
        case.write(path)
    return through_both_stages("mimic_iv_ecg", folder / "raw", folder)


@pytest.mark.parametrize("i", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_record_is_mended_and_flagged_or_rejected(records, i):
    compare(records, str(i), CASES[i])


def struct(**changes: object) -> Callable[[Path], None]:
    """A writer of CPSC2018's struct, with something else in it."""
    fields = {"sex": "Male", "age": 50, "data": MV, **changes}
    return lambda path: savemat(path, {"ECG": {name: one for name, one in fields.items() if one is not None}})


def bytewise(change: Callable[[bytes], bytes], **options: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        savemat(path, {"ECG": {"sex": "Male", "age": 50, "data": MV}}, **options)
        path.write_bytes(change(path.read_bytes()))

    return write


def with_gap(value: float) -> NDArray[np.float64]:
    mv = MV.copy()
    mv[7, 100:140] = value
    return mv


STRUCTS = [
    Case("as it should be", struct(), atol=2e-4),
    Case("packed", bytewise(bytes, do_compression=True), atol=2e-4),
    Case("without sex and age", struct(sex=None, age=None), atol=2e-4),
    Case("single precision", struct(data=MV.astype(np.float32)), atol=2e-4),
    Case("a run of NaN", struct(data=with_gap(np.nan)), "nan_repaired", BRIDGED, 2e-4),
    Case("infinite values", struct(data=with_gap(np.inf)), "nan_repaired", BRIDGED, 2e-4),
    Case("values beyond all measure", struct(data=with_gap(1e300)), "unusable_gain!"),
    Case("a dead lead", struct(data=MV * (np.arange(12) != 7)[:, None]), "flat_lead", without("V2"), 2e-4),
    Case("in volts", struct(data=MV / 1000), "small_amplitude", MV / 1000),
    Case("a lead too few", struct(data=MV[:11]), "bad_struct!"),
    Case("samples first", struct(data=MV.T), "bad_struct!"),
    Case("complex numbers", struct(data=MV * 1j), "bad_struct!"),
    Case("no data", struct(data=None), "bad_struct!"),
    Case("data of text", struct(data="none"), "bad_struct!"),
    Case("4 s", struct(data=MV[:, :2000]), "too_short!"),
    Case("144 s", struct(data=np.tile(MV, 15)[:, :72000]), "cropped", atol=2e-4),
    Case("another variable", lambda path: savemat(path, {"val": MV}), "bad_struct!"),
    Case("MATLAB 4", lambda path: savemat(path, {"ECG": MV}, format="4"), "unreadable_signal!"),
    Case("an empty file", Path.touch, "empty_signal_file!"),
    Case("a file of text", lambda path: path.write_text("no ECG" * 100), "unreadable_signal!"),
    Case("the first half", bytewise(lambda content: content[: len(content) // 2]), "unreadable_signal!"),
    Case("half of it packed", bytewise(lambda content: content[: len(content) // 2], do_compression=True),
         "unreadable_signal!"),
    Case("a byte that is wrong, packed", bytewise(lambda content: content[:50000] + b"?" + content[50001:],
                                                  do_compression=True), "unreadable_signal!"),
    Case("a terabyte", lambda path: os.truncate(path, 1 << 40) if path.touch() is None else None, "too_long!"),
    Case("no file", lambda path: None, "no_signal_file!"),
    Case("a folder", Path.mkdir, "unreadable_file!"),
    Case("a pipe", os.mkfifo, "unreadable_file!"),
    Case("a link to nothing", lambda path: path.symlink_to("nothing"), "no_signal_file!"),
    Case("a device", lambda path: path.symlink_to("/dev/zero"), "unreadable_file!"),
]  # fmt: skip


@pytest.fixture(scope="module")
def structs(tmp_path_factory) -> Read:
    folder = tmp_path_factory.mktemp("structs")
    write_cpsc2018(folder / "raw", {f"A{i}": "1" for i in range(len(STRUCTS))})
    for i, case in enumerate(STRUCTS):
        path = folder / f"raw/A{i}.mat"
        path.unlink()
        case.write(path)
    return through_both_stages("cpsc2018", folder / "raw", folder)


@pytest.mark.parametrize("i", range(len(STRUCTS)), ids=[case.name for case in STRUCTS])
def test_a_struct_is_mended_and_flagged_or_rejected(structs, i):
    compare(structs, f"A{i}", STRUCTS[i])


def compare(read: Read, record: str, case: Case) -> None:
    assert read.found[record] == case.found
    if case.mv is not None and not case.found.endswith("!"):
        inner = min(5000, case.mv.shape[1] - (20 if "resampled" in case.found else 0))  # the end rings
        np.testing.assert_allclose(read.mv[record][:, :inner], case.mv[:, :inner], rtol=1e-6, atol=case.atol)


def test_a_small_file_that_unpacks_to_a_huge_one_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr("kmerl.archives.cpsc_format._LIMIT", 1 << 20)
    path = tmp_path / "A1.mat"
    savemat(path, {"ECG": {"data": np.zeros((12, 100_000))}}, do_compression=True)
    with pytest.raises(RecordError, match="cut short or too large") as caught:
        read_file(path)
    assert caught.value.reason == "unreadable_signal"


AS_NOBODY = """
import os, sys
from pathlib import Path
from kmerl.archives.recordings import read_file
from kmerl.archives.wfdb_format import RecordError

os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for name in sys.argv[2:]:
    try:
        read_file(Path(name))
        print("read")
    except RecordError as error:
        print(error.reason)
"""


def test_what_may_not_be_read_is_rejected_as_unreadable(tmp_path):
    for name in ("good", "header", "samples", "closed/folder"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        put()(tmp_path / name)
    struct()(tmp_path / "struct.mat")
    tmp_path.chmod(0o755)
    for name in ("header.hea", "samples.dat", "struct.mat", "closed"):
        (tmp_path / name).chmod(0)
    names = ["good.hea", "header.hea", "samples.hea", "closed/folder.hea", "struct.mat"]
    try:
        root = Path(__file__).parents[1]
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(tmp_path), *names],
            cwd=root, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip
    finally:
        (tmp_path / "closed").chmod(0o700)
    if "in setgroups" in done.stderr or "in setuid" in done.stderr:
        pytest.skip("this system lets nobody become another user")
    assert done.stdout.split() == ["read", *["unreadable_file"] * 4], done.stderr


def test_a_failing_disk_costs_the_record_and_not_the_archive(tmp_path, monkeypatch):
    write_mimic(tmp_path / "raw", {"11": ("7", []), "12": ("7", [])})
    opening = os.open

    def fail(path, *rest):
        if str(path).endswith("12.dat"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opening(path, *rest)

    monkeypatch.setattr(os, "open", fail)
    assert through_both_stages("mimic_iv_ecg", tmp_path / "raw", tmp_path).found == {"11": "", "12": "unreadable_file!"}
