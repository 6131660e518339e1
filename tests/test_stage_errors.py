"""What ends a stage is told in one line where the user can do something about it, and with its traceback where not."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kmerl.artifacts import write_json
from kmerl.errors import UserError
from stages import __main__ as program
from workflow.damage import damaged, digest


@pytest.fixture
def ends(tmp_path, monkeypatch, capsys):
    """Run a stage that raises an error, in a project whose record says what another one made; returns what it said."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("runs: {a: {folder: data/made}}\n")
    stage = {"foreach": "${runs}", "do": {"deps": ["${item.folder}"], "outs": ["data/scores/${key}"]}}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"score": stage}}))
    write_json("data/made/values.json", {"value": 1})
    entry = {"outs": [{"path": "data/made", "md5": digest(Path("data/made"))}]}
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"make": entry}}))

    def run(error: BaseException) -> tuple[int, str]:
        def raises(stage: str, item: str | None) -> str:
            raise error

        monkeypatch.setattr(program, "run", raises)
        return program.main(["score", "a"]), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("x: wrong; mend it"), 1, "x: wrong; mend it"),
        (OSError(errno.ENOSPC, "full", "data/x"), 1, "data/x: the disk is full; free space there and run again"),
        (RuntimeError(f"writing: {os.strerror(errno.ENOSPC)}"), 1, "the disk is full; free space there and run again"),
        (
            PermissionError(errno.EACCES, "no", "data/x"),
            1,
            "data/x: permission denied; get the right to read and write",
        ),
        (FileNotFoundError(errno.ENOENT, "none", "data/x"), 1, "data/x: no such file; run the stage that makes it"),
        (MemoryError(), 1, "not enough memory; end other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes"), 1, "not enough memory; end other"),
        (RuntimeError("CUDA out of memory. Tried to"), 1, "not enough memory; end other programs"),
        (KeyboardInterrupt(), 130, "stopped; run it again"),
    ],
)
def test_what_the_user_can_mend_is_told_in_one_line(ends, error, status, line):
    ended, said = ends(error)
    assert ended == status
    assert said.startswith(f"score@a: error: {line}")
    assert said.count("\n") == 1


def test_a_full_disk_that_a_library_stumbled_over_twice_is_told(ends):
    error = RuntimeError("unexpected pos 64 vs 0")
    error.__context__ = OSError(errno.ENOSPC, "full")
    assert "the disk is full" in ends(error)[1]


def test_a_mistake_of_ours_keeps_its_traceback(ends):
    with pytest.raises(KeyError):
        ends(KeyError("value"))


def test_an_error_from_a_damaged_input_names_the_input_and_who_makes_it(ends):
    write_json("data/made/values.json", {"valve": 1})
    assert list(damaged(["data/made"])) == [("data/made", "make")]
    status, said = ends(KeyError("value"))
    assert status == 1
    assert said.startswith("score@a: error: data/made: not as make wrote it")
    assert said.count("\n") == 1


def test_nobody_who_reads_the_output_is_no_error_of_ours(tmp_path):
    code = "import sys, stages.__main__ as m; m.run = lambda *a: 'x' * 99999; sys.exit(m.main(['merge']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=-1,
        stderr=-1,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate()
    assert (process.returncode, said) == (1, b"")


def test_a_folder_is_hashed_as_dvc_does(tmp_path):
    write_json(tmp_path / "b/values.json", {"value": 1})
    write_json(tmp_path / "b/a/more.json", {})
    (tmp_path / "b/.snakemake_timestamp").touch()
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".dvcignore").write_text(".snakemake_timestamp\n")
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "b"], cwd=tmp_path, check=True)
    (out,) = yaml.safe_load((tmp_path / "b.dvc").read_text())["outs"]
    assert digest(tmp_path / "b") == out["md5"]
