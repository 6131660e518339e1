"""What infarction, ischaemia, drugs and electrolytes do to the shape of a beat.

Directions follow the territories: inferior is +y, anterior +z, lateral +x (and -y). A Q wave is a force lost, so
its vector points away from the scar; ST elevation of acute injury points to it, subendocardial ST depression
away from it; reciprocal changes follow from the projection.
"""

import numpy as np

from kmerl.archives.simulate.dipole import Bump, Floats
from kmerl.archives.simulate.morphology import (
    Generator,
    HeartChange,
    Shape,
    add,
    between,
    heart_size,
    scale,
    vec,
)


def _necrosis(shape: Shape, vector: Floats, centre: float = 22) -> None:
    """A Q wave of about 40 ms in the leads that ``vector`` points away from."""
    k = shape.qrs_ms / 90 if shape.qrs_ms < 115 else 1.1
    shape.qrs["necrosis"] = Bump(centre * k, 9 * k, 9 * k, heart_size(shape) * vector)


def _inferior_q(shape: Shape, k: float) -> None:
    scale(shape, "septal", vec(1, 0.2, 0.8))
    scale(shape, "apical", vec(1, 0.2, 1))
    scale(shape, "main", vec(1, 0.6, 1))
    _necrosis(shape, k * vec(0.02, -0.75, 0.0))


def _inferior_old(shape: Shape, strength: float, generator: Generator) -> None:
    _inferior_q(shape, between(0.5, 1.3, strength, generator))
    if generator.random() < 0.6:
        shape.t = shape.t + vec(0, -between(0.25, 0.5, strength, generator), 0)


def _anteroseptal_old(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.5, 1.3, strength, generator) * heart_size(shape)
    scale(shape, "septal", vec(0.3, 1, -0.1))
    scale(shape, "apical", vec(0.7, 1, 0))
    add(shape, "apical", vec(0, 0, -0.3 * k))
    add(shape, "main", vec(0, 0, -0.2 * k))
    _necrosis(shape, k * vec(-0.05, 0, -0.45))
    if generator.random() < 0.6:
        shape.t = shape.t + vec(-0.05, 0, -between(0.25, 0.5, strength, generator))


def _anterior_old(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.55, 1.3, strength, generator)
    scale(shape, "apical", vec(0.2, 1, 0))
    add(shape, "main", vec(-0.15, 0, -0.12 * k))
    _necrosis(shape, k * vec(-0.34, 0.05, -0.55), centre=27)
    if generator.random() < 0.6:
        shape.t = shape.t + vec(-0.15, 0, -between(0.25, 0.45, strength, generator))


def _lateral_old(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.55, 1.4, strength, generator)
    scale(shape, "apical", vec(0.2, 1, 0.8))
    scale(shape, "main", vec(0.65, 1, 1))
    _necrosis(shape, k * vec(-0.6, 0.12, 0.12))
    if generator.random() < 0.6:
        shape.t = shape.t + vec(-between(0.35, 0.6, strength, generator), 0.05, 0)


def _inferolateral_old(shape: Shape, strength: float, generator: Generator) -> None:
    _inferior_q(shape, 1.0)
    scale(shape, "main", vec(0.7, 1, 1))
    scale(shape, "apical", vec(0.2, 1, 0.8))
    _necrosis(shape, between(0.8, 1.3, strength, generator) * vec(-0.5, -0.6, 0.1))
    shape.t = shape.t + between(0.6, 1.1, strength, generator) * vec(-0.4, -0.35, 0)


def _anterolateral_old(shape: Shape, strength: float, generator: Generator) -> None:
    scale(shape, "septal", vec(1, 1, 0.4))
    scale(shape, "apical", vec(0.1, 1, 0))
    scale(shape, "main", vec(0.65, 1, 1.1))
    _necrosis(shape, between(0.8, 1.3, strength, generator) * vec(-0.6, 0.08, -0.5))
    shape.t = shape.t + between(0.6, 1.1, strength, generator) * vec(-0.4, 0.05, -0.35)


def _tall_r_in_front(shape: Shape, k: float) -> None:
    k *= heart_size(shape)
    scale(shape, "basal", vec(1, 1, 0.3))
    shape.qrs["posterior"] = Bump(44, 10, 13, k * vec(0, 0.05, 0.95))


def _posterior_old(shape: Shape, strength: float, generator: Generator) -> None:
    _tall_r_in_front(shape, between(1.0, 1.35, strength, generator))
    shape.t = shape.t + vec(0, 0, 0.22)
    shape.st = shape.st + vec(0, 0, -0.04)


def _elevation(shape: Shape, strength: float, generator: Generator, direction: tuple[float, float, float]) -> None:
    """Raised ST that runs into a tall T."""
    k = between(0.35, 1.5, strength, generator)
    shape.st = shape.st + k * vec(*direction)
    shape.t = shape.t + 0.6 * k * vec(*direction)


def _inferior_acute(shape: Shape, strength: float, generator: Generator) -> None:
    _elevation(shape, strength, generator, (-0.1, 0.42, -0.1))
    if strength > 0.5:
        _inferior_q(shape, 0.6)


def _anterior_acute(shape: Shape, strength: float, generator: Generator) -> None:
    _elevation(shape, strength, generator, (0.16, -0.12, 0.28))
    if strength > 0.5:
        scale(shape, "apical", vec(0.6, 1, 0.2))


def _anteroseptal_acute(shape: Shape, strength: float, generator: Generator) -> None:
    _elevation(shape, strength, generator, (-0.05, -0.05, 0.3))
    if strength > 0.5:
        scale(shape, "septal", vec(0.5, 1, 0.2))
        scale(shape, "apical", vec(1, 1, 0.2))


def _lateral_acute(shape: Shape, strength: float, generator: Generator) -> None:
    _elevation(shape, strength, generator, (0.32, -0.24, -0.1))


def _posterior_acute(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.7, 1.5, strength, generator)
    shape.st = shape.st + k * vec(0.02, 0.05, -0.24)
    shape.t = shape.t + vec(0, 0, 0.12)
    _tall_r_in_front(shape, 0.5 + 0.5 * strength)


def _aneurysm(shape: Shape, strength: float, generator: Generator) -> None:
    """Persisting ST elevation over an old anterior scar, T flat or inverted."""
    _anterior_old(shape, strength, generator)
    shape.st = shape.st + between(0.6, 1.1, strength, generator) * vec(0.02, -0.03, 0.2)
    shape.t = vec(0.08, 0.1, -0.08)


def _depression(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.6, 1.5, strength, generator)
    shape.st = shape.st + k * vec(-0.13, -0.09, -0.05)
    shape.t = shape.t * 0.75


def _ischaemia_anterior(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.7, 1.4, strength, generator)
    shape.st = shape.st + k * vec(-0.02, 0, -0.05)
    shape.t = shape.t * 0.3 + k * vec(-0.06, 0.03, -0.25)


def _ischaemia_inferior(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.7, 1.4, strength, generator)
    shape.st = shape.st + k * vec(0.02, -0.14, 0)
    shape.t = shape.t * vec(1, 0, 1) + k * vec(0.02, -0.3, 0)


def _ischaemia_lateral(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.7, 1.4, strength, generator)
    shape.st = shape.st + k * vec(-0.13, 0.02, -0.01)
    shape.t = shape.t * vec(0, 1, 1) + k * vec(-0.3, 0.02, 0.04)


def _injury_anterior(shape: Shape, strength: float, generator: Generator) -> None:
    """Subendocardial injury: deep, horizontal ST depression in front and left."""
    k = between(0.8, 1.5, strength, generator)
    shape.st = shape.st + k * vec(-0.12, -0.02, -0.17)
    shape.t = shape.t * 0.3 + k * vec(-0.1, 0, -0.14)


def _injury_inferior(shape: Shape, strength: float, generator: Generator) -> None:
    k = between(0.8, 1.5, strength, generator)
    shape.st = shape.st + k * vec(-0.08, -0.25, 0)
    shape.t = shape.t * vec(0.8, 0.1, 1) + k * vec(-0.05, -0.15, 0)


def _inversion(shape: Shape, strength: float, generator: Generator) -> None:
    """T opposite to QRS in most leads, ST level."""
    shape.t = -shape.t * between(0.5, 1.1, strength, generator) * vec(1, 1, generator.uniform(0.5, 1.5))


def _flat(shape: Shape, strength: float, generator: Generator) -> None:
    shape.t = shape.t * between(0.22, 0.02, strength, generator)


def _unspecific(shape: Shape, strength: float, generator: Generator) -> None:
    """ST a little low and sloping, T small or biphasic, in no vessel's territory."""
    shape.st = shape.st + between(0.4, 0.9, strength, generator) * vec(-0.07, -0.05, -0.03)
    late = -0.4 * shape.t if generator.random() < 0.4 else shape.t * 0
    shape.t = shape.t * between(0.5, 0.15, strength, generator)
    shape.t_late = late * 0.5


def _digitalis(shape: Shape, strength: float, generator: Generator) -> None:
    """Sagging ST opposite to QRS, T small, QT short."""
    shape.scoop = between(0.8, 1.5, strength, generator) * vec(-0.16, -0.11, -0.02)
    shape.t = shape.t * between(0.6, 0.25, strength, generator)
    shape.qtc_ms = min(shape.qtc_ms, 400) - between(20, 50, strength, generator)


def _long_qt(shape: Shape, strength: float, generator: Generator) -> None:
    shape.qtc_ms = between(485, 570, strength, generator) + max(0.0, shape.qrs_ms - 110)


def _early_repolarisation(shape: Shape, strength: float, generator: Generator) -> None:
    """Raised J point with a notch, concave ST, tall T; mostly V3 to V6 and inferior, no reciprocal change but aVR."""
    k = between(0.8, 1.5, strength, generator)
    shape.st = shape.st + k * vec(0.1, 0.1, 0.07)
    shape.notch = k * vec(0.12, 0.12, 0.05)
    shape.t = shape.t * 1.5


def _high_potassium(shape: Shape, strength: float, generator: Generator) -> None:
    """T tall, narrow and pointed; P low, QRS somewhat wide when severe."""
    shape.t = shape.t * between(1.9, 3.0, strength, generator)
    shape.t_width = 0.6
    shape.p = {n: b._replace(vector=np.asarray(b.vector) * (1 - 0.6 * strength)) for n, b in shape.p.items()}


def _low_potassium(shape: Shape, strength: float, generator: Generator) -> None:
    """ST low, T flat, U taller than T."""
    k = between(0.7, 1.4, strength, generator)
    shape.u = k * vec(0.14, 0.1, 0.08)
    shape.t = shape.t * 0.25
    shape.st = shape.st + k * vec(-0.05, -0.03, -0.02)


def _u_wave(shape: Shape, strength: float, generator: Generator) -> None:
    """U of 0.1 mV or more in V2 and V3 behind an ordinary T."""
    shape.u = between(0.75, 1.3, strength, generator) * vec(0.06, 0.05, 0.1)


def _long_st(shape: Shape, strength: float, generator: Generator) -> None:
    """As in low calcium: ST level and long, so that an ordinary T comes late."""
    shape.qtc_ms = between(525, 600, strength, generator)
    shape.t_width = 0.6  # of a longer whole
    shape.st = shape.st * 0.3


INJURY: dict[str, HeartChange] = {
    "inferior_infarct_old": _inferior_old,
    "anteroseptal_infarct_old": _anteroseptal_old,
    "anterior_infarct_old": _anterior_old,
    "lateral_infarct_old": _lateral_old,
    "inferolateral_infarct_old": _inferolateral_old,
    "anterolateral_infarct_old": _anterolateral_old,
    "posterior_infarct_old": _posterior_old,
    "inferior_infarct_acute": _inferior_acute,
    "anterior_infarct_acute": _anterior_acute,
    "anteroseptal_infarct_acute": _anteroseptal_acute,
    "lateral_infarct_acute": _lateral_acute,
    "posterior_infarct_acute": _posterior_acute,
    "ventricular_aneurysm": _aneurysm,
    "st_depression": _depression,
    "anterior_ischaemia": _ischaemia_anterior,
    "inferior_ischaemia": _ischaemia_inferior,
    "lateral_ischaemia": _ischaemia_lateral,
    "anterior_injury": _injury_anterior,
    "inferior_injury": _injury_inferior,
    "t_inversion": _inversion,
    "flat_t": _flat,
    "nonspecific_st_t": _unspecific,
    "digitalis_effect": _digitalis,
    "long_qt": _long_qt,
    "early_repolarisation": _early_repolarisation,
    "hyperkalaemia": _high_potassium,
    "hypokalaemia": _low_potassium,
    "prominent_u_wave": _u_wave,
    "long_st": _long_st,
}
"""What infarction, ischaemia, drugs and electrolytes do to the shape, by condition key."""
