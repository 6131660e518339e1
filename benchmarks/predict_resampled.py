"""How little probabilities move when a record is cut to one lead, stored at another rate, or handed over otherwise.

python benchmarks/predict_resampled.py FOLDER [--run data/runs/kmerl] [--records 10]

FOLDER holds archives, with WFDB headers or CPSC2018's .mat files anywhere below. Every record is predicted from its
file and again from numbers that another program might have made of it: its leads in reverse order, resampled to 125
and to 1000 Hz; all leads, or one cut out. Differences are over all classes of the downstream tasks.
"""

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly
from scipy.stats import spearmanr

from kmerl.errors import UserError
from kmerl.use.files import read_signal
from kmerl.use.model import Model, load

RATES = (125, 1000)
SUBSETS = {"all": None, "I": ["I"], "V2": ["V2"]}
HEADS = {
    "archive": 22,
    "leads": 7,
    "changed": 16,
    "records": 9,
    "largest": 9,
    "mean": 9,
    "lowest rank correlation": 25,
    "class that moved most": 42,
}


def groups(folder: Path, count: int) -> dict[str, list[Path]]:
    """Evenly chosen records of every archive, by the archive's folder and the letters their names begin with."""
    found: dict[str, list[Path]] = {}
    for path in sorted([*folder.rglob("*.hea"), *folder.rglob("*.mat")]):
        if path.suffix == ".mat" and path.with_suffix(".hea").exists():
            continue
        letters = re.match("[A-Za-z]*", path.name)[0]
        place = "/".join(path.relative_to(folder).parent.parts[:2])
        found.setdefault(f"{place} {letters}".strip(), []).append(path)
    return {name: paths[:: max(1, len(paths) // count)][:count] for name, paths in found.items()}


def variants(path: Path, leads: list[str] | None):
    """The same signal as other programs might hand it over: (what was done, numbers, their leads, their rate)."""
    recording = read_signal(path, leads).recording
    names, fs = list(recording.leads), recording.fs
    signal = np.nan_to_num(recording.millivolts())
    yield "reversed leads", signal[::-1], names[::-1], fs
    for rate in RATES:
        ratio = Fraction(rate / fs).limit_denominator(1000)
        yield f"{rate} Hz", resample_poly(signal, ratio.numerator, ratio.denominator, axis=1), names, rate


def compare(model: Model, paths: list[Path], leads: list[str] | None) -> dict[str, list[tuple]]:
    """For every change and record: largest and mean difference, rank correlation, which class moved most."""
    found: dict[str, list[tuple]] = {}
    for path in paths:
        try:
            answer = model.predict(path, leads)
        except UserError as error:
            print(f"{path.name}: left out: {error}", file=sys.stderr)
            continue
        expected = answer.probabilities
        for change, signal, names, fs in variants(path, leads):
            other = model.predict(signal, names, fs).probabilities
            moved = np.abs(other - expected)
            rank = spearmanr(other, expected).statistic
            found.setdefault(change, []).append((moved.max(), moved.mean(), rank, answer.classes[moved.argmax()]))
    return found


def main() -> int:
    """Prints the table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, default=Path("data/runs/kmerl"))
    parser.add_argument("--records", type=int, default=10, help="of each archive")
    arguments = parser.parse_args()
    try:
        model = load(arguments.run)
        print(f"{model.description}; absolute differences of probabilities\n")
        print("".join(f"{head:>{width}}" for head, width in HEADS.items()))
        for archive, paths in groups(arguments.folder, arguments.records).items():
            for subset, leads in SUBSETS.items():
                for change, rows in compare(model, paths, leads).items():
                    table = np.array([row[:3] for row in rows])
                    numbers = f"{table[:, 0].max():.4f}", f"{table[:, 1].mean():.5f}", f"{table[:, 2].min():.4f}"
                    cells = archive, subset, change, str(len(rows)), *numbers, max(rows)[3][:40]
                    line = "".join(f"{cell:>{width}}" for cell, width in zip(cells, HEADS.values(), strict=True))
                    print(line, flush=True)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
