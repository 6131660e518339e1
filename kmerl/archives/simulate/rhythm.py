"""Beat schedules: when atria and ventricles are activated, and how.

A schedule says nothing of shapes: :mod:`kmerl.archives.simulate.morphology` gives each kind of beat its waves.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Generator = np.random.Generator


@dataclass(frozen=True)
class Beat:
    """One ventricular activation: QRS onset in s and the RR interval before it, which sets its QT."""

    onset: float
    rr: float
    kind: str = "normal"  # normal | pvc | paced | escape


@dataclass(frozen=True)
class Atrial:
    """One P wave: its onset in s."""

    onset: float
    kind: str = "sinus"  # sinus | ectopic | retrograde


@dataclass
class Schedule:
    """All activations of a recording, from before its first to after its last sample."""

    beats: list[Beat] = field(default_factory=list)
    atria: list[Atrial] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)  # pacemaker stimuli, s
    fibrillation_hz: float = 0.0  # mean rate of f waves
    flutter_hz: float = 0.0  # atrial rate of flutter


@dataclass(frozen=True)
class Timing:
    """What a patient's heart brings to any rhythm."""

    rate: float  # sinus rate, /min
    pr: float  # s
    breathing: float  # /s
    respiratory: float  # relative variation of RR with breathing
    seconds: float


_BEFORE = 2.0  # s before the first sample, so that a recording starts anywhere in a beat
_AFTER = 2.0  # s after the last one: atrial premature beats move what follows forward


def schedule(rhythm: str, ectopy: str | None, av: str | None, timing: Timing, generator: Generator) -> Schedule:
    """The activations of a recording.

    Args:
        rhythm: key of a condition of group ``rhythm``.
        ectopy: key of a condition of group ``ectopy``, if any.
        av: key of a condition of group ``av``, if any.
        timing: the patient's rate and intervals.
        generator: source of the draws.
    """
    if av in _AV_BLOCKS:
        return _AV_BLOCKS[av](_sinus_times(timing, generator), timing, generator)
    made = _RHYTHMS.get(rhythm, _sinus)(timing, generator)
    if ectopy in _ESCAPES:
        made = _with_escapes(made, _ESCAPES[ectopy], timing, generator)
    elif ectopy:
        made = _with_ectopy(made, ectopy, timing, generator)
    return made


def _sinus_times(timing: Timing, generator: Generator) -> list[float]:
    """Onsets of sinus P waves, in s."""
    rr = 60 / timing.rate
    phase = generator.uniform(0, 2 * np.pi)
    time = -_BEFORE - generator.uniform(0, rr)
    times = []
    while time < timing.seconds + _AFTER:
        times.append(time)
        swing = timing.respiratory * np.sin(2 * np.pi * timing.breathing * time + phase)
        time += rr * (1 + swing + 0.012 * generator.standard_normal())
    return times


def _beats(onsets: list[float], kind: str = "normal") -> list[Beat]:
    gaps = np.diff(onsets)
    before = [gaps[0] if len(gaps) else 0.8, *gaps]
    return [Beat(onset, float(rr), kind) for onset, rr in zip(onsets, before, strict=True)]


def _sinus(timing: Timing, generator: Generator) -> Schedule:
    times = _sinus_times(timing, generator)
    return Schedule(_beats([t + timing.pr for t in times]), [Atrial(t) for t in times])


def _ectopic_atrial(timing: Timing, generator: Generator) -> Schedule:
    times = _sinus_times(timing, generator)
    return Schedule(_beats([t + min(timing.pr, 0.14) for t in times]), [Atrial(t, "ectopic") for t in times])


def _atrial_tachycardia(timing: Timing, generator: Generator) -> Schedule:
    """115 to 165/min, regular, an ectopic P before each QRS."""
    rr = 60 / generator.uniform(115, 165)
    times = _steady(rr, 0.006, timing, generator)
    pr = min(timing.pr, 0.13, 0.36 * rr)
    return Schedule(_beats([t + pr for t in times]), [Atrial(t, "ectopic") for t in times])


def _junctional(timing: Timing, generator: Generator) -> Schedule:
    """40 to 60/min, narrow, P absent or inverted and just after the QRS."""
    rr = 60 / generator.uniform(42, 60)
    onsets = list(_steady(rr, 0.01, timing, generator))
    atria = [Atrial(t + 0.07, "retrograde") for t in onsets] if generator.random() < 0.5 else []
    return Schedule(_beats(onsets), atria)


def _steady(rr: float, jitter: float, timing: Timing, generator: Generator) -> list[float]:
    n = int((timing.seconds + _AFTER + 2 * _BEFORE) / rr) + 2
    gaps = rr * (1 + jitter * generator.standard_normal(n))
    times = -_BEFORE - generator.uniform(0, rr) + np.cumsum(gaps)
    return [float(t) for t in times[times < timing.seconds + _AFTER]]


def _fibrillation(timing: Timing, generator: Generator) -> Schedule:
    """Irregularly irregular: gaps of a refractory part and an exponential-like rest; no P."""
    mean = 60 / timing.rate
    refractory = 0.5 * mean
    gaps = refractory + generator.gamma(3.0, (mean - refractory) / 3.0, size=max(200, int(5 * timing.seconds)))
    gaps = np.clip(gaps, 0.26, 2.5)
    times = -_BEFORE + np.cumsum(gaps)
    onsets = [float(t) for t in times[times < timing.seconds + _AFTER]]
    return Schedule(_beats(onsets), fibrillation_hz=float(generator.uniform(5.5, 8.5)))


def _flutter(timing: Timing, generator: Generator) -> Schedule:
    """Atrial rate 250 to 330/min, conducted 2:1, 3:1, 4:1 or changing between 2:1 and 4:1."""
    atrial_hz = float(generator.uniform(250, 330)) / 60
    onsets, time = [], -_BEFORE
    fixed = int(generator.choice([2, 2, 3, 4, 0]))
    while time < timing.seconds + _AFTER:
        onsets.append(time)
        time += (fixed or int(generator.choice([2, 3, 4]))) / atrial_hz
    return Schedule(_beats(onsets), flutter_hz=atrial_hz)


def _svt(timing: Timing, generator: Generator) -> Schedule:
    """150 to 220/min, regular, narrow; P hidden, or inverted at the end of the QRS."""
    onsets = _steady(60 / generator.uniform(150, 220), 0.004, timing, generator)
    atria = [Atrial(t + 0.08, "retrograde") for t in onsets] if generator.random() < 0.5 else []
    return Schedule(_beats(onsets), atria)


def _paroxysmal_svt(timing: Timing, generator: Generator) -> Schedule:
    """Sinus rhythm with one run of supraventricular tachycardia that begins or ends within the recording."""
    sinus, fast = _sinus(timing, generator), _svt(timing, generator)
    turn = generator.uniform(0.35, 0.65) * timing.seconds
    first, second = (sinus, fast) if generator.random() < 0.6 else (fast, sinus)
    pause = turn + (0.3 if second is fast else 0.9)
    onsets = [b.onset for b in first.beats if b.onset < turn] + [b.onset for b in second.beats if b.onset > pause]
    atria = [a for a in first.atria if a.onset < turn - 0.2] + [a for a in second.atria if a.onset > pause - 0.15]
    return Schedule(_beats(onsets), atria)


def _paced(timing: Timing, generator: Generator) -> Schedule:
    """Ventricular pacing at 60 to 85/min: behind each P, alone, or over atrial fibrillation."""
    mode = generator.choice(["tracking", "ventricular", "fibrillation"])
    rr = 60 / generator.uniform(60, 85)
    onsets = _steady(rr, 0.002, timing, generator)
    made = Schedule(_beats(onsets, "paced"), spikes=[t - 0.004 for t in onsets])
    if mode == "tracking":
        delay = generator.uniform(0.14, 0.19)
        made.atria = [Atrial(t - delay) for t in onsets]
        if generator.random() < 0.4:  # dual-chamber pacing: the atrium is stimulated too
            made.spikes += [t - delay - 0.004 for t in onsets]
    elif mode == "fibrillation":
        made.fibrillation_hz = float(generator.uniform(5.5, 8.5))
    return made


def _first_degree(times: list[float], timing: Timing, generator: Generator) -> Schedule:
    pr = generator.uniform(0.212, 0.32)
    return Schedule(_beats([t + pr for t in times]), [Atrial(t) for t in times])


def _wenckebach(times: list[float], timing: Timing, generator: Generator) -> Schedule:
    """PR grows by ever smaller steps until a P is not conducted."""
    cycle = int(generator.integers(3, 6))
    pr0, step = generator.uniform(0.17, 0.22), generator.uniform(0.06, 0.1)
    start = int(generator.integers(cycle))
    onsets = []
    for i, t in enumerate(times):
        k = (i + start) % cycle
        if k < cycle - 1:
            onsets.append(t + pr0 + step * (1 - 0.5**k) * 2)
    return Schedule(_beats(onsets), [Atrial(t) for t in times])


def _mobitz_2(times: list[float], timing: Timing, generator: Generator) -> Schedule:
    """PR constant, every second to fourth P not conducted."""
    cycle, start = int(generator.integers(2, 5)), int(generator.integers(4))
    onsets = [t + timing.pr for i, t in enumerate(times) if (i + start) % cycle < cycle - 1]
    return Schedule(_beats(onsets), [Atrial(t) for t in times])


def _third_degree(times: list[float], timing: Timing, generator: Generator) -> Schedule:
    """Atria and ventricles independent; a narrow escape at 40 to 50/min or a wide one at 28 to 40/min."""
    wide = generator.random() < 0.5
    rate = generator.uniform(28, 40) if wide else generator.uniform(40, 50)
    ratio = timing.rate / rate
    if abs(ratio - round(ratio)) < 0.06:  # would look like a fixed conduction
        rate *= 0.93
    onsets = _steady(60 / rate, 0.01, timing, generator)
    return Schedule(_beats(onsets, "escape" if wide else "normal"), [Atrial(t) for t in times])


def _with_ectopy(made: Schedule, ectopy: str, timing: Timing, generator: Generator) -> Schedule:
    """Premature beats put into a schedule, each in place of the beat that it preempts."""
    every = {"bigeminy": 2, "trigeminy": 3}.get(ectopy, 0)
    atrial = ectopy == "pac"
    inside = [i for i, b in enumerate(made.beats) if 0.3 < b.onset < timing.seconds - 0.3]
    if every:
        chosen = set(range(1, len(made.beats), every))
    else:
        # one to three in ten seconds, or a long recording would show them nowhere in its first part
        often = int(generator.integers(1, 4)) * max(1, round(timing.seconds / 10))
        count = max(1, min(often, len(inside) // 3))
        # neighbours are never both premature, or a couplet would be drawn unasked
        slots = inside[int(generator.integers(2)) :: 2]
        chosen = {int(i) for i in generator.choice(slots, size=min(count, len(slots)), replace=False)}
    prematurity = generator.uniform(0.55, 0.68) if not atrial else generator.uniform(0.6, 0.75)
    beats: list[Beat] = []
    atria = list(made.atria)
    shift = 0.0
    for i, beat in enumerate(made.beats):
        onset = beat.onset - shift
        if i not in chosen or not beats:
            beats.append(Beat(onset, onset - beats[-1].onset if beats else beat.rr, beat.kind))
            continue
        previous = beats[-1].onset
        early = previous + (onset - previous) * (prematurity + generator.uniform(-0.02, 0.02))
        atria = [a for a in atria if not previous + 0.12 < a.onset < onset + 0.02]
        if atrial:
            atria.append(Atrial(early - min(timing.pr, 0.16), "ectopic"))
            beats.append(Beat(early, early - previous))
            # the sinus node is reset: what follows comes earlier, a pause that does not compensate
            advance = (onset - early) * 0.75
            atria = [a if a.onset < onset else Atrial(a.onset - advance, a.kind) for a in atria]
            shift += advance
        else:
            beats.append(Beat(early, early - previous, "pvc"))
    return Schedule(beats, atria, made.spikes, made.fibrillation_hz, made.flutter_hz)


def _with_escapes(made: Schedule, kind: str, timing: Timing, generator: Generator) -> Schedule:
    """Sinus pauses in a sinus rhythm, each ended by one late beat without a P wave."""
    pairs = list(zip(made.beats, made.atria, strict=True))
    span = timing.seconds - min(4.0, timing.seconds / 2)  # what follows a pause moves backward
    inside = [i for i, (beat, _) in enumerate(pairs) if i and 0.3 < beat.onset < span] or [len(pairs) // 2]
    slots = inside[int(generator.integers(2)) % len(inside) :: 3]
    often = int(generator.integers(1, 3)) * max(1, round(timing.seconds / 10))
    chosen = {int(i) for i in generator.choice(slots, size=min(often, len(slots)), replace=False)}
    slowest = (1.2, 1.5) if kind == "normal" else (1.5, 1.9)  # 40 to 50 and 32 to 40/min
    beats: list[Beat] = []
    atria: list[Atrial] = []
    shift = 0.0
    for i, (beat, atrial) in enumerate(pairs):
        if i in chosen:
            previous, rr = beats[-1].onset, beat.rr
            escape = previous + max(1.3 * rr, generator.uniform(*slowest))
            beats.append(Beat(escape, escape - previous, kind))
            shift = escape + rr * generator.uniform(0.85, 1.0) - beat.onset
        onset = beat.onset + shift
        beats.append(Beat(onset, onset - beats[-1].onset if beats else beat.rr, beat.kind))
        atria.append(Atrial(atrial.onset + shift, atrial.kind))
    return Schedule(beats, atria)


_ESCAPES = {"junctional_escape": "normal", "ventricular_escape": "escape"}
"""The kind of beat that ends a pause."""

_RHYTHMS: dict[str, Callable[[Timing, Generator], Schedule]] = {
    "atrial_fibrillation": _fibrillation,
    "atrial_flutter": _flutter,
    "supraventricular_tachycardia": _svt,
    "paroxysmal_supraventricular_tachycardia": _paroxysmal_svt,
    "ectopic_atrial_rhythm": _ectopic_atrial,
    "atrial_tachycardia": _atrial_tachycardia,
    "junctional_rhythm": _junctional,
    "paced_rhythm": _paced,
}

_AV_BLOCKS: dict[str, Callable[[list[float], Timing, Generator], Schedule]] = {
    "av_block_1": _first_degree,
    "av_block_2_wenckebach": _wenckebach,
    "av_block_2_mobitz": _mobitz_2,
    "av_block_3": _third_degree,
}
