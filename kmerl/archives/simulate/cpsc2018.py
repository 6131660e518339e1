"""A simulated archive in the original layout of CPSC2018."""

import csv
import io
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from tqdm import tqdm

from kmerl.archives.layouts import CPSC2018_COLUMNS, CPSC2018_LABELS, CPSC2018_REFERENCE, CPSC2018_SNOMED
from kmerl.archives.simulate import conditions
from kmerl.archives.simulate.digital import SimulatedParams, begin, record
from kmerl.archives.simulate.population import Visit, visits
from kmerl.archives.wfdb_format import MISSING
from kmerl.randomness import generator

_STEPS = 1000.0  # per mV, as many of the real files have it
_NUMBER_OF = {name: number for number, name in CPSC2018_LABELS.items()}
_HEADER = b"MATLAB 5.0 MAT-file, simulated by kmerl.archives.simulate".ljust(124) + b"\x00\x01IM"
_COMPRESSED = 15  # miCOMPRESSED


class SimulateCpsc2018Params(SimulatedParams):
    """The simulated CPSC2018."""

    records: int = Field(description="number of recordings", ge=1, le=9999)
    shortest: int = Field(description="shortest recording, s (the real archive: 6)", ge=2, le=144)
    longest: int = Field(description="longest recording, s (the real archive: 60, one of 144)", ge=2, le=144)
    fs: Literal[500] = Field(description="sampling frequency, Hz; the archive's files do not name it, it is always 500")

    @model_validator(mode="after")
    def _ordered(self) -> "SimulateCpsc2018Params":
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest} s) is more than longest ({self.longest} s)")
        return self


def write(folder: Path, seed: int, params: SimulateCpsc2018Params) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Write the archive into ``folder``, record by record.

    Returns:
        The truth (rows of :data:`~kmerl.archives.simulate.population.TRUTH`) and the number of records per fault.
    """
    begin(folder, "CPSC2018")
    planned = islice(_labelled(seed, params), params.records)
    truth: list[dict[str, Any]] = []
    broken: dict[str, int] = {}
    with (folder / CPSC2018_REFERENCE).open("w", encoding="utf-8", newline="") as file:
        reference = csv.writer(file, lineterminator="\n")
        reference.writerow(["Recording", *CPSC2018_COLUMNS])
        progress = tqdm(planned, "cpsc2018", params.records, unit="record", disable=None)
        for number, (visit, labels) in enumerate(progress, 1):
            name = f"A{number:04d}"
            fault = _write_record(folder / f"{name}.mat", seed, params, visit, number)
            if fault:
                broken[fault] = broken.get(fault, 0) + 1
            reference.writerow([name, *labels, *[""] * (len(CPSC2018_COLUMNS) - len(labels))])
            person = str(visit.patient.number)
            truth.append({"record_id": name, "patient_id": person, "conditions": visit.conditions})
    return truth, broken


def _labelled(seed: int, params: SimulateCpsc2018Params) -> Iterator[tuple[Visit, list[str]]]:
    """Recordings with one to three labels: the archive holds no others."""
    every = 1000 * params.records  # more than can be skipped
    for visit in visits(seed, "cpsc2018", "all", every, params.population, 0):
        codes = conditions.snomed_codes(visit.conditions, "cpsc2018", visit.draw)
        labels = sorted({_NUMBER_OF[CPSC2018_SNOMED[code]] for code in codes})
        if 1 <= len(labels) <= len(CPSC2018_COLUMNS):
            yield visit, labels


def _write_record(path: Path, seed: int, params: SimulateCpsc2018Params, visit: Visit, number: int) -> str | None:
    """Write one recording; the fault that it got, if any."""
    # most recordings are short, a few long, as in the real archive
    share = visit.draw.beta(1, 4.5)
    samples = round((params.shortest + (params.longest - params.shortest) * share) * params.fs)
    made = record(visit, params, params.fs, samples, _STEPS, generator(seed, "cpsc2018", "fault", number))
    data = np.where(made.stored == MISSING, np.nan, made.stored / _STEPS)
    content = matlab_struct(data, visit.patient.age, "Female" if visit.patient.female else "Male")
    path.write_bytes(content[: int(len(content) * made.keep)])
    return made.fault


def matlab_struct(data: NDArray[np.float64], age: int, sex: str) -> bytes:
    """A MATLAB v5 file with the compressed struct ``ECG``: sex, age and data (12, n) in mV. It bears no date."""
    from scipy.io import savemat  # slow to import, and other archives never need it

    plain = io.BytesIO()
    ecg = np.empty((1, 1), dtype=[("sex", object), ("age", object), ("data", object)])
    ecg[0, 0] = (sex, np.array([[age]], np.uint8), np.asfortranarray(data))
    savemat(plain, {"ECG": ecg}, format="5")
    packed = zlib.compress(plain.getvalue()[len(_HEADER) :], level=1)  # the best level takes ten times as long
    return _HEADER + struct.pack("<II", _COMPRESSED, len(packed)) + packed
