"""The accepted ECG signs, measured on noise-free waveforms: there in most cases of a condition, absent in health."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.ndimage import maximum_filter1d

from kmerl.archives.simulate import conditions, hearts
from kmerl.leads import LEADS
from kmerl.randomness import generator

FS = 500
HEARTS = 10


@dataclass
class Average:
    """Average beat of a recording, from 300 ms before to 600 ms after QRS onset, in mV above the PR segment."""

    leads: dict[str, np.ndarray]
    rr: np.ndarray  # s, between R peaks found in the waveform
    raw: dict[str, np.ndarray]

    def at(self, lead, ms, width=20):
        first = int((300 + ms) * FS / 1000)
        return float(self.leads[lead][first : first + max(1, width * FS // 1000)].mean())

    def cut(self, lead, start, end):
        return self.leads[lead][int((300 + start) * FS / 1000) : int((300 + end) * FS / 1000)]

    @property
    def qrs_ms(self):
        """Time in which the waveform is steep in any lead."""
        speed = np.abs(np.diff(np.stack([self.cut(lead, -40, 240) for lead in LEADS]), axis=1)).sum(axis=0)
        high = np.sort(speed)[-6]  # a pacemaker's spike is two steps, not the QRS
        steep = np.flatnonzero(speed > 0.1 * high)
        pauses = np.flatnonzero(np.diff(steep) > 15)  # beyond 30 ms of rest begins T
        last = steep[pauses[0]] if len(pauses) else steep[-1]
        return (last - steep[0] + 1) * 1000 / FS

    @property
    def axis(self):
        end = self.qrs_ms
        i, avf = self.cut("I", 0, end).sum(), self.cut("aVF", 0, end).sum()
        return np.degrees(np.arctan2(2 * avf / np.sqrt(3), i))

    def q_ms(self, lead):
        """Duration of an initial negative deflection."""
        wave = self.cut(lead, 0, 110)
        below = wave < -0.04
        if not below.any():
            return 0.0
        first = int(np.argmax(below))
        if np.max(wave[:first], initial=0) > 0.07:
            return 0.0
        rest = below[first:]
        return (len(rest) if rest.all() else int(np.argmin(rest))) * 1000 / FS

    def r(self, lead):
        return float(self.cut(lead, 0, 170).max())

    def s(self, lead):
        return float(-self.cut(lead, 0, 170).min())

    def st(self, lead):
        """At 60 ms after the J point."""
        return self.at(lead, self.qrs_ms + 55)

    def t(self, lead):
        wave = self.cut(lead, self.qrs_ms + 90, 600)
        return float(wave[np.argmax(np.abs(wave))])

    def p(self, lead):
        wave = self.cut(lead, -290, -20)
        return float(wave[np.argmax(np.abs(wave))])

    @property
    def pr_ms(self):
        """From the onset of P in II, walking back from QRS."""
        back = self.cut("II", -300, -6)[::-1]
        inside = int(np.argmax(back > 0.03))
        return (inside + int(np.argmax(back[inside:] < 0.02))) * 1000 / FS + 6

    @property
    def rate(self):
        return 60 / self.rr.mean()

    @property
    def qtc(self):
        """End of T where the total T signal has fallen to a tenth; Fridericia."""
        total = np.stack([self.leads[lead] for lead in LEADS])
        size = np.sqrt((total**2).sum(axis=0))[int(0.3 * FS) + int((self.qrs_ms + 110) * FS / 1000) :]
        peak = int(np.argmax(size))
        end = peak + int(np.argmax(size[peak:] < 0.1 * size[peak]))
        return (end * 1000 / FS + self.qrs_ms + 110) / np.cbrt(self.rr.mean())


def r_peaks(leads):
    """Seconds of the steepest moments, at least 200 ms apart."""
    speed = np.abs(np.diff(leads, axis=1)).sum(axis=0)
    speed = np.convolve(speed, np.ones(25) / 25, mode="same")
    highest = speed == maximum_filter1d(speed, 201)
    return np.flatnonzero(highest & (speed > 0.55 * speed.max())) / FS


def heart(seed, keys):
    person = hearts.patient(seed, "ptb_xl", seed, 0.08)
    strength = {key: hearts.draw_strength(generator(seed, "strength", key)) for key in keys}
    return replace(person, chronic=(), strength=strength)


def recording(seed, *keys):
    if not any(conditions.table()[key].group == "rhythm" for key in keys):
        keys = ("sinus_rhythm", *keys)
    return hearts.record(heart(seed, keys), list(keys), generator(seed, *keys), FS, 10 * FS, None)


def average(made):
    kinds = [beat.kind for beat in made.schedule.beats]
    prevailing = max(set(kinds), key=kinds.count)
    onsets = [b.onset for b in made.schedule.beats if 0.35 < b.onset < 9.3 and b.kind == prevailing]
    before, after = int(0.3 * FS), int(0.6 * FS)
    beats = [made.leads[:, round(t * FS) - before : round(t * FS) + after] for t in onsets]
    mean = np.mean(beats, axis=0)
    mean -= mean[:, before - 6 : before - 1].mean(axis=1, keepdims=True)
    rr = np.diff(r_peaks(made.leads))
    return Average(dict(zip(LEADS, mean, strict=True)), rr, dict(zip(LEADS, made.leads, strict=True)))


def u_wave(beat, lead):
    """Height of a second peak behind T, before the next P, over the trough between them."""
    wave = beat.cut(lead, beat.qrs_ms + 90, min(590, 1000 * beat.rr.mean() - 190))
    peak = int(np.argmax(wave))
    trough = peak + int(np.argmin(wave[peak : peak + FS // 8]))
    return float(wave[trough:].max() - wave[trough])


def level_ms(beat, lead):
    """How long the waveform stays within a fifth of T's height after QRS."""
    wave = np.abs(beat.cut(lead, beat.qrs_ms + 15, 590))
    return int(np.argmax(wave > 0.2 * wave.max())) * 1000 / FS


SIGNS = {
    "sinus_bradycardia": lambda b: b.rate < 60,
    "sinus_tachycardia": lambda b: b.rate > 100 and b.p("II") > 0.04,
    "sinus_arrhythmia": lambda b: np.ptp(b.rr) > 0.12 and b.p("II") > 0.04,
    "atrial_fibrillation": lambda b: b.rr.std() / b.rr.mean() > 0.12 and np.ptp(b.cut("I", -150, -20)) < 0.05,
    "supraventricular_tachycardia": lambda b: b.rate > 145 and b.rr.std() < 0.02 and b.qrs_ms < 120,
    "ectopic_atrial_rhythm": lambda b: b.p("II") < -0.02 and b.p("aVF") < -0.02,
    "atrial_tachycardia": lambda b: b.rate > 110 and b.rr.std() < 0.02 and b.cut("aVF", -150, -30).min() < -0.02,
    "junctional_rhythm": lambda b: b.rate < 62 and abs(b.p("II")) < 0.03,
    "paced_rhythm": lambda b: b.qrs_ms >= 120 and max(np.abs(np.diff(b.raw[x])).max() for x in ("II", "aVF")) > 0.3,
    "av_block_1": lambda b: b.pr_ms > 200,
    "short_pr": lambda b: b.pr_ms < 122,
    "left_bundle_branch_block": lambda b: (
        b.qrs_ms >= 118 and b.q_ms("V6") == 0 and b.s("V1") > 3 * b.r("V1") and b.t("V6") < 0 < b.t("V1")
    ),
    "incomplete_left_bundle_branch_block": lambda b: 92 <= b.qrs_ms < 125 and b.q_ms("V6") == 0 and b.q_ms("I") == 0,
    "right_bundle_branch_block": lambda b: (
        b.qrs_ms >= 118 and b.cut("V1", 70, 160).max() > 0.3 and b.cut("V6", 70, 160).min() < -0.1 and b.t("V1") < 0
    ),
    "incomplete_right_bundle_branch_block": lambda b: 90 <= b.qrs_ms < 122 and b.cut("V1", 60, 120).max() > 0.12,
    "left_anterior_fascicular_block": lambda b: (
        -90 < b.axis < -40 and b.cut("III", 0, 40).max() > 0.03 and b.s("III") > b.r("III") and b.q_ms("aVL") > 0
    ),
    "left_posterior_fascicular_block": lambda b: 90 < b.axis < 150 and b.q_ms("III") > 0 and b.s("I") > b.r("I") * 0.8,
    "intraventricular_conduction_delay": lambda b: b.qrs_ms >= 106,
    "wolff_parkinson_white": lambda b: b.pr_ms < 122 and b.qrs_ms >= 100,
    "left_ventricular_hypertrophy": lambda b: b.s("V1") + max(b.r("V5"), b.r("V6")) > 3.5,
    "left_ventricular_hypertrophy_strain": lambda b: (
        b.s("V1") + max(b.r("V5"), b.r("V6")) > 3.5 and b.st("V6") < -0.04 and b.t("V6") < 0
    ),
    "right_ventricular_hypertrophy": lambda b: b.axis > 90 and b.r("V1") > b.s("V1") and b.s("V5") > 0.2,
    "septal_hypertrophy": lambda b: max(-b.cut("V6", 0, 30).min(), -b.cut("I", 0, 30).min()) > 0.2,
    "high_voltage": lambda b: b.s("V1") + max(b.r("V5"), b.r("V6")) > 3.4,
    "low_voltage": lambda b: max(np.ptp(b.cut(lead, 0, 120)) for lead in LEADS[:6]) < 0.5,
    "left_atrial_enlargement": lambda b: b.cut("V1", -250, -20).min() < -0.09,
    "right_atrial_enlargement": lambda b: b.p("II") > 0.24 or b.cut("V1", -250, -20).max() > 0.15,
    "left_axis_deviation": lambda b: -90 < b.axis < -30,
    "right_axis_deviation": lambda b: 90 < b.axis < 180,
    "poor_r_wave_progression": lambda b: b.r("V3") <= 0.32,
    "clockwise_rotation": lambda b: all(b.r(x) < b.s(x) for x in ("V1", "V2", "V3", "V4")) and b.r("V6") > b.s("V6"),
    "counterclockwise_rotation": lambda b: b.r("V2") >= 1.3 * b.s("V2"),
    "inferior_infarct_old": lambda b: sum(b.q_ms(x) >= 25 for x in ("II", "III", "aVF")) >= 2,
    "anteroseptal_infarct_old": lambda b: sum(b.q_ms(x) >= 25 for x in ("V1", "V2", "V3")) >= 2,
    "anterior_infarct_old": lambda b: b.q_ms("V3") >= 25 or b.q_ms("V4") >= 25,
    "lateral_infarct_old": lambda b: sum(b.q_ms(x) >= 25 for x in ("I", "aVL", "V5", "V6")) >= 2,
    "inferolateral_infarct_old": lambda b: b.q_ms("aVF") >= 25 and max(b.q_ms("V5"), b.q_ms("V6")) >= 20,
    "anterolateral_infarct_old": lambda b: b.q_ms("V4") >= 25 and max(b.q_ms("V5"), b.q_ms("I")) >= 20,
    "posterior_infarct_old": lambda b: b.r("V2") >= b.s("V2") and b.t("V2") > 0 and b.r("V1") > 0.35,
    "inferior_infarct_acute": lambda b: b.st("III") > 0.1 and b.st("aVF") > 0.1 and b.st("aVL") < -0.05,
    "anterior_infarct_acute": lambda b: b.st("V3") > 0.2 and b.st("V4") > 0.1 and b.st("III") < 0,
    "anteroseptal_infarct_acute": lambda b: b.st("V1") > 0.1 and b.st("V2") > 0.2,
    "lateral_infarct_acute": lambda b: b.st("aVL") > 0.1 and b.st("V5") > 0.1 and b.st("III") < -0.05,
    "posterior_infarct_acute": lambda b: b.st("V2") < -0.1 and b.cut("V2", b.qrs_ms + 140, 500).max() > 0.05,
    "ventricular_aneurysm": lambda b: b.st("V3") > 0.1 and max(b.q_ms("V3"), b.q_ms("V4")) >= 20,
    "st_depression": lambda b: b.st("V5") < -0.05 and b.st("II") < -0.02 and b.st("aVR") > 0.03,
    "anterior_ischaemia": lambda b: b.t("V2") < 0 and b.t("V3") < 0,
    "inferior_ischaemia": lambda b: b.t("III") < 0 and b.t("aVF") < 0 and b.st("aVF") < -0.04,
    "lateral_ischaemia": lambda b: b.t("V6") < 0 and b.t("I") < 0 and b.st("V6") < -0.03,
    "anterior_injury": lambda b: b.st("V3") < -0.1 and b.st("V4") < -0.1,
    "inferior_injury": lambda b: b.st("II") < -0.1 and b.st("aVF") < -0.1,
    "t_inversion": lambda b: b.t("V5") < 0 and b.t("II") < 0,
    "flat_t": lambda b: abs(b.t("V5")) < 0.1 * b.r("V5"),
    "nonspecific_st_t": lambda b: b.st("V5") < 0 and abs(b.t("V5")) < 0.25 * b.r("V5"),
    "digitalis_effect": lambda b: b.cut("V5", b.qrs_ms, b.qrs_ms + 130).min() < -0.07 and b.qtc < 410,
    "long_qt": lambda b: b.qtc > 460,
    "early_repolarisation": lambda b: b.st("V4") > 0.1 and b.st("II") > 0.03 and b.t("V4") > 0.5,
    "hyperkalaemia": lambda b: b.t("V4") > 0.75,
    "hypokalaemia": lambda b: b.cut("V4", 380, 560).max() > b.cut("V4", 200, 340).max(),
    "prominent_u_wave": lambda b: max(u_wave(b, "V2"), u_wave(b, "V3")) > 0.08 and b.t("V4") > 0.1,
    "long_st": lambda b: b.qtc > 460 and level_ms(b, "V5") > 110 and b.t("V5") > 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def healthy():
    return [average(recording(seed, "normal")) for seed in range(HEARTS)]


@pytest.mark.parametrize("key", SIGNS)
def test_a_condition_shows_its_signs_and_health_does_not(key, healthy):
    shown = np.mean([SIGNS[key](average(recording(seed, key))) for seed in range(HEARTS)])
    false = np.mean([SIGNS[key](beat) for beat in healthy])
    assert shown >= 0.7
    assert false <= 0.15


def test_health_is_within_textbook_limits(healthy):
    for beat in healthy:
        assert 60 <= beat.rate <= 100
        assert 115 <= beat.pr_ms <= 205
        assert 60 <= beat.qrs_ms < 112
        assert -30 <= beat.axis <= 90
        assert all(beat.p(lead) > 0.02 for lead in ("I", "II"))
        assert beat.p("aVR") < 0
        assert all(beat.t(lead) > 0 for lead in ("I", "II", "V4", "V5", "V6"))
        assert beat.s("V1") > beat.r("V1")
        assert beat.r("V5") > beat.s("V5")
        assert beat.qtc < 460


def test_flutter_waves_run_at_250_to_330_a_minute_in_the_inferior_leads():
    for seed in range(6):
        made = recording(seed, "atrial_flutter")
        hz = made.schedule.flutter_hz
        assert 250 <= 60 * hz <= 330
        quiet = recording(seed, "sinus_rhythm")
        seconds = np.arange(10 * FS) / FS
        wave = np.exp(-2j * np.pi * hz * seconds)
        strong, weak = (abs((m.leads[LEADS.index("aVF")] * wave).mean()) for m in (made, quiet))
        assert strong > 3 * weak
        ratios = np.diff([b.onset for b in made.schedule.beats]) * hz
        assert np.allclose(ratios, np.rint(ratios), atol=1e-6)
        assert set(np.rint(ratios)) <= {2, 3, 4}


def test_premature_ventricular_beats_are_early_wide_without_p_and_compensated():
    for seed in range(8):
        made = recording(seed, "pvc").schedule
        onsets, kinds = [b.onset for b in made.beats], [b.kind for b in made.beats]
        for i in (i for i, kind in enumerate(kinds) if kind == "pvc"):
            normal = np.median(np.diff(onsets))
            assert onsets[i] - onsets[i - 1] < 0.75 * normal
            assert onsets[i + 1] - onsets[i - 1] == pytest.approx(2 * normal, rel=0.12)
            assert not [a for a in made.atria if -0.25 < a.onset - onsets[i] < 0.1]


@pytest.mark.parametrize(("key", "every"), [("bigeminy", 2), ("trigeminy", 3)])
def test_bigeminy_and_trigeminy_keep_their_count(key, every):
    for seed in range(5):
        kinds = [b.kind for b in recording(seed, key).schedule.beats]
        assert [i for i, kind in enumerate(kinds) if kind == "pvc"] == list(range(1, len(kinds), every))


def test_atrial_premature_beats_are_early_narrow_and_not_compensated():
    for seed in range(8):
        made = recording(seed, "pac").schedule
        onsets = [b.onset for b in made.beats]
        normal = np.median(np.diff(onsets))
        early = [i for i in range(1, len(onsets) - 1) if onsets[i] - onsets[i - 1] < 0.8 * normal]
        assert early
        assert {made.beats[i].kind for i in early} == {"normal"}
        assert all(onsets[i + 1] - onsets[i - 1] < 1.97 * normal for i in early)


@pytest.mark.parametrize(("key", "kind"), [("junctional_escape", "normal"), ("ventricular_escape", "escape")])
def test_escape_beats_are_late_and_without_p_and_end_a_pause_of_the_sinus_node(key, kind):
    for seed in range(8):
        made = recording(seed, key).schedule
        onsets = np.array([b.onset for b in made.beats])
        gaps = np.diff(onsets)
        late = [i + 1 for i in np.flatnonzero(gaps > 1.2 * np.median(gaps))]
        assert late
        assert any(0.3 < onsets[i] < 9.7 for i in late)
        for i in late:
            assert made.beats[i].kind == kind
            assert gaps[i - 1] >= (1.2 if kind == "normal" else 1.5)
            assert not [a for a in made.atria if -0.3 < a.onset - onsets[i] < 0.15]
        assert {b.kind for i, b in enumerate(made.beats) if i not in late} == {"normal"}


@pytest.mark.parametrize("key", ["pac", "pvc", "junctional_escape", "ventricular_escape"])
def test_a_long_recording_has_more_such_beats_than_a_short_one(key):
    def count(seconds):
        made = hearts.record(heart(3, [key]), ["sinus_rhythm", key], generator(3, key), FS, seconds * FS, None).schedule
        gaps = np.diff([b.onset for b in made.beats if 0 < b.onset < seconds])
        return int((np.abs(gaps / np.median(gaps) - 1) > 0.2).sum())

    assert count(60) >= 3 * count(10) > 0


def conducted(made):
    """PR of each P wave in s, None where no QRS follows."""
    result = []
    for atrial in made.atria:
        after = [b.onset - atrial.onset for b in made.beats if 0.08 < b.onset - atrial.onset < 0.5]
        result.append(min(after) if after else None)
    return result


def test_wenckebach_lengthens_pr_until_a_beat_drops_and_mobitz_does_not():
    for seed in range(8):
        growing = conducted(recording(seed, "av_block_2_wenckebach").schedule)[:-4]
        steps = [b - a for a, b in zip(growing, growing[1:], strict=False) if a and b]
        assert None in growing
        assert min(steps) > 0.01
        constant = conducted(recording(seed, "av_block_2_mobitz").schedule)[:-4]
        assert None in constant
        assert np.ptp([pr for pr in constant if pr]) < 0.01


def test_third_degree_block_separates_atria_from_slower_ventricles():
    for seed in range(8):
        made = recording(seed, "av_block_3").schedule
        atrial, ventricular = np.diff([a.onset for a in made.atria]), np.diff([b.onset for b in made.beats])
        assert 60 / ventricular.mean() < 52
        assert atrial.mean() < 0.8 * ventricular.mean()
        assert np.ptp([b.onset - max(a.onset for a in made.atria if a.onset < b.onset) for b in made.beats[1:]]) > 0.1


def test_paroxysmal_tachycardia_has_a_slow_and_a_fast_part():
    for seed in range(6):
        rr = np.diff(r_peaks(recording(seed, "paroxysmal_supraventricular_tachycardia").leads))
        assert rr.min() < 0.42
        assert np.median(rr[rr > 0.5]) > 0.6


def test_lead_one_alone_knows_nothing_of_an_anteroseptal_scar():
    changes = {"I": [], "V2": []}
    for seed in range(6):
        scar, none = average(recording(seed, "anteroseptal_infarct_old")), average(recording(seed, "normal"))
        for lead, found in changes.items():
            found.append(abs(scar.cut(lead, 0, 60).mean() - none.cut(lead, 0, 60).mean()))
    assert np.mean(changes["I"]) < 0.25 * np.mean(changes["V2"])
