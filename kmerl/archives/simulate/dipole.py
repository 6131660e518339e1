"""From a moving cardiac dipole to electrodes, and from electrodes to the twelve leads.

Axes of the dipole: x to the patient's left, y to the feet, z to the front. Everything electrical happens at the
nine electrodes, signal and noise alike; leads are differences of electrodes, so Einthoven's and Goldberger's
relations hold by construction.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kmerl.leads import LEADS
from kmerl.section import Section

Floats = NDArray[np.float64]

ELECTRODES: tuple[str, ...] = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")

_R = 0.404  # lead I = sqrt(3) * _R * x, about 0.7 mV for a unit dipole
_FIELD = np.array(
    [
        # Einthoven's equilateral triangle: the dipole's frontal angle is the heart axis
        [-_R * np.sqrt(3) / 2, -_R / 2, 0.0],
        [_R * np.sqrt(3) / 2, -_R / 2, 0.0],
        [0.0, _R, 0.0],
        # chest leads: Dower's transform (Dower et al., Clin Cardiol 1980), its backward axis turned to the front
        [-0.515, 0.157, 0.917],
        [0.044, 0.164, 1.387],
        [0.882, 0.098, 1.277],
        [1.213, 0.127, 0.601],
        [1.125, 0.127, 0.086],
        [0.831, 0.076, -0.230],
    ]
)


def _lead_matrix() -> Floats:
    rows = {name: np.eye(9)[i] for i, name in enumerate(ELECTRODES)}
    ra, la, ll = rows["RA"], rows["LA"], rows["LL"]
    wilson = (ra + la + ll) / 3
    limb = {"I": la - ra, "II": ll - ra, "III": ll - la}
    augmented = {"aVR": ra - (la + ll) / 2, "aVL": la - (ra + ll) / 2, "aVF": ll - (ra + la) / 2}
    chest = {name: rows[name] - wilson for name in ELECTRODES[3:]}
    leads = limb | augmented | chest
    return np.stack([leads[name] for name in LEADS])


LEAD_MATRIX: Floats = _lead_matrix()
"""(12, 9): electrode potentials to leads, in the order of :data:`kmerl.leads.LEADS`."""


class Bump(NamedTuple):
    """A smooth hump of the dipole: Gaussian flanks around a plateau. Times in ms, ``vector`` in mV."""

    centre: float  # where the plateau begins
    rise: float
    fall: float
    vector: tuple[float, float, float] | Floats
    plateau: float = 0.0


def evaluate(bumps: list[Bump], times: Floats) -> Floats:
    """The dipole (T, 3) in mV at ``times`` (T,) in ms."""
    shape = np.array([(b.centre, b.rise, b.fall, b.plateau) for b in bumps])[:, :, None]
    vectors = np.array([b.vector for b in bumps], dtype=float)
    centre, rise, fall, plateau = shape[:, 0], shape[:, 1], shape[:, 2], shape[:, 3]
    offset = times - centre
    distance = np.minimum(offset, 0) / rise + np.maximum(offset - plateau, 0) / fall
    result: Floats = np.exp(-0.5 * distance**2).T @ vectors
    return result


def field(generator: np.random.Generator, variation: float) -> Floats:
    """The electrodes' lead vectors (9, 3) of one torso: the standard ones, varied by ``variation`` (relative)."""
    return _FIELD * (1 + variation * generator.standard_normal((9, 1))) + 0.5 * variation * (
        generator.standard_normal((9, 3)) * np.linalg.norm(_FIELD, axis=1, keepdims=True)
    )


def leads_of(dipole: Floats, lead_field: Floats) -> Floats:
    """Noise-free leads (12, T) in mV of a dipole (T, 3)."""
    result: Floats = LEAD_MATRIX @ (lead_field @ dipole.T)
    return result


class NoiseParams(Section):
    """Noise at the electrodes: medians over records; a record's own amplitudes are log-normal around them."""

    baseline_wander: float = Field(description="breathing and drift below 0.5 Hz, mV (standard deviation)", ge=0, le=2)
    mains_hum: float = Field(description="mains hum, mV (amplitude)", ge=0, le=1)
    mains_frequency: float = Field(description="mains frequency, Hz", ge=50, le=60)
    muscle: float = Field(
        description="muscle noise, broad band up to a quarter of fs, mV (standard deviation)", ge=0, le=1
    )
    spread: float = Field(description="standard deviation of the logarithm of a record's amplitudes", ge=0, le=2)


@dataclass(frozen=True)
class NoiseLevel:
    """The amplitudes drawn for one record, mV."""

    wander: float
    hum: float
    muscle: float


def noise_level(params: NoiseParams, generator: np.random.Generator) -> NoiseLevel:
    """Draw one record's amplitudes."""
    wander, hum, muscle = np.exp(params.spread * generator.standard_normal(3))
    return NoiseLevel(params.baseline_wander * wander, params.mains_hum * hum, params.muscle * muscle)


def electrode_noise(
    level: NoiseLevel, mains_frequency: float, fs: float, samples: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Noise (9, samples) in mV: each electrode has its own, with a common part for breathing and hum."""
    seconds = (np.arange(samples) / fs).astype(np.float32)
    turn = np.float32(2 * np.pi)
    wander_hz = np.concatenate([generator.uniform(0.05, 0.2, 2), generator.uniform(0.2, 0.5, 1)])
    # single precision: noise is half of the simulation's time
    phases = (turn * np.append(wander_hz, mains_frequency)).astype(np.float32)[:, None] * seconds
    basis = np.concatenate([np.sin(phases), np.cos(phases)])
    weights = np.zeros((9, 2, 4), dtype=np.float32)
    weights[:, :, :3] = level.wander / np.sqrt(3) * generator.standard_normal((9, 2, 3))
    weights[:, :, 3] = level.hum / 2 * (generator.standard_normal((9, 2)) + generator.standard_normal(2))
    # muscle tension comes and goes within a recording
    slow = np.float32(turn * generator.uniform(0.05, 0.2)) * seconds + np.float32(generator.uniform(0, 6.3))
    envelope = np.float32(level.muscle) * (1 + np.float32(0.6) * np.sin(slow))
    white = generator.standard_normal((9, samples + 3), dtype=np.float32)
    # four-sample mean, brought back to unit deviation: electrodes and filters leave little beyond 100 Hz
    noise = white[:, 3:] + white[:, 2:-1] + white[:, 1:-2] + white[:, :-3]
    noise *= envelope / 2
    noise += weights.reshape(9, 8) @ basis
    return noise
