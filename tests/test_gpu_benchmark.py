"""The benchmark for machines with a GPU, run on the CPU with a very small model."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import __main__ as program
from benchmarks.gpu.report import Row, markdown
from benchmarks.gpu.setting import TINY, Setting, Size

ROOT = Path(__file__).parents[1]
LISTED = "torch numpy polars pyarrow pydantic pydantic_core annotated_types typing_inspection typing_extensions psutil"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a tiny run writes, in a process of its own."""
    out = tmp_path_factory.mktemp("benchmark")
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--out", str(out), "--minutes", "60"]  # a busy machine
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done, json.loads((out / "gpu.json").read_text()), (out / "gpu.md").read_text()


def test_a_tiny_run_has_a_figure_of_every_part_but_those_of_a_card(found):
    done, written, _ = found
    assert (done.returncode, done.stderr) == (0, "")
    without = {row["part"] for row in written["rows"] if row["value"] is None}
    assert {row["part"] for row in written["rows"]} == {*program.PARTS}
    assert without == {"synchronisation", "memory"}


def test_its_figures_are_what_they_say(found):
    rows = {(row["part"], row["what"]): row["value"] for row in found[1]["rows"]}
    assert rows["resumed run", "largest difference of a weight, deterministic: True"] == 0
    assert rows["two processes", "gradient of two processes on the CPU over gloo, difference from one"] < 1e-4
    assert 0 < rows["loss", "largest difference of the curves"] < 10
    assert {len(curve) for curve in found[1]["curves"].values()} == {TINY.curve}
    assert all(value > 0 for (part, _), value in rows.items() if part in ("matmul", "loader", "step", "step, compiled"))


def test_every_row_is_one_line_of_the_table(found):
    _, written, text = found
    assert sum(line.startswith("| ") for line in text.splitlines()) == len(written["rows"]) + 2


def test_it_needs_no_package_but_those_its_readme_lists():
    program = "import sys, benchmarks.gpu.__main__; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = {"benchmarks", "kmerl", "__mp_main__", "__main__"}
    alone = {name for name in loaded.stdout.split() if name not in sys.stdlib_module_names | ours}
    # what torch and numpy bring, or an environment's own start
    brought = {"torchgen", "cython_runtime", "cloudpickle", "pydot", "tqdm", "yaml"}
    others = {name for name in alone - brought if not name.startswith("_")}
    assert others <= {*LISTED.split()}
    readme = (ROOT / "benchmarks/gpu/README.md").read_text()
    assert all(f"`{name.replace('_', '-')}`" in readme for name in LISTED.split())


def test_the_paper_s_model_is_what_is_measured(tmp_path):
    setting = Setting(torch.device("cpu"), Size(), tmp_path, time.monotonic() + 60)
    run = setting.recipe()
    assert run.params.model.encoder.resolve().depth == 12 and run.method.options.query.width == 256
    assert (run.params.loop.batch, run.params.loop.precision, run.params.loop.processes) == (512, "bfloat16", 1)


def test_a_part_that_fails_or_has_no_time_is_a_row_with_its_reason(tmp_path, monkeypatch):
    def broken(setting):
        yield Row("broken", "first", 1.0)
        raise torch.OutOfMemoryError("CUDA out of memory | tried\nto allocate")

    def endless(setting):
        yield Row("endless", "begun", 1.0)
        while True:
            time.sleep(0.01)

    def fine(setting):
        yield Row("fine", "done", 2.0)

    monkeypatch.setattr(
        program, "PARTS", {"broken": (broken, 0), "long": (fine, 60), "fine": (fine, 0), "endless": (endless, 0)}
    )
    kept = []
    setting = Setting(torch.device("cpu"), Size(), tmp_path, time.monotonic() + 2)
    rows = program.run(setting, lambda rows: kept.append(len(rows)))
    told = [(row.part, row.value, row.note) for row in rows]
    assert told[:2] == [("broken", 1.0, ""), ("broken", None, "OutOfMemoryError: CUDA out of memory | tried")]
    assert told[2][2].startswith("skipped: ") and told[2][2].endswith("s were left of 60")
    assert told[3] == ("fine", 2.0, "")
    assert told[4:] == [("endless", 1.0, ""), told[5]] and "stopped: not done within" in told[5][2]
    assert kept == [2, 3, 4, 6]


def test_without_a_gpu_it_says_so(capsys, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert program.main(["--out", str(tmp_path)]) == 1
    assert "--tiny" in capsys.readouterr().err


def test_a_table_keeps_what_it_is_given():
    text = markdown(
        {"device": "none"}, [Row("a", "b", 12345.6, "records/s", "c"), Row("d", "e", None, note="why | how")]
    )
    assert "| a | b | 12,346 records/s | c |" in text and "| d | e | none | why \\| how |" in text
