"""What a turn of the heart about its long axis does to the shape of a beat: the chest leads' transition moves."""

import numpy as np

from kmerl.archives.simulate.morphology import (
    Generator,
    HeartChange,
    Shape,
    axis_degrees,
    between,
    scale,
    turn_axis,
    vec,
)


def _turn_about_long_axis(shape: Shape, degrees: float) -> None:
    """Turn the QRS loop in the horizontal plane, to the front if positive; its frontal axis stays."""
    axis = axis_degrees(list(shape.qrs.values()))
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    shape.qrs = {name: bump._replace(vector=turn @ np.asarray(bump.vector)) for name, bump in shape.qrs.items()}
    turn_axis(shape, axis)


def _clockwise(shape: Shape, strength: float, generator: Generator) -> None:
    """Transition at V5 or later: the loop turned to the back."""
    scale(shape, "apical", vec(1, 1, 0.45))
    _turn_about_long_axis(shape, -between(28, 46, strength, generator))


def _counterclockwise(shape: Shape, strength: float, generator: Generator) -> None:
    """R well above S in V2 already: the loop turned to the front."""
    scale(shape, "basal", 0.7)
    _turn_about_long_axis(shape, between(15, 32, strength, generator))


ROTATION: dict[str, HeartChange] = {
    "clockwise_rotation": _clockwise,
    "counterclockwise_rotation": _counterclockwise,
}
"""What rotation does to the shape, by condition key."""
