"""Patients, what they have, and the waveforms of their recordings."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from kmerl.archives.simulate import conditions, dipole, rhythm
from kmerl.archives.simulate.dipole import Bump, Floats, NoiseParams
from kmerl.archives.simulate.injury import INJURY
from kmerl.archives.simulate.morphology import STRUCTURE, HeartChange, Shape, axis_degrees, healthy, vec
from kmerl.archives.simulate.rotation import ROTATION
from kmerl.randomness import generator as named_generator

Generator = np.random.Generator

CHANGES: dict[str, HeartChange] = STRUCTURE | INJURY | ROTATION
"""Every condition that changes a beat's shape; the others change the schedule."""

_LAST = ("low_voltage",)  # scales whatever the others have made


@dataclass(frozen=True)
class Patient:
    """What all recordings of one person share."""

    number: int
    age: int
    female: bool
    axis: float  # degrees
    gains: tuple[float, float, float]  # P, QRS, T
    intervals: tuple[float, float, float, float]  # P, PR, QRS, QTc in ms
    rate: float
    lead_field: Floats
    chronic: tuple[str, ...]
    strength: dict[str, float]  # of chronic conditions, 0 subtle to 1 clear


@dataclass(frozen=True)
class Measured:
    """Intervals of a recording, ms from the start of the average beat; None where there is no P wave."""

    rr: float
    pr: float | None
    p: float | None
    qrs: float
    qt: float
    p_axis: float | None
    qrs_axis: float
    t_axis: float


@dataclass
class Recording:
    """A simulated recording with the truth behind it."""

    leads: Floats  # (12, samples) in mV
    conditions: list[str]
    strength: dict[str, float]
    measured: Measured
    noisy: bool  # noise well above the archive's ordinary
    schedule: rhythm.Schedule = field(repr=False)


def patient(seed: int, archive: str, number: int, torso: float, forced: str | None = None) -> Patient:
    """Draw a person: traits, and chronic conditions by the archive's population.

    Args:
        seed: the pipeline's seed.
        archive: whose population.
        number: the person's number.
        torso: relative variation of the lead vectors between persons.
        forced: a chronic condition that this person must have.
    """
    draw = named_generator(seed, archive, "patient", number)
    age = int(np.clip(draw.normal(61, 18), 18, 92))
    chronic = [forced] if forced else []
    pool = [c.key for c in conditions.table().values() if c.course == "chronic"]
    wanted = int(draw.choice(3, p=_chronic_count(age)))
    while len(chronic) < wanted:
        key = conditions.draw(pool, archive, chronic, draw)
        if key is None:
            break
        chronic.append(key)
    # the axis turns left with age
    axis = float(np.clip(draw.normal(58 - 0.4 * age, 20), -20, 82))
    gains = tuple(np.exp(draw.normal(0, s)) for s in (0.15, 0.14, 0.2))
    return Patient(
        number=number,
        age=age,
        female=bool(draw.random() < 0.48),
        axis=axis,
        gains=(gains[0], float(np.clip(gains[1], 0.72, 1.3)), float(np.clip(gains[2], 0.65, 1.35))),
        intervals=(draw.uniform(90, 112), draw.uniform(132, 190), draw.uniform(80, 102), draw.normal(412, 14)),
        rate=float(np.clip(draw.normal(75, 9), 62, 96)),
        lead_field=dipole.field(draw, torso),
        chronic=tuple(chronic),
        strength={key: draw_strength(draw) for key in chronic},
    )


def _chronic_count(age: int) -> list[float]:
    sick = float(np.clip((age - 15) / 100, 0.15, 0.6))
    return [1 - sick, 0.6 * sick, 0.4 * sick]


def draw_strength(draw: Generator) -> float:
    """Mostly clear, with a tail of subtle cases."""
    return float(draw.beta(2.2, 1.5))


def findings(archive: str, person: Patient, draw: Generator, forced: str | None = None) -> list[str]:
    """The conditions of one recording: one rhythm and at most three others, or ``normal``."""
    table = conditions.table()
    chosen = [forced] if forced else []
    for key in person.chronic:
        # fibrillation comes and goes, the rest stays
        if key not in chosen and conditions.fits(key, chosen) and (key != "atrial_fibrillation" or draw.random() < 0.8):
            chosen.append(key)
    if not any(table[key].group == "rhythm" for key in chosen):
        rhythms = [c.key for c in table.values() if c.group == "rhythm" and c.course == "acute"]
        chosen.append(conditions.draw(rhythms, archive, chosen, draw) or "sinus_rhythm")
    acute = [c.key for c in table.values() if c.course == "acute" and c.group not in ("rhythm", "normal")]
    for _ in range(int(draw.choice(3, p=[0.58, 0.3, 0.12]))):
        another = conditions.draw(acute, archive, chosen, draw) if len(chosen) < 4 else None
        chosen += [another] if another else []
    chosen.sort(key=list(table).index)
    return ["normal", *chosen] if len(chosen) == 1 and chosen[0] in conditions.BENIGN_RHYTHMS else chosen


def record(
    person: Patient, keys: list[str], draw: Generator, fs: float, samples: int, noise: NoiseParams | None
) -> Recording:
    """One recording.

    Args:
        person: whose heart.
        keys: conditions, one of them of group ``rhythm``.
        draw: source of everything that changes from recording to recording.
        fs: sampling frequency, Hz.
        samples: length.
        noise: None for a recording without noise.
    """
    by_group = {conditions.table()[key].group: key for key in keys}
    strength = {key: person.strength.get(key, draw_strength(draw)) for key in keys}
    shape = shape_of(person, keys, strength, draw)
    timing = _timing(person, by_group.get("rhythm", "sinus_rhythm"), by_group.get("av"), shape, draw, samples / fs)
    made = rhythm.schedule(
        by_group.get("rhythm", "sinus_rhythm"), by_group.get("ectopy"), by_group.get("av"), timing, draw
    )
    others = sorted({beat.kind for beat in made.beats} - {"normal"})
    shapes = {"normal": shape} | {kind: _other_beat(kind, shape, draw) for kind in others}
    moment = _render(made, shapes, fs, samples, draw)
    # electrodes are never put back to quite the same places
    placed = person.lead_field * (1 + 0.03 * draw.standard_normal((9, 1)))
    potentials = placed @ moment.T
    for spike in made.spikes:
        _add_spike(potentials, spike, fs, placed)
    noisy = False
    if noise is not None:
        level = dipole.noise_level(noise, draw)
        potentials = potentials + dipole.electrode_noise(level, noise.mains_frequency, fs, samples, draw)
        noisy = level.wander > 3 * noise.baseline_wander or level.muscle > 3 * noise.muscle
    return Recording(dipole.LEAD_MATRIX @ potentials, keys, strength, _measure(made, shapes, samples / fs), noisy, made)


def shape_of(person: Patient, keys: list[str], strength: dict[str, float], draw: Generator) -> Shape:
    """The person's beat on this occasion, with all that ``keys`` do to it."""
    jitter = 1 + 0.04 * draw.standard_normal(3)
    gains = (person.gains[0] * jitter[0], person.gains[1] * jitter[1], person.gains[2] * jitter[2])
    axis = person.axis + 4 * draw.standard_normal()
    shape = healthy(person.lead_field, axis, gains, person.intervals)
    order = list(CHANGES)
    for key in sorted((k for k in keys if k in CHANGES), key=lambda k: (k in _LAST, order.index(k))):
        CHANGES[key](shape, strength[key], draw)
    return shape


def _timing(
    person: Patient, rhythm_key: str, av: str | None, shape: Shape, draw: Generator, seconds: float
) -> rhythm.Timing:
    rate = float(np.clip(person.rate * np.exp(0.08 * draw.standard_normal()), 61.5, 98))
    if rhythm_key == "sinus_bradycardia":
        rate = draw.uniform(40, 58)
    elif rhythm_key == "sinus_tachycardia":
        rate = draw.uniform(103, 145)
    elif rhythm_key == "atrial_fibrillation":
        rate = float(np.clip(draw.normal(92, 26), 45, 165))
    elif av == "av_block_3":
        rate = float(draw.uniform(70, 100))
    deep = rhythm_key == "sinus_arrhythmia"
    return rhythm.Timing(
        rate=rate,
        # PR shortens with rate
        pr=max(shape.pr_ms - 0.25 * max(rate - 80, 0), 85 if shape.pr_ms < 120 else 122) / 1000,
        breathing=float(draw.uniform(0.16, 0.28)),
        respiratory=float(draw.uniform(0.1, 0.2) if deep else draw.uniform(0.005, 0.03)),
        seconds=seconds,
    )


def _other_beat(kind: str, shape: Shape, draw: Generator) -> Shape:
    """A beat that starts in a ventricle: wide, slurred, T opposite."""
    beat = shape.copy()
    d = beat.qrs_ms = float(draw.uniform(134, 172))
    size = float(np.clip(np.linalg.norm(shape.qrs["main"].vector) / 1.38, 0.4, 1.4)) if "main" in shape.qrs else 1.0
    if kind == "paced":  # from the right ventricular apex: to the left, upwards and back
        left = float(draw.uniform(-0.05, 0.45))
        early, late = vec(left, -0.85, -0.5), vec(left + 0.1, -0.95, -0.6)
    elif draw.random() < 0.6:  # from the right ventricle
        down = draw.choice([0.9, -0.6])
        early, late = vec(0.5, down, -0.7), vec(0.8, 0.8 * down, -0.95)
    else:  # from the left ventricle
        down = draw.uniform(-0.9, 0.9)
        early, late = vec(-0.3, down, 0.9), vec(-0.7, 0.8 * down, 0.95)
    wobble = 0.12 * draw.standard_normal(3)
    gain = size * float(draw.uniform(0.95, 1.3))
    beat.qrs = {
        "early": Bump(0.3 * d, 0.1 * d, 0.13 * d, gain * (early + wobble)),
        "main": Bump(0.58 * d, 0.14 * d, 0.14 * d, gain * (late + wobble)),
    }
    mean = early + late
    beat.st, beat.t = -0.08 * mean * gain, -0.3 * mean * gain
    beat.t_late, beat.scoop = np.zeros(3), np.zeros(3)
    beat.qtc_ms = shape.qtc_ms + 40
    return beat


def _render(made: rhythm.Schedule, shapes: dict[str, Shape], fs: float, samples: int, draw: Generator) -> Floats:
    """The dipole (samples, 3) of a schedule."""
    moment = np.zeros((samples, 3))
    seconds = np.arange(samples) / fs
    # breathing moves the heart: a slow change of size
    breath = 1 + draw.uniform(0.01, 0.05) * np.sin(2 * np.pi * 0.24 * seconds + draw.uniform(0, 6.3))
    for bumps, onset in _waves(made, shapes):
        first = max(int((onset - 0.08) * fs), 0)
        last = min(int((onset + max(b.centre + b.plateau + 3.5 * b.fall for b in bumps) / 1000) * fs) + 1, samples)
        if first < last:
            moment[first:last] += dipole.evaluate(bumps, (seconds[first:last] - onset) * 1000)
    moment *= breath[:, None]
    if made.fibrillation_hz:
        moment += _fibrillation(made.fibrillation_hz, seconds, draw)
    if made.flutter_hz:
        moment += _flutter(made.flutter_hz, seconds, draw)
    return moment


def _waves(made: rhythm.Schedule, shapes: dict[str, Shape]) -> Iterator[tuple[list[Bump], float]]:
    for beat in made.beats:
        yield shapes[beat.kind].ventricular(beat.rr), beat.onset
    for atrial in made.atria:
        yield shapes["normal"].atrial(atrial.kind), atrial.onset


def _fibrillation(hz: float, seconds: Floats, draw: Generator) -> Floats:
    """F waves: a wandering frequency, best seen in V1."""
    size = float(np.clip(np.exp(draw.normal(-3.0, 0.4)), 0.025, 0.12))
    wave = np.zeros(len(seconds))
    for _ in range(3):
        drift = draw.uniform(0.6, 1.5) * np.sin(2 * np.pi * draw.uniform(0.1, 0.6) * seconds + draw.uniform(0, 6.3))
        wave += np.sin(2 * np.pi * hz * draw.uniform(0.85, 1.15) * seconds + drift + draw.uniform(0, 6.3)) / 1.7
    return size * wave[:, None] * vec(-0.15, 0.7, 1.0)


def _flutter(hz: float, seconds: Floats, draw: Generator) -> Floats:
    """Sawtooth, mostly inferior: a slow way down, a fast way up; small positive waves in V1."""
    phase = (seconds * hz + draw.random()) % 1
    wave = np.where(phase < 0.7, 0.5 - phase / 0.7, (phase - 0.7) / 0.3 - 0.5)
    return float(draw.uniform(0.2, 0.42)) * wave[:, None] * vec(0.05, 1.0, -0.25)


def _add_spike(potentials: Floats, onset: float, fs: float, lead_field: Floats) -> None:
    """A stimulus of about 2 ms, directed as bipolar leads in the right ventricle are."""
    first = round(onset * fs)
    last = first + max(1, round(0.002 * fs))
    if first >= 0 and last <= potentials.shape[1]:
        potentials[:, first:last] += (lead_field @ vec(-0.5, 1.0, -0.3))[:, None]


def _measure(made: rhythm.Schedule, shapes: dict[str, Shape], seconds: float) -> Measured:
    """What a machine would measure on the beats that prevail."""
    inside = [b for b in made.beats if 0 <= b.onset <= seconds] or made.beats
    kinds = [b.kind for b in inside]
    kind = max(sorted(set(kinds)), key=kinds.count)
    shape = shapes[kind]
    rr = float(np.mean(np.diff([b.onset for b in inside]))) if len(inside) > 1 else inside[0].rr
    prs = []
    for beat in inside:
        before = [a.onset for a in made.atria if a.kind != "retrograde" and 0.06 < beat.onset - a.onset < 0.45]
        prs += [beat.onset - max(before)] if before and beat.kind == kind else []
    has_p = len(prs) >= 0.5 * len(inside)
    bumps = shape.ventricular(rr)
    return Measured(
        rr=1000 * rr,
        pr=1000 * float(np.median(prs)) if has_p else None,
        p=shape.p_ms if has_p else None,
        qrs=shape.qrs_ms,
        qt=shape.qt_ms(rr),
        p_axis=axis_degrees(shape.atrial("sinus")) if has_p else None,
        qrs_axis=axis_degrees(list(shape.qrs.values())),
        t_axis=axis_degrees([b for b in bumps if b.vector is shape.t]),
    )
