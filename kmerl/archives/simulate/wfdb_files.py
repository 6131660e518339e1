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
    matlab: bool = False,
) -> None:
    """Write ``name.hea`` and ``name.dat`` (or ``name.mat``) into ``folder``.

    A MATLAB v4 file holds one int16 matrix ``val`` (leads x samples) by columns, so that its samples lie as in a
    ``.dat`` file behind 24 bytes: WFDB's format ``16x1+24``. Checksums are signed there, as PhysioNet's files of this
    kind have them.

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
        matlab: whether the samples stand in a MATLAB file.
    """
    suffix, form, before = ".dat", "16", b""
    sums = samples.sum(axis=1, dtype=np.int64) % 65536
    if matlab:
        suffix, form, sums = ".mat", "16x1+24", sums.astype(np.int16)
        before = struct.pack("<5i", 30, *samples.shape, 0, 4) + b"val\0"  # 30: little-endian full int16 matrix
    lines = [f"{name} {len(leads)} {fs} {samples.shape[1]}" + (f" {start}" if start else "")]
    for lead, total, first in zip(leads, sums, samples[:, 0], strict=True):
        lines.append(f"{name}{suffix} {form} {gain} 16 0 {first} {total} 0 {lead}")
    lines += [f"# {comment}" for comment in comments]
    content = before + np.ascontiguousarray(samples.T).tobytes()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n", "ascii")
    (folder / f"{name}{suffix}").write_bytes(content[: int(len(content) * keep)])
