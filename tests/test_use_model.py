import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st

import kmerl
from kmerl.archives.wfdb_reader import read_recording
from kmerl.checkpoint import save_run
from kmerl.errors import UserError
from kmerl.history import HISTORY
from kmerl.leads import LEADS
from kmerl.preprocessing.repair import WaveformParams, prepare
from kmerl.shards import store_writer
from kmerl.use.model import Model, load
from kmerl.waveforms import WaveformStore
from tests.archives import write_record
from tests.used import FS, VOCABULARY, config, ecg, embed, model, network
from workflow import fingerprint

MODEL = model()
MERL = model(merl=True)
ASKED = ["atrial fibrillation", "left bundle branch block", "a blue cat"]
SIGNAL = ecg(4)
some_leads = st.lists(st.sampled_from(LEADS), unique=True, min_size=1)


def rows(leads):
    return SIGNAL[[LEADS.index(lead) for lead in leads]]


@settings(deadline=None, max_examples=25)
@given(some_leads, st.randoms(use_true_random=False), st.sampled_from(["{}", "Lead {}", "lead_{}"]))
def test_the_order_and_spelling_of_leads_change_nothing(leads, random, spelling):
    other = random.sample(leads, len(leads))
    one = MODEL.predict(rows(leads), leads, FS, ASKED)
    two = MODEL.predict(rows(other), [spelling.format(lead) for lead in other], FS, ASKED)
    np.testing.assert_array_equal(one.probabilities, two.probabilities)
    assert one.leads == two.leads == tuple(sorted(leads, key=LEADS.index))


def test_leads_make_a_difference():
    one, two = (MODEL.predict(rows(leads), leads, FS, ASKED).probabilities for leads in (["I"], ["V5"]))
    assert np.abs(one - two).max() > 1e-4


@settings(deadline=None, max_examples=20)
@given(st.integers(200, 1500), st.sampled_from([100, 125, 250, 500]), st.sampled_from([None, 1.0, 3.0]))
def test_any_length_and_rate_gives_probabilities(length, fs, hop):
    length = max(length, 2 * fs)
    found = MODEL.predict(ecg(length / fs, fs, ["II"]), "II", fs, ASKED, hop=hop)
    assert found.per_window.shape == (len(found.windows), len(ASKED))
    assert (
        np.isfinite(found.probabilities).all() and (found.probabilities > 0).all() and (found.probabilities < 1).all()
    )
    np.testing.assert_allclose(found.probabilities, found.per_window.mean(0), rtol=1e-5)
    assert found.seconds == length / fs


@pytest.fixture
def stored(tmp_path):
    """Ten seconds at 250 Hz as a file, and its first four at 100 Hz in a store."""
    steps = np.round(ecg(10, 250) * 1000).astype(np.int16)
    write_record(tmp_path / "a", steps.T, fs=250, gain=1000.0)
    params = WaveformParams(
        fs=FS, seconds=4, min_seconds=2, min_leads=1, max_nan_share=0.1, derive_limb_leads=False
    )  # fmt: skip
    with store_writer(tmp_path / "store", "toy", "recorded", FS, 400, 8) as writer:
        writer.append(prepare(read_recording(tmp_path / "a.hea"), params), "a", None)
    return tmp_path / "a.hea", WaveformStore(tmp_path / "store")


@pytest.mark.parametrize("used", [MODEL, MERL])
@pytest.mark.parametrize("leads", [LEADS, ("II", "I"), ("V3",)])
def test_a_file_is_answered_as_its_stored_record_is_in_evaluation(stored, used, leads):
    path, store = stored
    expected = small.answers(used.network, store, [0], leads, used.config.normalize, [embed(ASKED)])[0][0]
    found = used.predict(path, leads, classes=ASKED, context="together")
    np.testing.assert_allclose(found.per_window[0], expected, atol=1e-6)
    assert len(found.windows) == 3


def test_a_short_record_is_shown_without_padding():
    params = MODEL.config.model.tokens
    assert params.padding == "tokens"  # of the run; here it is dropped all the same
    dropped = model(padding="dropped")
    np.testing.assert_array_equal(
        MODEL.predict(SIGNAL[:, :250], LEADS, FS, ASKED).probabilities,
        dropped.predict(SIGNAL[:, :250], LEADS, FS, ASKED).probabilities,
    )
    padded = np.pad(SIGNAL[:, :250], ((0, 0), (0, 150)))
    one, two = (MODEL.predict(signal, LEADS, FS, ASKED).probabilities for signal in (SIGNAL[:, :250], padded))
    assert np.abs(one - two).max() > 1e-5


def test_the_last_window_ends_with_the_record_and_windows_are_aggregated():
    signal = np.concatenate([SIGNAL, 2 * ecg(3)], axis=1)
    found = MODEL.predict(signal, LEADS, FS, ASKED)
    assert found.windows == ((0, 4), (3, 7))
    parts = [MODEL.predict(part, LEADS, FS, ASKED).probabilities for part in (signal[:, :400], signal[:, 300:])]
    np.testing.assert_allclose(found.probabilities, np.mean(parts, axis=0), atol=2e-5)
    most = MODEL.predict(signal, LEADS, FS, ASKED, combine="max")
    np.testing.assert_array_equal(most.probabilities, found.per_window.max(0))


def test_units_and_raw_values_give_the_same_answer():
    expected = MODEL.predict(SIGNAL, LEADS, FS, ASKED).probabilities
    for values, more in [
        (SIGNAL * 1e3, {"unit": "uV"}),
        (SIGNAL / 1e3, {"unit": "V"}),
        (np.round(SIGNAL * 5000) + 12, {"gain": 5000, "baseline": 12}),
    ]:
        found = MODEL.predict(values, LEADS, FS, ASKED, **more)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-3)


def test_resampling_moves_the_answers_little():
    expected = MODEL.predict(ecg(4, 1000, seed=3), LEADS, 1000, ASKED).probabilities
    other = MODEL.predict(ecg(4, 500, seed=3), LEADS, 500, ASKED).probabilities
    np.testing.assert_allclose(other, expected, atol=0.02)


def test_by_default_a_class_does_not_depend_on_what_else_is_asked():
    alone = [MODEL.predict(SIGNAL, LEADS, FS, [name])[name] for name in ASKED]
    found = MODEL.predict(SIGNAL, LEADS, FS, ASKED)
    np.testing.assert_allclose(found.probabilities, alone, atol=1e-6)
    together = MODEL.predict(SIGNAL, LEADS, FS, ASKED, context="together").probabilities
    assert np.abs(together - alone).max() > 1e-5
    single = MODEL.predict(SIGNAL, LEADS, FS, ASKED, context="alone").probabilities
    expected = MODEL.predict(SIGNAL, LEADS, FS, ASKED[:1], context="together").probabilities
    np.testing.assert_allclose(single[:1], expected, atol=1e-6)


def test_a_class_of_the_vocabulary_is_asked_as_in_training():
    found = MODEL.predict(SIGNAL, LEADS, FS, "training")
    assert found.classes == tuple(VOCABULARY)
    together = MODEL.predict(SIGNAL, LEADS, FS, VOCABULARY, context="together")
    np.testing.assert_allclose(found.probabilities, together.probabilities, atol=1e-6)


@pytest.mark.parametrize("way", ["query", "contrastive", "average", "mixture"])
def test_every_way_answers_and_differs(way):
    found = MODEL.predict(SIGNAL, LEADS, FS, ASKED, way=way)
    assert found.way == way
    assert (np.abs(found.probabilities - MODEL.predict(SIGNAL, LEADS, FS, ASKED).probabilities).max() > 1e-6) == (
        way != "query"
    )


def test_a_run_without_a_query_network_is_asked_by_cosine():
    assert MERL.predict(SIGNAL, LEADS, FS, ASKED).way == "contrastive"
    with pytest.raises(UserError, match=r"way 'query': the model knows the ways contrastive$"):
        MERL.predict(SIGNAL, LEADS, FS, ASKED, way="query")


def test_classes_are_all_downstream_names_by_default():
    names = MODEL.class_names(None)
    assert len(names) == len(set(names)) > 60
    assert set(MODEL.class_names("ptbxl_rhythm")) < set(names)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"classes": []}, "without a name"),
        ({"classes": ["a", " "]}, "without a name"),
        ({"classes": ["a b", "a  b"]}, "'a b' is asked twice"),
        ({"classes": "ptbxl"}, "one of downstream, training, ptbxl_super"),
        ({"way": "guess"}, "way 'guess'; give one of query"),
        ({"context": "crowd"}, "context 'crowd'"),
        ({"combine": "min"}, "combine 'min'"),
        ({"hop": 0}, "hop 0"),
        ({"fs": 1}, "1 Hz"),
        ({"fs": None}, "sampling rate"),
        ({"leads": ["I"]}, "1 lead names"),
    ],
)
def test_an_impossible_question_is_refused_in_one_line(more, message):
    with pytest.raises(UserError, match=message):
        MODEL.predict(
            SIGNAL if "fs" not in more else np.tile(SIGNAL, 3), **{"leads": LEADS, "fs": FS, "classes": ASKED} | more
        )


def test_doubts_are_warnings_and_an_offset_can_be_taken_off():
    signal = SIGNAL.copy()
    signal[0] += 3
    signal[5] = 0
    signal[7, 40:50] = np.nan
    found = MODEL.predict(signal, LEADS, FS, ASKED)
    assert "aVF" not in found.leads
    assert len(found.warnings) == 3
    for part in ("interpolated (shares: V2 0.025)", "offset (I +3", "lead aVF is flat"):
        assert any(part in line for line in found.warnings), found.warnings
    assert not any("offset" in line for line in MODEL.predict(signal, LEADS, FS, ASKED, centre=True).warnings)
    shifted = MODEL.predict(SIGNAL + 3, LEADS, FS, ASKED, centre=True).probabilities
    np.testing.assert_allclose(shifted, MODEL.predict(SIGNAL, LEADS, FS, ASKED, centre=True).probabilities, atol=1e-4)


def test_a_prediction_says_what_it_rests_on():
    found = MODEL.predict(ecg(11, 250, ["V1", "I"]), ["V1", "I"], 250, ASKED)
    text = found.text(2)
    for part in ("11 s at 250 Hz, resampled to 100 Hz; leads I, V1", "3 windows of 4 s", "SIMULATED", "2 of 3 classes"):
        assert part in text
    assert found.table["probability"].is_sorted(descending=True)
    assert found["a blue cat"] == found.probabilities[2]
    assert set(found.table["class"]) == set(ASKED)
    recorded = MODEL.config.model_copy(
        update={"trained_on": MODEL.config.trained_on.model_copy(update={"origin": "recorded"})}
    )
    other = Model(network(recorded), recorded, embed).predict(SIGNAL, LEADS, FS, ASKED)
    assert "SIMULATED" not in str(other)


@pytest.mark.parametrize("leads", [["I"], LEADS])
def test_a_prediction_can_be_drawn(leads):
    signal = rows(leads)[:, :250]
    signal[0, 3] = np.nan
    figure = MODEL.predict(signal, leads, FS, [*ASKED, "dollars $1 and $2 " * 5]).plot(top=4)
    said = {text.get_text() for text in figure.texts}
    assert any("SIMULATED" in text for text in said) and any(text.startswith("Warning:") for text in said)
    bars = figure.axes[1]
    assert len(bars.patches) == 4
    figure.canvas.draw()


def test_weights_that_answer_nan_are_damaged():
    run = config()
    broken = network(run)
    broken.encoder.project.weight.data.fill_(float("nan"))
    with pytest.raises(UserError, match="damaged"):
        Model(broken, run, embed).predict(SIGNAL, LEADS, FS, ASKED)


def test_a_run_on_disk_is_loaded_with_its_own_text_encoder(tmp_path):
    run = config(text_width=384)
    save_run(tmp_path / "run", network(run), run, pl.from_arrow(HISTORY.empty_table()))
    loaded = kmerl.load(tmp_path / "run")
    one, two = loaded.vectors(["atrial fibrillation", "sinus rhythm"])
    assert one.shape == (384,) and not np.allclose(one, two)
    assert 0 < loaded.predict(SIGNAL, LEADS, FS, ["atrial fibrillation"])["atrial fibrillation"] < 1
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "absent")


def test_importing_the_library_imports_no_model():
    code = "import sys, kmerl; assert not {'torch', 'numpy', 'kmerl.use'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kmerl.nothing  # noqa: B018


def test_no_stage_depends_on_the_model_in_use(monkeypatch):
    monkeypatch.chdir(Path(__file__).parent.parent)
    package = Path("kmerl/__init__.py")  # every stage imports it
    assert not [name for name in fingerprint.imports("kmerl", package) if name.startswith("kmerl")]
    assert not [file for file in fingerprint.files_of("stages.zeroshot") if "use" in file.parts]
