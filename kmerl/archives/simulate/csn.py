"""A simulated archive in the layout of CSN (ecg-arrhythmia 1.0.0)."""

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field
from tqdm import tqdm

from kmerl.archives.layouts import CSN_RECORDS, CSN_TABLE
from kmerl.archives.manifest import MARKER
from kmerl.archives.simulate import conditions, hearts
from kmerl.archives.simulate.dipole import NoiseParams
from kmerl.archives.simulate.population import (
    MARKER_TEXT,
    FaultParams,
    PopulationParams,
    Visit,
    faults,
    visits,
)
from kmerl.archives.simulate.wfdb_files import break_samples, digitise, write_matlab_record
from kmerl.leads import LEADS
from kmerl.randomness import generator
from kmerl.section import Section

_GAIN = 1000.0


class SimulateCsnParams(Section):
    """The simulated CSN."""

    records: int = Field(description="number of recordings", ge=1, le=45_152)
    seconds: int = Field(description="length of a recording, s (the real archive: 10)", ge=2, le=60)
    fs: int = Field(description="sampling frequency, Hz (the real archive: 500)", ge=100, le=2000)
    population: PopulationParams
    noise: NoiseParams
    faults: FaultParams


def write(folder: Path, seed: int, params: SimulateCsnParams) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Write the archive into ``folder``, record by record.

    Returns:
        The truth (rows of :data:`~kmerl.archives.simulate.population.TRUTH`) and the number of records per fault.
    """
    folder.mkdir(parents=True)
    (folder / MARKER).write_text(MARKER_TEXT.format(archive="CSN (ecg-arrhythmia 1.0.0)"), "utf-8")
    table = resources.files(__package__).joinpath("condition_names.csv").read_text("utf-8")
    (folder / CSN_TABLE).write_text(table, "utf-8")
    planned = visits(seed, "csn", "all", params.records, params.population, 0)
    truth: list[dict[str, Any]] = []
    broken: dict[str, int] = {}
    for number, visit in enumerate(tqdm(planned, "csn", params.records, unit="record", disable=None), 1):
        fault = _write_record(folder, seed, params, visit, number)
        if fault:
            broken[fault] = broken.get(fault, 0) + 1
        person = str(visit.patient.number)
        truth.append({"record_id": _name(number), "patient_id": person, "conditions": visit.conditions})
    return truth, broken


def _name(number: int) -> str:
    return f"JS{number:05d}"


def _folder(number: int) -> str:
    """A hundred records to a folder, ten of these to one above."""
    hundred = (number - 1) // 100
    above = 1 + hundred // 10
    return f"{CSN_RECORDS}/{above:02d}/{above:02d}{hundred % 10}"


def _write_record(folder: Path, seed: int, params: SimulateCsnParams, visit: Visit, number: int) -> str | None:
    """Write one recording; the fault that it got, if any."""
    person = visit.patient
    samples = params.seconds * params.fs
    recording = hearts.record(person, visit.conditions, visit.draw, params.fs, samples, params.noise)
    draw = generator(seed, "csn", "fault", number)
    fault = next(iter(faults(params.faults, draw)), None)
    stored = digitise(recording.leads, _GAIN)
    if fault:
        stored = break_samples(stored, fault, draw)
    codes = conditions.snomed_codes(recording.conditions, "csn", visit.draw)
    comments = [
        f"Age: {person.age}", f"Sex: {'Female' if person.female else 'Male'}", f"Dx: {','.join(codes)}",
        "Rx: Unknown", "Hx: Unknown", "Sx: Unknown",
    ]  # fmt: skip
    keep = float(draw.uniform(0.1, 0.9)) if fault == "truncated" else 1.0
    write_matlab_record(
        folder / _folder(number), _name(number), stored, LEADS, params.fs, f"{_GAIN}(0)/mV", comments, keep
    )
    return fault
