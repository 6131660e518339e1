"""The page of flaws: it counts what the index holds, explains and shows every flag, and is the same bytes again."""

import re
from pathlib import Path
from types import SimpleNamespace

import flawed
import numpy as np
import polars as pl
import pytest
from test_report import Reader

from kmerl.archives.merl_labels import TOTAL
from kmerl.documents.numbers import share, shown
from kmerl.leads import LEADS
from kmerl.origins import FLAWS as MEANING
from kmerl.origins import of_archives
from kmerl.page import quality as page
from kmerl.page.texts import explain
from kmerl.plots.ecg import lay_out
from kmerl.preprocessing.repair import prepare
from kmerl.quality.findings import QUANTILES, find, tidy
from kmerl.quality.gallery import choose, figure, show, spread
from kmerl.quality.params import QualityParams
from kmerl.waveforms import WaveformStore
from stages import quality as stage
from stages._stores import open_store
from tests.archives import params as waveform_params

ROOT = Path(__file__).parent.parent
EVIL = "<script>alert('x')</script> $\\frac$ & <img src=http://far.away/x.png>"
FLAWS = flawed.flaws()
PARAMS = SimpleNamespace(
    seed=1, archives={"ptb_xl": None, "csn": None, "cpsc2018": None}, quality=QualityParams(examples=1, dpi=50)
)


def build(data, origin="simulated"):
    """Three archives: one with every flag, one without any, one whose records all have the same one."""
    flawed.write_store(data / "waveforms/ptb_xl", FLAWS, origin, split=list(FLAWS)[3:])
    good = {"a$b$": flawed.Flaw([], [], flawed.heart(20)), EVIL: flawed.Flaw([], [], flawed.heart(21))}
    flawed.write_store(data / "waveforms/csn", good, "simulated")
    short = {f"s{i}": flawed.Flaw(["padded"], [], flawed.heart(30 + i, seconds=6 + i)) for i in range(3)}
    flawed.write_store(data / "waveforms/cpsc2018", short, "simulated")
    flawed.write_rest(
        data, "ptb_xl", [("8", "bad_row", EVIL), ("9", "bad_row", "x")], [("7", "too_short", "3 s"), ("6", "odd", "y")]
    )
    flawed.write_rest(data, "csn")
    flawed.write_rest(data, "cpsc2018")
    differ = {"AF": 2, "VB": 0, TOTAL: 2}
    rows = [
        ("csn", code, split, 9, 5 + n, 5, n, 0, n)
        for code, n in differ.items()
        for split in ("train", "valid", "test", TOTAL)
    ]
    flawed.write_differences(data, "csn", rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a project after the stage."""
    folder = tmp_path_factory.mktemp("quality")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        build(folder / "data")
        stage.main(PARAMS)
    return folder


@pytest.fixture
def project(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def counts(kind):
    table = pl.read_csv("results/quality.csv").filter(kind=kind)
    return {(archive, name): number for archive, name, number in table.select("archive", "name", "records").iter_rows()}


# -------------------------------------------------------------------------------------------------------------- counts


def test_the_counts_are_those_of_the_index(project):
    flags = {("ptb_xl", flag): 1 for one in FLAWS.values() for flag in one.flags}
    assert counts("flag") == flags | {("ptb_xl", "missing_lead"): 2, ("cpsc2018", "padded"): 3}
    for archive in PARAMS.archives:
        index = open_store(archive).records["flags"].explode().drop_nulls()
        found = {name: number for (one, name), number in counts("flag").items() if one == archive}
        assert found == dict(index.value_counts().iter_rows())


def test_rejected_records_are_counted_apart_by_tables_and_by_waveforms(project):
    assert counts("table") == {("ptb_xl", "bad_row"): 2}
    assert counts("rejected") == {("ptb_xl", "too_short"): 1, ("ptb_xl", "odd"): 1}


def test_totals_are_named_read_kept_flagged_and_without_split(project):
    kept = len(FLAWS)
    totals = {name: number for (archive, name), number in counts("total").items() if archive == "ptb_xl"}
    assert totals == {"named": kept + 4, "read": kept + 2, "kept": kept, "flagged": kept - 1, "without_split": 3}
    table = pl.read_csv("results/quality.csv").filter(archive="ptb_xl")
    shares = dict(table.select("name", "share").iter_rows())
    assert shares["kept"] == pytest.approx(kept / (kept + 4), abs=1e-6)
    assert shares["cropped"] == pytest.approx(1 / kept, abs=1e-6)
    assert set(table["origin"]) == {"simulated"}
    assert dict(table.select("name", "explanation").iter_rows())["odd"] == ""


def test_rates_lengths_and_leads_are_those_of_the_records(project):
    found = find(open_store("ptb_xl"), *stage.rejected("ptb_xl"))
    assert found.rates == {250.0: 1, 500.0: len(FLAWS) - 1}
    assert found.lengths == (6, 10, 10)
    assert found.whole == len(FLAWS) - 1
    lacking = {lead: len(FLAWS) - number for lead, number in zip(LEADS, found.leads.tolist(), strict=True)}
    assert {lead: number for lead, number in lacking.items() if number} == {"V1": 1, "V3": 1, "V4": 1, "V6": 1}
    assert found.twelve == len(FLAWS) - 4


def test_amplitudes_are_quantiles_over_the_records_that_have_the_lead(project):
    found = find(open_store("cpsc2018"), *stage.rejected("cpsc2018"))
    index = open_store("cpsc2018").records["maximum"].to_numpy()
    assert found.amplitudes[1, QUANTILES.index(0.5)] == pytest.approx(np.median(index, axis=0), abs=1e-6)


def test_an_archive_of_which_nothing_could_be_used_has_findings_all_the_same(tmp_path):
    flawed.write_store(tmp_path / "waveforms/csn", {}, "recorded")
    types = dict.fromkeys(["record_id", "reason", "detail"], pl.String)
    lost = pl.DataFrame([("1", "too_short", "1 s")], types, orient="row")
    found = find(WaveformStore(tmp_path / "waveforms/csn"), lost.clear(), lost)
    assert (found.kept, found.named, found.lengths) == (0, 1, ())
    assert np.isnan(found.amplitudes).all()
    assert tidy([found]).filter(name="flagged")["share"].to_list() == [None]
    assert shown(page.shape_grid([found]).rows[0][-1]) == "0"
    assert of_archives({found.archive: found.origin}, "ECG", MEANING) == ""


# --------------------------------------------------------------------------------------------------------------- texts


def test_every_flag_and_every_reason_of_the_code_is_explained():
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "kmerl").rglob("*.py"))
    flags = {*re.findall(r'flags\.add\("(\w+)"\)', code), *re.findall(r'flags=\(\) if .* else \("(\w+)",\)', code)}
    reasons = {*re.findall(r'RecordError\(\s*"(\w+)"', code), *re.findall(r'Rejected\([^,()]+, "(\w+)"', code)}
    reasons |= {*re.findall(r'"reason": "(\w+)"', code), *re.findall(r'Rejected\(f"row [^"]+", "(\w+)"', code)}
    assert len(flags) > 15
    assert len(reasons) > 15
    assert [flag for flag in sorted(flags) if not explain("flags", flag)] == []
    assert [reason for reason in sorted(reasons) if not explain("reasons", reason)] == []
    assert flags >= {flag for one in FLAWS.values() for flag in one.flags}


# ------------------------------------------------------------------------------------------------------------ the page


def test_every_flag_that_occurs_is_explained_and_shown(project):
    text = Path("results/quality.html").read_text("utf-8")
    reader = Reader(text)
    flags = sorted({flag for _, flag in counts("flag")})
    for flag in flags:
        assert explain("flags", flag) in reader.text
        assert any(
            f"flags: {flag}" in value or f", {flag}" in value for _, name, value in reader.attributes if name == "alt"
        )
    assert "Nobody has explained" not in reader.text
    # one for each flag, one clean record of each archive that has one, and the figure of amplitudes
    assert reader.tags.count("img") == len(flags) + 2 + 1
    links = {value[1:] for _, name, value in reader.attributes if name == "href" and value[0] == "#"}
    assert links <= {*reader.ids}
    assert len(reader.ids) == len({*reader.ids})


def test_the_page_fetches_nothing_and_escapes_what_comes_from_data(project):
    reader = Reader(Path("results/quality.html").read_text("utf-8"))
    assert reader.tags.count("script") == 1
    assert "alert('x')" in reader.text
    for _, name, value in reader.attributes:
        if name == "src":
            assert value.startswith("data:image/"), value[:80]
        if name == "href":
            assert value.startswith("#") or value == "quality.csv"
        if name == "style":
            assert re.fullmatch(r"width:[\d.]+%", value)


def test_simulated_data_are_said_first_and_in_every_part(project):
    text = Reader(Path("results/quality.html").read_text("utf-8")).text
    assert text.index("Simulated data. Every ECG on this page was simulated") < text.index("Archives")
    assert text.count("SIMULATED") == 3
    assert "ptb_xl, simulated: its tables" in text
    assert re.search(r"ptb_xl record r\d+, simulated", text)


def test_recorded_archives_are_not_called_simulated():
    simulated, recorded = (
        SimpleNamespace(archive="a", origin="simulated"),
        SimpleNamespace(archive="b", origin="recorded"),
    )
    assert (page.named(simulated), page.named(recorded)) == ("a, simulated", "b")


def test_only_classes_whose_labels_differ_are_listed(project):
    text = Reader(Path("results/quality.html").read_text("utf-8")).text
    assert "In 2 of 9 records (22.2%) the published labels differ from the corrected ones, in 1 class." in text
    assert "AF atrial flutter 7 5 2 7 5 2 7 5 2 7 5 2 all classes" in text
    assert " VB " not in text


def test_the_same_inputs_give_the_same_bytes(project):
    first = {name: Path("results", name).read_bytes() for name in ("quality.html", "quality.csv")}
    stage.main(PARAMS)
    assert {name: Path("results", name).read_bytes() for name in first} == first
    assert sorted(path.name for path in Path("results").iterdir()) == sorted(first)


def test_shares_never_round_to_none_or_all():
    assert [share(*one) for one in ((0, 9), (1, 10_000), (9_999, 10_000), (9, 9), (1, 8), (0, 0))] == [
        "0.0%", "<0.1%", ">99.9%", "100.0%", "12.5%", "–",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ examples


@pytest.mark.parametrize("record", [name for name, flaw in FLAWS.items() if flaw.flags])
def test_the_leads_that_a_flag_is_about_are_marked(project, record):
    flaw, store = FLAWS[record], open_store("ptb_xl")
    row = store.records["record_id"].index_of(record)
    assert tuple(store.records["flags"][row]) == tuple(flaw.flags) == prepare_flags(flaw)
    shown = show(store, row, flaw.flags[0])
    assert list(shown.marks) == list(flaw.leads)


def prepare_flags(flaw):
    """The flags that the store was given, those of the tables apart."""
    found = prepare(flaw.recording, waveform_params(min_leads=1, derive_limb_leads=flaw.derive)).flags
    return (*found, "unknown_code") if "unknown_code" in flaw.flags else found


def test_what_cannot_be_told_is_not_marked(project):
    """A lead that is flat at another value than 0 looks in the index like one that was not recorded."""
    store = open_store("ptb_xl")
    row = store.records["record_id"].index_of("r6")
    both = store.records.with_columns(flags=pl.lit(["flat_lead", "missing_lead"], pl.List(pl.String)))
    store.records = both
    assert show(store, row, "flat_lead").marks == show(store, row, "missing_lead").marks == {}


def test_records_with_the_fewest_other_flags_are_examples_whatever_their_order():
    flags = [["a", "b"], ["a"], [], ["a"], ["b"], ["a"]]
    records = pl.DataFrame({"record_id": [f"r{i}" for i in range(6)], "flags": flags})
    chosen = [records["record_id"][row] for row in choose(records, "a", 4, 1, "toy")]
    assert set(chosen[:3]) == {"r1", "r3", "r5"}
    assert chosen[3] == "r0"
    turned = records.reverse()
    assert [turned["record_id"][row] for row in choose(turned, "a", 4, 1, "toy")] == chosen
    assert any(choose(records, "a", 1, seed, "toy") != choose(records, "a", 1, 1, "toy") for seed in range(9))
    assert choose(records, None, 3, 1, "toy") == [2]
    assert choose(records, "c", 3, 1, "toy") == []


def test_archives_give_examples_in_turn():
    assert spread([["a1", "a2", "a3"], [], ["c1"]], 3) == ["a1", "c1", "a2"]
    assert spread([], 3) == []


def test_a_marked_lead_is_drawn_for_the_whole_time_and_all_twelve_have_their_place(project):
    sheet = lay_out(np.zeros((2, 1000)), ["I", "V5"], 100, twelve=True, full=["V5"])
    assert [strip.lead for strip in sheet.strips] == [*LEADS, "V5"]
    assert len(sheet.strips[-1].trace) == 1000
    store = open_store("ptb_xl")
    shown = show(store, store.records["record_id"].index_of("r5"), "nan_lead")
    texts = [one.get_text() for axes in figure(shown).axes for one in axes.texts]
    assert {"2,500 samples missing", "not used"} <= {*texts}
    assert texts.count("not recorded") == 0
