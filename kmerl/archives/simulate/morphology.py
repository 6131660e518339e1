"""Shapes of P, QRS, ST and T as movements of the dipole, and what each condition does to them.

Times inside a beat are in ms from QRS onset (P: from P onset), vectors in mV: x left, y down, z front.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from kmerl.archives.simulate.dipole import Bump, Floats, evaluate, leads_of
from kmerl.leads import LEADS

Generator = np.random.Generator


def vec(x: float, y: float, z: float) -> Floats:
    """A dipole vector in mV."""
    return np.array([x, y, z], dtype=float)


@dataclass
class Shape:
    """The waves of one kind of beat. Conditions change it in place."""

    lead_field: Floats  # (9, 3) electrodes
    p: dict[str, Bump]
    p_ms: float
    pr_ms: float
    qrs: dict[str, Bump]
    qrs_ms: float
    qtc_ms: float  # at 60/min
    t: Floats  # peak vectors
    st: Floats = field(default_factory=lambda: np.zeros(3))
    t_late: Floats = field(default_factory=lambda: np.zeros(3))  # second half of T, for biphasic T
    scoop: Floats = field(default_factory=lambda: np.zeros(3))  # sagging ST
    notch: Floats = field(default_factory=lambda: np.zeros(3))  # J-point notch
    u: Floats = field(default_factory=lambda: np.zeros(3))
    t_width: float = 1.0

    def copy(self) -> "Shape":
        """Independent of this one."""
        return replace(self, p=dict(self.p), qrs=dict(self.qrs), t=self.t.copy(), st=self.st.copy())

    def qt_ms(self, rr: float) -> float:
        """QT at an RR interval in s (Fridericia), never running into the next beat."""
        return float(min(self.qtc_ms * np.cbrt(np.clip(rr, 0.3, 1.5)), max(870 * rr, self.qrs_ms + 130)))

    def ventricular(self, rr: float) -> list[Bump]:
        """QRS, ST, T and U of a beat after an interval of ``rr`` s."""
        qrs, qt = self.qrs_ms, self.qt_ms(rr)
        jt = qt - qrs
        peak = qrs + 0.66 * jt
        fall = (qt - peak) / 2.3
        bumps = [
            *self.qrs.values(),
            Bump(peak, 0.17 * jt * self.t_width, fall * self.t_width, self.t),
            Bump(qrs + 6, 7, 0.16 * jt, self.st, plateau=0.42 * jt),
        ]
        optional = [
            Bump(qt - 1.1 * fall, fall * 0.7, fall * 0.6, self.t_late),
            Bump(qrs + 0.32 * jt, 0.15 * jt, 0.14 * jt, self.scoop),
            Bump(qrs - 2, 6, 9, self.notch),
            Bump(qt + 60, 28, 35, self.u),
        ]
        return bumps + [b for b in optional if np.any(b.vector)]

    def atrial(self, kind: str) -> list[Bump]:
        """The P wave; an ectopic one starts low in the atria and spreads upwards."""
        if kind == "sinus":
            return list(self.p.values())
        turn = vec(0.8, -0.7, 0.8) if kind == "ectopic" else vec(0.4, -0.9, 0.5)
        return [b._replace(vector=np.asarray(b.vector) * turn) for b in self.p.values()]


def qrs_leads(shape: Shape) -> dict[str, Floats]:
    """Noise-free QRS of every lead in mV, 1 ms apart."""
    times = np.arange(0.0, shape.qrs_ms + 1)
    leads = leads_of(evaluate(list(shape.qrs.values()), times), shape.lead_field)
    return dict(zip(LEADS, leads, strict=True))


def net_area(bumps: list[Bump]) -> Floats:
    """Time integral of bumps, mV ms, along x, y, z."""
    half = np.sqrt(np.pi / 2)
    areas = [np.asarray(b.vector) * (half * (b.rise + b.fall) + b.plateau) for b in bumps]
    result: Floats = np.sum(areas, axis=0)
    return result


def axis_degrees(bumps: list[Bump]) -> float:
    """Frontal axis of the net area: 0 is left, 90 is down, -180 to 180."""
    x, y, _ = net_area(bumps)
    return float(np.degrees(np.arctan2(y, x)))


def healthy(
    lead_field: Floats, axis: float, gains: tuple[float, float, float], intervals: tuple[float, float, float, float]
) -> Shape:
    """A healthy heart.

    Args:
        lead_field: (9, 3) lead vectors of the electrodes.
        axis: frontal QRS axis, degrees.
        gains: relative size of P, QRS and T.
        intervals: P, PR, QRS and QTc in ms.
    """
    p_gain, qrs_gain, t_gain = gains
    p_ms, pr_ms, qrs_ms, qtc_ms = intervals
    k, s = qrs_ms / 90, p_ms / 105
    shape = Shape(
        lead_field=lead_field,
        p={
            "right": Bump(36 * s, 15 * s, 16 * s, p_gain * vec(0.03, 0.12, 0.07)),
            "left": Bump(68 * s, 17 * s, 15 * s, p_gain * vec(0.09, 0.09, -0.05)),
        },
        p_ms=p_ms,
        pr_ms=pr_ms,
        qrs={
            "septal": Bump(14 * k, 5 * k, 6 * k, qrs_gain * vec(-0.13, -0.03, 0.22)),
            "apical": Bump(28 * k, 6 * k, 7 * k, qrs_gain * vec(0.25, 0.26, 0.5)),
            "main": Bump(44 * k, 8 * k, 9 * k, qrs_gain * vec(0.98, 0.84, -0.5)),
            "basal": Bump(64 * k, 6 * k, 8 * k, qrs_gain * vec(-0.1, -0.14, -0.46)),
        },
        qrs_ms=qrs_ms,
        qtc_ms=qtc_ms,
        t=t_gain * vec(0.28, 0.2, 0.1),
        st=vec(0.015, 0.01, 0.025),
    )
    turn_axis(shape, axis)
    # T follows QRS part of the way: the frontal QRS-T angle stays below 45 degrees
    shape.t = _frontal(0.4 * (axis - 38)) @ shape.t
    return shape


def _frontal(degrees: float) -> Floats:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def turn_axis(shape: Shape, axis: float, keep: tuple[str, ...] = ()) -> None:
    """Turn the QRS loop in the frontal plane until its net axis is ``axis``; parts in ``keep`` stay."""
    for _ in range(3 if keep else 1):
        turn = _frontal(axis - axis_degrees(list(shape.qrs.values())))
        for name, bump in shape.qrs.items():
            if name not in keep:
                shape.qrs[name] = bump._replace(vector=turn @ np.asarray(bump.vector))


def scale(shape: Shape, name: str, factors: Floats | float) -> None:
    """Multiply the vector of one part of the QRS, if the shape has that part."""
    if name in shape.qrs:
        shape.qrs[name] = shape.qrs[name]._replace(vector=np.asarray(shape.qrs[name].vector) * factors)


def add(shape: Shape, name: str, vector: Floats) -> None:
    """Add to the vector of one part of the QRS, if the shape has that part."""
    if name in shape.qrs:
        shape.qrs[name] = shape.qrs[name]._replace(vector=np.asarray(shape.qrs[name].vector) + vector)


def heart_size(shape: Shape) -> float:
    """Size of the heart's main vector against the standard one."""
    main = shape.qrs.get("main")
    return 1.0 if main is None else float(np.clip(np.linalg.norm(main.vector) / 1.38, 0.6, 1.4))


def between(low: float, high: float, strength: float, generator: Generator) -> float:
    """A size between a sign's subtle and clear end, with a little scatter."""
    return low + (high - low) * float(np.clip(strength + 0.1 * generator.standard_normal(), 0, 1))


# --- conduction


def _left_bundle(shape: Shape, strength: float, generator: Generator) -> None:
    d = shape.qrs_ms = between(124, 164, strength, generator)
    size, posterior = heart_size(shape), generator.uniform(0.85, 1.15)
    axis = generator.uniform(-40, 50)
    shape.qrs = {
        "initial": Bump(0.17 * d, 0.06 * d, 0.08 * d, size * vec(0.25, 0.08, generator.uniform(-0.05, 0.1))),
        "main": Bump(0.38 * d, 0.1 * d, 0.11 * d, size * vec(0.82, 0.22, -1.05 * posterior)),
        "late": Bump(0.66 * d, 0.11 * d, 0.1 * d, size * vec(0.8, 0.1, -0.9 * posterior)),
    }
    turn_axis(shape, axis)
    shape.st = size * _frontal(axis) @ vec(-0.09, -0.01, 0.14)
    shape.t = size * _frontal(axis) @ vec(-0.32, -0.06, 0.36)


def _incomplete_left_bundle(shape: Shape, strength: float, generator: Generator) -> None:
    d = shape.qrs_ms = between(105, 119, strength, generator)
    size = heart_size(shape)
    axis = generator.uniform(-25, 55)
    shape.qrs = {
        "initial": Bump(0.2 * d, 0.08 * d, 0.1 * d, size * vec(0.22, 0.1, -0.02)),
        "main": Bump(0.47 * d, 0.14 * d, 0.14 * d, size * vec(1.1, 0.35, -0.75)),
        "late": Bump(0.74 * d, 0.07 * d, 0.08 * d, size * vec(0.3, 0.0, -0.35)),
    }
    turn_axis(shape, axis)
    shape.st = size * vec(-0.03, -0.01, 0.06)
    shape.t = shape.t * 0.35 + vec(-0.05 * strength, 0, 0.08)


def _right_bundle(shape: Shape, strength: float, generator: Generator) -> None:
    d = shape.qrs_ms = between(122, 158, strength, generator)
    size = heart_size(shape)
    shape.qrs.pop("basal", None)
    depth = generator.uniform(0.8, 1.3) * size
    shape.qrs["terminal"] = Bump(d - 42, 12, 15, depth * vec(-0.5, 0.03, 0.62))
    shape.t = shape.t + vec(0.05, 0, -0.24) * size


def _incomplete_right_bundle(shape: Shape, strength: float, generator: Generator) -> None:
    d = shape.qrs_ms = max(shape.qrs_ms, between(100, 118, strength, generator))
    scale(shape, "basal", 0.3)
    size = heart_size(shape) * between(0.45, 1.1, strength, generator)
    shape.qrs["terminal"] = Bump(d - 26, 8, 9, size * vec(-0.28, -0.03, 0.5))
    shape.t = shape.t + vec(0.02, 0, -0.1)


def _anterior_fascicle(shape: Shape, strength: float, generator: Generator) -> None:
    """Left anterior fascicular block: first down and right, then up and left."""
    shape.qrs_ms = max(shape.qrs_ms, 98 + 12 * strength)
    size = heart_size(shape)
    if "septal" in shape.qrs:
        shape.qrs["septal"] = shape.qrs["septal"]._replace(vector=size * vec(-0.14, 0.3, 0.12))
    scale(shape, "apical", vec(1, 0.3, 0.7))
    turn_axis(shape, -between(48, 72, strength, generator), keep=("septal", "terminal"))


def _posterior_fascicle(shape: Shape, strength: float, generator: Generator) -> None:
    """Left posterior fascicular block: first up and left, then down and right."""
    shape.qrs_ms = max(shape.qrs_ms, 95 + 10 * strength)
    size = heart_size(shape)
    if "septal" in shape.qrs:
        shape.qrs["septal"] = shape.qrs["septal"]._replace(vector=size * vec(0.3, -0.3, 0.1))
    scale(shape, "apical", vec(0.3, 0.6, 0.8))
    turn_axis(shape, between(98, 130, strength, generator), keep=("septal", "terminal"))


def _stretch(shape: Shape, duration: float) -> None:
    k = duration / shape.qrs_ms
    shape.qrs = {n: b._replace(centre=b.centre * k, rise=b.rise * k, fall=b.fall * k) for n, b in shape.qrs.items()}
    shape.qrs_ms = duration


def _unspecific_delay(shape: Shape, strength: float, generator: Generator) -> None:
    _stretch(shape, between(113, 142, strength, generator))
    size, d = heart_size(shape), shape.qrs_ms
    direction = vec(generator.uniform(0.1, 0.5), generator.uniform(-0.3, 0.3), generator.uniform(-0.4, -0.05))
    shape.qrs["late"] = Bump(0.74 * d, 0.06 * d, 0.08 * d, size * direction)
    shape.t = shape.t * 0.6


def _preexcitation(shape: Shape, strength: float, generator: Generator) -> None:
    """WPW: PR below 120 ms, a slurred start, QRS above 110 ms, and T away from the delta wave."""
    early = between(24, 46, strength, generator)
    shape.pr_ms = generator.uniform(82, 112)
    shape.p = _narrow_p(shape, min(shape.p_ms, shape.pr_ms - 6))
    left_sided = generator.random() < 0.5
    delta = vec(0.16, 0.22, 0.42) if left_sided else vec(0.4, generator.choice([-0.22, 0.2]), -0.12)
    delta = delta * between(0.8, 1.3, strength, generator)
    shape.qrs = {n: b._replace(centre=b.centre + early) for n, b in shape.qrs.items()}
    scale(shape, "septal", 0.2)
    shape.qrs["delta"] = Bump(early + 2, early * 0.38, 13, delta, plateau=10)
    shape.qrs_ms += early
    shape.t = shape.t - 0.75 * delta
    shape.st = shape.st - 0.12 * delta


def _narrow_p(shape: Shape, duration: float) -> dict[str, Bump]:
    k = duration / shape.p_ms
    shape.p_ms = duration
    return {n: b._replace(centre=b.centre * k, rise=b.rise * k, fall=b.fall * k) for n, b in shape.p.items()}


def _short_pr(shape: Shape, strength: float, generator: Generator) -> None:
    shape.pr_ms = between(117, 88, strength, generator)
    shape.p = _narrow_p(shape, min(shape.p_ms, shape.pr_ms - 8))


# --- hypertrophy and voltage


def sokolow(shape: Shape) -> float:
    """Sokolow-Lyon voltage in mV: S in V1 and the taller R of V5 and V6."""
    leads = qrs_leads(shape)
    return float(-leads["V1"].min() + max(leads["V5"].max(), leads["V6"].max()))


def _to_sokolow(shape: Shape, target: float, direction: Floats) -> None:
    for _ in range(25):
        if sokolow(shape) >= target:
            return
        scale(shape, "main", 1 + 0.08 * direction)
        scale(shape, "basal", 1 + 0.03 * direction)


def _left_hypertrophy(shape: Shape, strength: float, generator: Generator) -> None:
    _to_sokolow(shape, between(3.3, 5.2, strength, generator), vec(0.9, 0.4, 1.2))
    _stretch(shape, max(shape.qrs_ms, min(shape.qrs_ms + 8, 112)))


def _left_strain(shape: Shape, strength: float, generator: Generator) -> None:
    """Voltage, and ST-T sloping down away from the left ventricle."""
    _left_hypertrophy(shape, strength, generator)
    k = between(0.7, 1.3, strength, generator)
    shape.st = k * vec(-0.1, -0.03, 0.08)
    shape.scoop = k * vec(-0.05, -0.02, 0.02)
    shape.t = k * vec(-0.27, -0.08, 0.22)


def _right_hypertrophy(shape: Shape, strength: float, generator: Generator) -> None:
    k = heart_size(shape) * between(0.85, 1.3, strength, generator)
    shape.qrs["septal"] = shape.qrs["septal"]._replace(vector=vec(-0.02, -0.05, 0.1))
    scale(shape, "apical", vec(0.7, 1.0, 0.8))
    shape.qrs["main"] = shape.qrs["main"]._replace(vector=k * vec(-0.35, 0.75, 0.6))
    shape.qrs["basal"] = shape.qrs["basal"]._replace(vector=k * vec(-0.4, -0.1, 0.12))
    turn_axis(shape, between(104, 140, strength, generator))
    shape.st = vec(0.0, -0.02, -0.06 * strength)
    shape.t = vec(0.24, 0.12, -0.2 - 0.18 * strength)


def _septal_hypertrophy(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(2.4, 4.0, strength, generator)
    scale(shape, "septal", vec(k, k, 0.8 * k))
    _to_sokolow(shape, 2.8, vec(1.0, 0.6, 0.8))


def _high_voltage(shape: Shape, strength: float, generator: Generator) -> None:
    _to_sokolow(shape, between(3.6, 4.4, strength, generator), vec(1.0, 1.0, 1.0))


def _low_voltage(shape: Shape, strength: float, generator: Generator) -> None:
    """Every limb lead below 0.5 mV from peak to peak; chest leads small as well."""
    leads = qrs_leads(shape)
    largest = max(float(np.ptp(leads[name])) for name in LEADS[:6])
    k = min(between(0.46, 0.28, strength, generator) / largest, 1.0)
    for name in list(shape.qrs):
        scale(shape, name, vec(k, k, min(1.0, 1.5 * k)))
    for name in ("st", "t", "t_late", "scoop", "notch"):
        setattr(shape, name, getattr(shape, name) * (k + 1) / 2)


def _left_atrium(shape: Shape, strength: float, generator: Generator) -> None:
    """P above 120 ms and notched in II, deep negative end in V1."""
    shape.p_ms = between(122, 142, strength, generator)
    k = between(1.0, 1.6, strength, generator)
    d = shape.p_ms
    right = np.asarray(shape.p["right"].vector)
    shape.p = {
        "right": Bump(0.3 * d, 15, 15, right),
        "left": Bump(0.7 * d, 14, 16, k * vec(0.13, 0.12, -0.12)),
    }
    shape.pr_ms = max(shape.pr_ms, d + 25)


def _right_atrium(shape: Shape, strength: float, generator: Generator) -> None:
    """P above 0.25 mV in II and above 0.15 mV in V1."""
    k = between(0.9, 1.4, strength, generator)
    shape.p["right"] = shape.p["right"]._replace(vector=k * vec(0.06, 0.42, 0.17))


def _left_axis(shape: Shape, strength: float, generator: Generator) -> None:
    turn_axis(shape, -between(33, 50, strength, generator))


def _right_axis(shape: Shape, strength: float, generator: Generator) -> None:
    turn_axis(shape, between(97, 125, strength, generator))


def _poor_progression(shape: Shape, strength: float, generator: Generator) -> None:
    """R in V3 stays at or below 0.3 mV: the forces of the front are lost."""
    scale(shape, "septal", vec(1, 1, between(0.7, 0.35, strength, generator)))
    scale(shape, "apical", vec(0.4, 1, between(0.3, 0.05, strength, generator)))
    scale(shape, "main", vec(0.85, 1, 1))
    add(shape, "main", vec(0, 0, -between(0.2, 0.4, strength, generator)))


HeartChange = Callable[[Shape, float, Generator], None]

STRUCTURE: dict[str, HeartChange] = {
    "left_bundle_branch_block": _left_bundle,
    "incomplete_left_bundle_branch_block": _incomplete_left_bundle,
    "right_bundle_branch_block": _right_bundle,
    "incomplete_right_bundle_branch_block": _incomplete_right_bundle,
    "left_anterior_fascicular_block": _anterior_fascicle,
    "left_posterior_fascicular_block": _posterior_fascicle,
    "intraventricular_conduction_delay": _unspecific_delay,
    "wolff_parkinson_white": _preexcitation,
    "short_pr": _short_pr,
    "left_ventricular_hypertrophy": _left_hypertrophy,
    "left_ventricular_hypertrophy_strain": _left_strain,
    "right_ventricular_hypertrophy": _right_hypertrophy,
    "septal_hypertrophy": _septal_hypertrophy,
    "high_voltage": _high_voltage,
    "low_voltage": _low_voltage,
    "left_atrial_enlargement": _left_atrium,
    "right_atrial_enlargement": _right_atrium,
    "left_axis_deviation": _left_axis,
    "right_axis_deviation": _right_axis,
    "poor_r_wave_progression": _poor_progression,
}
"""What conduction, hypertrophy, voltage, axis and atria do to the shape, by condition key."""
