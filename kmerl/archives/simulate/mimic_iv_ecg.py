"""A simulated archive in the layout of MIMIC-IV-ECG 1.0."""

import csv
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from tqdm import tqdm

from kmerl.archives.simulate import hearts, reporting
from kmerl.archives.simulate.digital import OneLengthParams, begin, record
from kmerl.archives.simulate.population import Visit, visits
from kmerl.archives.simulate.wfdb_files import write_record
from kmerl.randomness import generator

LEAD_NAMES = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""As MIMIC-IV-ECG orders them: aVF before aVL."""

NOT_MEASURED = 29999
"""The machine's value for an interval or axis that it could not measure."""

_GAIN = 200.0
_LIST = ["subject_id", "study_id", "file_name", "ecg_time", "path"]
_MEASUREMENTS = [
    "subject_id", "study_id", "cart_id", "ecg_time", *(f"report_{i}" for i in range(18)), "bandwidth", "filtering",
    "rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end", "p_axis", "qrs_axis", "t_axis",
]  # fmt: skip


class SimulateMimicParams(OneLengthParams):
    """The simulated MIMIC-IV-ECG."""

    records: int = Field(description="number of recordings", ge=1, le=800_035)
    reports: reporting.ReportParams


def write(folder: Path, seed: int, params: SimulateMimicParams) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Write the archive into ``folder``, record by record.

    Returns:
        The truth (rows of :data:`~kmerl.archives.simulate.population.TRUTH`) and the number of records per fault.
    """
    begin(folder, "MIMIC-IV-ECG 1.0")
    planned = visits(seed, "mimic_iv_ecg", "all", params.records, params.population, 0)
    studies = _numbers(seed, "study", params.records, 40_000_000, 50_000_000)
    subjects = np.sort(_numbers(seed, "subject", params.records, 10_000_000, 20_000_000))
    truth: list[dict[str, Any]] = []
    broken: dict[str, int] = {}
    with (
        (folder / "record_list.csv").open("w", encoding="utf-8", newline="") as list_file,
        (folder / "machine_measurements.csv").open("w", encoding="utf-8", newline="") as measurements_file,
    ):
        listed = csv.writer(list_file, lineterminator="\n")
        measured = csv.writer(measurements_file, lineterminator="\n")
        listed.writerow(_LIST)
        measured.writerow(_MEASUREMENTS)
        progress: Iterable[Visit] = tqdm(planned, "mimic_iv_ecg", params.records, unit="record", disable=None)
        time = datetime(2110, 1, 1)
        for visit, study in zip(progress, studies, strict=True):
            subject = int(subjects[visit.patient.number])
            time = _time_of(visit, time)
            recording, fault = _write_record(folder, seed, params, visit, subject, int(study), time)
            if fault:
                broken[fault] = broken.get(fault, 0) + 1
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            listed.writerow([subject, study, study, stamp, f"{_path(subject, int(study))}/{study}"])
            report = reporting.machine_report(recording, visit.prior, recording.noisy, params.reports, visit.draw)
            measured.writerow(_measurements(recording, report, visit.draw, subject, int(study), stamp, params))
            truth.append(
                {
                    "record_id": str(study),
                    "patient_id": str(subject),
                    "conditions": recording.conditions,
                    "asserted": report.asserted,
                    "not_excluded": report.not_excluded,
                    "denied": report.denied,
                }
            )
    return truth, broken


def _numbers(seed: int, name: str, count: int, low: int, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Distinct numbers in no order."""
    draw = generator(seed, "mimic_iv_ecg", name)
    found = np.unique(draw.integers(low, high, size=2 * count + 10))
    return draw.permutation(found)[:count]


def _path(subject: int, study: int) -> str:
    return f"files/p{str(subject)[:4]}/p{subject}/s{study}"


def _time_of(visit: Visit, before: datetime) -> datetime:
    """Dates are shifted per patient, as in the real archive; a patient's recordings follow one another."""
    if visit.index == 0:
        return datetime(2110, 1, 1) + timedelta(minutes=int(visit.draw.integers(0, 90 * 525_600)))
    return before + timedelta(minutes=int(visit.draw.exponential(150_000)) + 5)


def _write_record(
    folder: Path, seed: int, params: SimulateMimicParams, visit: Visit, subject: int, study: int, time: datetime
) -> tuple[hearts.Recording, str | None]:
    draw = generator(seed, "mimic_iv_ecg", "fault", visit.patient.number, visit.index)
    made = record(visit, params, params.fs, params.samples, _GAIN, draw, LEAD_NAMES)
    write_record(
        folder / _path(subject, study),
        str(study),
        made.stored,
        LEAD_NAMES,
        params.fs,
        f"{_GAIN}(0)/mV",
        start=time.strftime("%H:%M:%S %d/%m/%Y"),
        comments=[f"<subject_id>: {subject}"],
        keep=made.keep,
    )
    return made.recording, made.fault


def _measurements(
    recording: hearts.Recording,
    report: reporting.MachineReport,
    draw: np.random.Generator,
    subject: int,
    study: int,
    stamp: str,
    params: SimulateMimicParams,
) -> list[Any]:
    """One row of machine_measurements.csv, with the machine's error of a few ms and degrees."""
    found = recording.measured
    error = 4 * draw.standard_normal(8)
    p_onset = 40
    qrs_onset = p_onset + (found.pr if found.pr is not None else 150) + error[0]
    times: list[float | None] = [
        found.rr,
        p_onset if found.p is not None else None,
        p_onset + found.p + error[1] if found.p is not None else None,
        qrs_onset,
        qrs_onset + found.qrs + error[2],
        qrs_onset + found.qt + 2 * error[3],
        found.p_axis + error[4] if found.p_axis is not None else None,
        found.qrs_axis + error[5],
        found.t_axis + error[6],
    ]
    values = [NOT_MEASURED if value is None else round(value) for value in times]
    cart = int(6_000_000 + 1000 * draw.integers(0, 900) + 296)
    return [
        subject, study, cart, stamp, *reporting.columns(report.statements, draw), "0.005-150 Hz",
        f"{params.noise.mains_frequency:g} Hz notch Baseline filter", *values,
    ]  # fmt: skip
