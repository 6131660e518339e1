"""WFDB records of format 16: a header and interleaved 16-bit samples, in a plain or a MATLAB file."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_record(
    folder: Path,
    name: str,
    samples: NDArray[np.int16],
    leads: Sequence[str],
    fs: int,
    gain: str,
    start: str = "",
    comments: Sequence[str] = (),
    keep: float = 1.0,
) -> None:
    """Write ``name.hea`` and ``name.dat`` into ``folder``.

    Args:
        folder: made if it is not there.
        name: of the record.
        samples: (L, T).
        leads: names as the archive spells them, in the order of ``samples``.
        fs: Hz.
        gain: as the header shall state it, e.g. ``200.0(0)/mV``.
        start: time and date of the recording, as in the header, or nothing.
        comments: lines after ``#``.
        keep: share of the signal file that is written, for a truncated one.
    """
    sums = samples.sum(axis=1, dtype=np.int64) % 65536
    lines = [f"{name} {len(leads)} {fs} {samples.shape[1]}" + (f" {start}" if start else "")]
    for lead, total, first in zip(leads, sums, samples[:, 0], strict=True):
        lines.append(f"{name}.dat 16 {gain} 16 0 {first} {total} 0 {lead}")
    lines += [f"# {comment}" for comment in comments]
    _write(folder, name, lines, ".dat", np.ascontiguousarray(samples.T).tobytes(), keep)


def write_matlab_record(
    folder: Path,
    name: str,
    samples: NDArray[np.int16],
    leads: Sequence[str],
    fs: int,
    gain: str,
    comments: Sequence[str] = (),
    keep: float = 1.0,
) -> None:
    """Like :func:`write_record`, with the samples in a MATLAB v4 file ``name.mat``.

    It holds one int16 matrix ``val`` (leads x samples) by columns, so that its samples lie as in a ``.dat`` file behind
    24 bytes: WFDB's format ``16x1+24``. Checksums are signed, as PhysioNet's files of this kind have them.
    """
    preamble = struct.pack("<5i", 30, *samples.shape, 0, 4) + b"val\0"  # 30: little-endian full int16 matrix
    sums = samples.sum(axis=1, dtype=np.int64).astype(np.int16)
    lines = [f"{name} {len(leads)} {fs} {samples.shape[1]}"]
    for lead, total, first in zip(leads, sums, samples[:, 0], strict=True):
        lines.append(f"{name}.mat 16x1+24 {gain} 16 0 {first} {total} 0 {lead}")
    lines += [f"# {comment}" for comment in comments]
    _write(folder, name, lines, ".mat", preamble + np.ascontiguousarray(samples.T).tobytes(), keep)


def _write(folder: Path, name: str, header: Sequence[str], suffix: str, content: bytes, keep: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.hea").write_text("\n".join(header) + "\n", "ascii")
    (folder / f"{name}{suffix}").write_bytes(content[: int(len(content) * keep)])
