"""A simulated archive in the layout of CSN (ecg-arrhythmia 1.0.0)."""

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import Field
from tqdm import tqdm

from kmerl.archives.layouts import CSN_RECORDS, CSN_TABLE
from kmerl.archives.simulate import conditions
from kmerl.archives.simulate.digital import OneLengthParams, begin, record
from kmerl.archives.simulate.population import Visit, visits
from kmerl.archives.simulate.wfdb_files import write_record
from kmerl.leads import LEADS
from kmerl.randomness import generator

_GAIN = 1000.0


class SimulateCsnParams(OneLengthParams):
    """The simulated CSN."""

    records: int = Field(description="number of recordings", ge=1, le=45_152)


def write(folder: Path, seed: int, params: SimulateCsnParams) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Write the archive into ``folder``, record by record.

    Returns:
        The truth (rows of :data:`~kmerl.archives.simulate.population.TRUTH`) and the number of records per fault.
    """
    begin(folder, "CSN (ecg-arrhythmia 1.0.0)")
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
    draw = generator(seed, "csn", "fault", number)
    made, person = record(visit, params, params.fs, params.samples, _GAIN, draw), visit.patient
    codes = conditions.snomed_codes(made.recording.conditions, "csn", visit.draw)
    comments = [
        f"Age: {person.age}", f"Sex: {'Female' if person.female else 'Male'}", f"Dx: {','.join(codes)}",
        "Rx: Unknown", "Hx: Unknown", "Sx: Unknown",
    ]  # fmt: skip
    write_record(
        folder / _folder(number), _name(number), made.stored, LEADS, params.fs, f"{_GAIN}(0)/mV", comments=comments,
        keep=made.keep, matlab=True,
    )  # fmt: skip
    return made.fault
