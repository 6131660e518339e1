"""Files that cost whoever opens them memory or time: each is refused in one line, before it has."""

import os
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from kmerl.archives.check.command import main as check
from kmerl.errors import UserError
from kmerl.inspect import main as inspect
from kmerl.leads import LEADS
from kmerl.use.files import read_signal
from kmerl.use.signal import Stated

ROOT = Path(__file__).parents[1]
READ = """
import resource, sys
from pathlib import Path
from kmerl.errors import UserError
from kmerl.use.files import read_signal
from kmerl.use.signal import Stated

peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
try:
    print(read_signal(Path(sys.argv[1]), sys.argv[2].split(","), Stated(250)).recording.samples.shape)
except UserError as error:
    print(error)
print(peak() - before)
"""


def cost(path: Path, leads: str = "I") -> tuple[str, int]:
    """What reading a file says, and how much memory it takes beyond the program's own, MB."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), leads], cwd=ROOT, capture_output=True, text=True, timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said, *more = done.stdout.splitlines()
    assert len(more) == 1, done.stdout + done.stderr
    return said, int(more[0])


def test_an_endless_line_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("0.1,0.2,")
    os.truncate(path, 1 << 30)
    said, memory = cost(path)
    assert "line 1 has more than" in said
    assert memory < 200


def test_a_long_table_takes_little_more_memory_than_its_numbers(tmp_path):
    rows = "".join(f"{i % 97 / 100:.3f}," * 11 + "0.5\n" for i in range(3000))
    path = tmp_path / "a.csv"
    path.write_text(",".join(LEADS) + "\n" + rows * 100)  # 300,000 rows of 12 are 29 MB
    said, memory = cost(path, ",".join(LEADS))
    assert said == "(12, 300000)"
    assert memory < 200  # as text in lists they are 360


def test_a_row_for_each_lead_may_be_long(tmp_path):
    path = tmp_path / "a.csv"
    np.savetxt(path, np.random.default_rng(0).normal(size=(2, 50_000)), "%.3f", ",")
    assert read_signal(path, ["I", "II"], Stated(250)).recording.samples.shape == (2, 50_000)


def packed(*elements: bytes, then: int = 0) -> bytes:
    """A MATLAB 5 file of packed elements, each of which unpacks to so many zeros more."""
    content = b"MATLAB 5.0".ljust(124) + b"\x00\x01IM"
    for element in elements:
        pack = zlib.compressobj()
        body = pack.compress(element)
        for _ in range(then >> 20):
            body += pack.compress(bytes(1 << 20))
        body += pack.flush()
        content += struct.pack("<II", 15, len(body)) + body
    return content


def head(name: str, shape: tuple[int, int], size: int, kind: int = 6) -> bytes:
    """The beginning of a variable of doubles that announces so many bytes of them."""
    body = struct.pack("<IIIIIIii", 6, 8, kind, 0, 5, 8, *shape)
    body += struct.pack("<II", 1, len(name)) + name.encode() + bytes(-len(name) % 8)
    body += struct.pack("<II", 9, size)
    return struct.pack("<II", 14, len(body) + size) + body


SIZE = 200 << 20
COLUMNS = SIZE // 96
BOMBS = {
    "40 variables": (packed(*[head(f"v{i}", (12, COLUMNS), 96 * COLUMNS) for i in range(40)], then=SIZE), "found: v0"),
    "more than any record": (packed(head("ECG", (12, 10**7), 960 * 10**6), then=SIZE), "cut short or too large"),
    "more than it announces": (packed(head("a", (12, 1000), 96_000), then=SIZE), "longer than it says"),
    "less than it announces": (packed(head("a", (12, COLUMNS), 96 * COLUMNS), then=1 << 20), "ends early"),
    "another shape than it has": (packed(head("a", (12, 5), 96 * COLUMNS), then=SIZE), "numbers"),
    "a shape that is negative": (packed(head("a", (-12, -COLUMNS), 96 * COLUMNS), then=SIZE), "found: none"),
    "100,000 variables": (packed(*[head("a", (1, 1), 8) + bytes(8)] * 100_000), "more than 1000 variables"),
    "nothing at all": (packed(b"", then=SIZE), "one matrix of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_packed_file_is_unpacked_no_further_than_its_answer_needs(tmp_path, name):
    content, message = BOMBS[name]
    (tmp_path / "a.mat").write_bytes(content)
    said, memory = cost(tmp_path / "a.mat")
    assert message in said
    assert memory < 100


def test_a_field_beside_the_signals_is_not_kept(tmp_path):
    """CPSC2018's struct, in whose field sex there are 200 MB."""
    data = np.random.default_rng(0).normal(size=(12, 5000))
    savemat(tmp_path / "a.mat", {"ECG": {"sex": np.zeros(SIZE // 8), "data": data}}, do_compression=True)
    program = READ.replace("Stated(250)", "Stated()")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.mat"), "I"], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said, memory = done.stdout.splitlines()
    assert said == "(1, 5000)" and int(memory) < 100


def array(shape: str, kind: str = "'<f8'") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(960)


def four(code: int, rows: int, columns: int, name: int = 2) -> bytes:
    return struct.pack("<5i", code, rows, columns, 0, name) + b"a\0" + bytes(96)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        *((".npy", array(shape)) for shape in (
            "(12, 10**11)", "(12, 100000000000)", "(-12, -10)", "(12, -1)", "(4294967296, 4294967296)", "(2**62, 8)",
            "(1.5, 2)", "(True, 2)", "('a',)", "()", "12", "(" + "1," * 100 + ")", "(" * 5000, "(12, 20)",
        )),
        *((".npy", array("(12, 10)", kind)) for kind in ("'|O'", "[('a', '<f8')]", "'<U9999999'", "7", "'?'")),
        (".npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
        (".npy", b"\x93NUMPY\x09\x00\xff\xff\xff\xff{"),
        (".npy", b"PK\x03\x04" + bytes(100)),
        *((".mat", four(*at)) for at in (
            (0, 10**9, 10**9), (0, -12, -1), (0, 12, 10**6), (70, 1, 1), (0, 1, 1, 10**9), (9, 1, 1), (5000, 1, 1),
        )),
        (".mat", four(0, 0, 0)[:22] * 2000),
        (".csv", b",".join(b"a%d" % i for i in range(20_000)) + b"\n"),
        (".csv", b'"' + b"0.1,0.2\n" * 5000),
    ],
)  # fmt: skip
def test_a_file_that_lies_about_itself_is_refused_in_one_line(tmp_path, suffix, content):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_signal(path, ["I"], Stated(250))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert str(error.value).startswith(str(path))


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        folder = os.open(path.parent, os.O_RDONLY)
        one.bind(f"/proc/self/fd/{folder}/{path.name}")  # the name of a socket is short
        os.close(folder)


STANDS = {
    "a pipe": os.mkfifo,
    "a link to a pipe": lambda path: (os.mkfifo(f"{path}.pipe"), path.symlink_to(f"{path.name}.pipe")),
    "a socket": bind,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("what", STANDS)
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".npy", ".mat", ".hea", ".dat", ""])
def test_only_a_regular_file_is_read(tmp_path, capsys, what, suffix):
    path = tmp_path / f"a{suffix}"
    STANDS[what](path)
    with pytest.raises(UserError) as error:
        read_signal(path, ["I"], Stated(250))
    assert "\n" not in str(error.value)
    assert inspect([str(path)]) == (0 if what == "a folder" else 1)
    assert check([str(tmp_path), "--processes", "1"]) == 1
    capsys.readouterr()


TABLES = {
    "mimic_iv_ecg": ("record_list.csv", "machine_measurements.csv"), "ptb_xl": ("ptbxl_database.csv",),
    "cpsc2018": ("REFERENCE.csv",),
}  # fmt: skip


@pytest.mark.parametrize("archive", TABLES)
@pytest.mark.parametrize("what", [*STANDS, "an endless line"])
def test_a_table_of_an_archive_may_be_anything(tmp_path, capsys, archive, what):
    for name in TABLES[archive]:
        path = tmp_path / archive / name
        path.parent.mkdir(exist_ok=True)
        if what == "an endless line":
            path.write_text("Recording,")
            os.truncate(path, 1 << 30)
        else:
            STANDS[what](path)
    assert check([str(tmp_path), "--processes", "1"]) == 1
    inspect([str(tmp_path / archive)])
    assert "Traceback" not in "".join(capsys.readouterr())


FOLDERS = {
    "run": ("model.safetensors", "config.json", "history.parquet"), "embeddings": ("texts.parquet", "vectors.npy"),
    "labels": ("vocabulary.json", "labels.parquet"), "knowledge": ("requests.jsonl", "responses.jsonl"),
    "scores": ("scores.parquet", "resamples.parquet"), "waveforms": ("records.parquet",),
    "features": ("features.json",),
}  # fmt: skip


@pytest.mark.parametrize("what", ["a pipe", "a device"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_pipes_is_shown_by_no_hanging_program(tmp_path, capsys, folder, what):
    for name in FOLDERS[folder]:
        STANDS[what](tmp_path / name)
    assert inspect([str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_text_of_one_endless_line_is_shown_in_part(tmp_path, capsys):
    path = tmp_path / "a.txt"
    path.write_text("first\n" + "x" * (1 << 23))
    assert inspect([str(path)]) == 0
    assert len(capsys.readouterr().out) < 100_000
