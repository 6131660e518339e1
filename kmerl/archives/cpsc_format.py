"""CPSC2018's own record files: a MATLAB struct ``ECG`` with sex, age and data (12, n) in mV at 500 Hz."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kmerl.archives.wfdb_format import RecordError, Recording, quantise
from kmerl.leads import LEADS

FS = 500
"""Hz; the files do not name it."""


def read_struct(path: Path) -> Recording:
    """Read a record. Its leads have no names; they stand in the order of :data:`kmerl.leads.LEADS`.

    Samples are put on a 16-bit grid over each lead's own range; NaN and infinity are missing samples.

    Raises:
        RecordError: with the reason ``no_signal_file``, ``empty_signal_file``, ``unreadable_signal`` (no MATLAB file,
            or damaged) or ``bad_struct`` (no struct ``ECG`` with 12 rows of real numbers).
    """
    data = _data(_variable(path), path.name)
    parts = [quantise(lead) for lead in data]
    return Recording(
        leads=LEADS,
        fs=float(FS),
        samples=np.stack([samples for samples, _, _ in parts]),
        gain=np.array([gain for _, gain, _ in parts]),
        baseline=np.array([baseline for _, _, baseline in parts]),
        unit=np.ones(len(LEADS)),
    )


def _variable(path: Path) -> Any:
    """The variable ``ECG`` of a MATLAB file; None if there is none."""
    from scipy.io import loadmat  # slow to import, and other archives never need it

    try:
        size = path.stat().st_size
    except OSError:
        raise RecordError("no_signal_file", f"no file {path.name}") from None
    if not size:
        raise RecordError("empty_signal_file", f"{path.name} is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of doubtful variables; they are looked at below
            return loadmat(path, variable_names=["ECG"]).get("ECG")
    except Exception as error:  # the parser raises whatever a damaged file leads it to
        said = " ".join(str(error).split()) or type(error).__name__
        raise RecordError("unreadable_signal", f"{path.name}: not a whole MATLAB file ({said[:120]})") from None


def _data(ecg: Any, name: str) -> NDArray[np.float64]:
    """The signals (12, n) in mV."""
    if not isinstance(ecg, np.ndarray) or ecg.dtype.names is None or "data" not in ecg.dtype.names or ecg.size != 1:
        raise RecordError("bad_struct", f"{name} holds no struct ECG with a field data")
    data = ecg["data"].item()
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "iuf":
        raise RecordError("bad_struct", f"{name}: ECG.data is no array of real numbers")
    if data.ndim != 2 or data.shape[0] != len(LEADS) or not data.shape[1]:
        shape = " x ".join(map(str, data.shape))
        raise RecordError("bad_struct", f"{name}: ECG.data is {shape}, not {len(LEADS)} leads x samples")
    return data.astype(np.float64)
