"""One recording as a simulated archive's file holds it: computed, made digital, and broken if it is its turn."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kmerl.archives.manifest import MARKER
from kmerl.archives.simulate import hearts
from kmerl.archives.simulate.dipole import NoiseParams
from kmerl.archives.simulate.population import PopulationParams, Visit
from kmerl.archives.wfdb_format import MISSING
from kmerl.leads import LEADS, positions
from kmerl.section import Section

_MARKER_TEXT = (
    "This archive is simulated: waveforms, reports, codes and persons were computed by kmerl.archives.simulate\n"
    "in the layout of {layout}. It holds no recording of any person and no file of {layout}.\n"
)


class FaultParams(Section):
    """Shares of recordings that are broken in one way."""

    nan: float = Field(description="share of records with runs of missing samples", ge=0, le=1)
    dead_lead: float = Field(description="share of records with an all-zero lead", ge=0, le=1)
    truncated: float = Field(description="share of records whose signal file ends early", ge=0, le=1)


class SimulatedParams(Section):
    """What all simulated archives have."""

    population: PopulationParams
    noise: NoiseParams
    faults: FaultParams


class OneLengthParams(SimulatedParams):
    """And those whose recordings are of one length."""

    seconds: int = Field(description="length of a recording, s (the real archive: 10)", ge=2, le=60)
    fs: int = Field(description="sampling frequency, Hz (the real archive: 500)", ge=100, le=2000)

    @property
    def samples(self) -> int:
        """Of a recording."""
        return self.seconds * self.fs


class Digital(NamedTuple):
    """A recording for a file.

    Attributes:
        recording: what was computed.
        stored: (L, T), :data:`MISSING` where there is no sample.
        fault: how it is broken, if at all.
        keep: share of the signal file that is written.
    """

    recording: hearts.Recording
    stored: NDArray[np.int16]
    fault: str | None
    keep: float


def begin(folder: Path, layout: str) -> None:
    """Make an archive's folder, which says that it is simulated ``layout``."""
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(_MARKER_TEXT.format(layout=layout), "utf-8")


def record(
    visit: Visit,
    params: SimulatedParams,
    fs: int,
    samples: int,
    gain: float,
    draw: np.random.Generator,
    leads: Sequence[str] = LEADS,
) -> Digital:
    """One recording.

    Args:
        visit: of whom, with what.
        params: of its archive.
        fs: Hz.
        samples: how many of each lead.
        gain: units per mV.
        draw: what breaks it.
        leads: their order in the file.
    """
    recording = hearts.record(visit.patient, visit.conditions, visit.draw, fs, samples, params.noise)
    fault = _fault(params.faults, draw)
    stored = _digitise(recording.leads[positions(leads)], gain)
    if fault:
        stored = _break_samples(stored, fault, draw)
    return Digital(recording, stored, fault, float(draw.uniform(0.1, 0.9)) if fault == "truncated" else 1.0)


def _fault(params: FaultParams, draw: np.random.Generator) -> str | None:
    """How a recording is broken, if at all."""
    roll = float(draw.random())
    for name, share in params.model_dump().items():
        if roll < share:
            return str(name)
        roll -= share
    return None


def _digitise(leads: NDArray[np.float64], gain: float) -> NDArray[np.int16]:
    """Leads (L, T) in mV to units of 1/gain mV; NaN becomes :data:`MISSING`."""
    scaled = np.clip(np.rint(leads * gain), -32767, 32767)
    return np.where(np.isnan(scaled), MISSING, scaled).astype("<i2")


def _break_samples(samples: NDArray[np.int16], fault: str, draw: np.random.Generator) -> NDArray[np.int16]:
    """A copy of ``samples`` (L, T) with missing runs (``nan``) or an all-zero lead (``dead_lead``)."""
    samples = samples.copy()
    n_leads, length = samples.shape
    if fault == "nan":
        start = int(draw.integers(0, length // 2))
        run = int(draw.integers(length // 100, length // 4))
        which = slice(None) if draw.random() < 0.5 else [int(draw.integers(n_leads))]
        samples[which, start : start + run] = MISSING
    elif fault == "dead_lead":
        samples[int(draw.integers(n_leads))] = 0
    return samples
