"""What starts processes ends them, however it ends itself, and tells the real cause when one of them fails."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
import ranked
import small
import torch

from kmerl import children
from kmerl.children import bound
from kmerl.errors import UserError
from kmerl.pool import pool
from kmerl.training import processes
from kmerl.training.processes import launch

ROOT = Path(__file__).parents[1]
PATIENCE = 120  # s, for a busy machine
STOPPED = "pretrain@small: error: stopped; run it again when you like\n"


@pytest.fixture
def folder(tmp_path):
    small.store(tmp_path / "store")
    return tmp_path


def start(folder, fault, workers=0, **options):
    """The program of ``tests/ranked.py`` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.ranked", folder, fault, str(workers)], cwd=ROOT, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}, **options,
    )  # fmt: skip


def alive(folder, but=0):
    """Processes that have ``folder`` in their command, other than ``but``: all that a test started have it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid not in (but, os.getpid())]


def until(met, what):
    end = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)


def none_is_alive(folder):
    end = time.monotonic() + 20
    while alive(folder) and time.monotonic() < end:
        time.sleep(0.1)
    left = alive(folder)
    for process in left:
        process.kill()
    assert left == []


def all_there(folder):
    return lambda: (folder / "pid-0").exists() and (folder / "pid-1").exists()


# ------------------------------------------------------------------------------------- the one that started them ends


@pytest.mark.parametrize("group", [True, False], ids=["group", "parent"])
@pytest.mark.parametrize("after", [0.0, 0.1, 1.0])
def test_a_kill_while_ranks_start_leaves_none_alive(tmp_path, group, after):
    process = start(tmp_path, "sleep")
    until(lambda: alive(tmp_path, process.pid), "a rank is there")
    time.sleep(after)
    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    none_is_alive(tmp_path)


def test_a_kill_of_the_parent_ends_ranks_and_their_readers_even_if_they_are_stopped(folder):
    process = start(folder, "hung@01", workers=1)
    until(all_there(folder), "ranks train")
    until(lambda: len(alive(folder, process.pid)) == 4, "two ranks have a reader each")
    time.sleep(1)
    for one in alive(folder, process.pid):
        one.suspend()
    process.kill()
    process.wait()
    none_is_alive(folder)


def test_a_child_whose_parent_is_gone_before_it_is_bound_does_not_begin(tmp_path):
    if bound() is None:
        pytest.skip("Linux only")
    begin = bound()  # of this process, which will not be the parent of what uses it
    forked = os.fork()
    if not forked:
        subprocess.Popen(["touch", tmp_path / "began"], preexec_fn=begin).wait()
        os._exit(0)
    os.waitpid(forked, 0)
    assert not (tmp_path / "began").exists()
    subprocess.run(["touch", tmp_path / "began"], preexec_fn=begin, check=True)
    assert (tmp_path / "began").exists()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_ends_all_and_says_one_line(tmp_path, sent, times):
    process = start(tmp_path, "sleep")
    until(all_there(tmp_path), "ranks run")
    for _ in range(times):
        process.send_signal(sent)
        time.sleep(0.01)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, STOPPED)
    none_is_alive(tmp_path)


def test_an_interrupt_from_the_terminal_which_all_get_is_one_line(tmp_path):
    process = start(tmp_path, "sleep")
    until(all_there(tmp_path), "ranks run")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, STOPPED)
    none_is_alive(tmp_path)


# --------------------------------------------------------------------------------------------------- one of them ends


@pytest.mark.parametrize(
    ("fault", "workers", "told"),
    [
        ("mistake@1", 0, "^the loss is nan at step 3; lower the learning rate$"),
        ("mistake@01", 1, "^the loss is nan at step 3; lower the learning rate$"),
        ("exit@1", 0, r"^rank 1 \(process \d+\) ended with exit status 7 \(Error: the driver is too old\); all were"),
        ("killed@1", 0, r"^rank 1 \(process \d+\) was ended by SIGKILL, perhaps for want of memory; all .*run again"),
        ("killed@0", 0, r"^rank 0 \(process \d+\) was ended by SIGKILL"),
        ("killed@1", 1, r"^DataLoader worker \(pid.*; lower pretrain.loop.workers if memory is short"),
    ],
)
def test_the_end_of_one_rank_ends_all_and_tells_the_real_cause(folder, capfd, fault, workers, told):
    before = psutil.Process().children(recursive=True)  # what other tests in this process left
    with pytest.raises(UserError, match=told) as error:
        launch(2, partial(ranked.train, folder, fault, workers=workers))
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""
    assert not (folder / "data").exists()
    assert [one for one in psutil.Process().children(recursive=True) if one not in before] == []


def test_a_full_disk_of_one_rank_is_told_as_if_there_were_one_process(folder):
    process = start(folder, "disk@1")
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said == "pretrain@small: error: checkpoint.pt: the disk is full; free space there and run again\n"


def test_a_mistake_of_ours_keeps_the_traceback_of_its_process(folder):
    with pytest.raises(KeyError, match="a mistake of ours") as error:
        launch(2, partial(ranked.train, folder, "bug@1"))
    assert 'File "' in str(error.value.__cause__)
    assert "ranked.py" in str(error.value.__cause__)


@pytest.mark.parametrize(
    ("workers", "told"),
    [(0, r"^rank 1 \(process \d+\) was stopped"), (1, r"^process \d+, which works for rank 1 \(process \d+\), was")],
)
def test_a_rank_that_is_stopped_is_not_waited_for_without_end(folder, monkeypatch, workers, told):
    monkeypatch.setattr(children, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(children, "STOPPED_SECONDS", 1.0)
    with pytest.raises(UserError, match=rf"{told}.*run again") as error:
        launch(2, partial(ranked.train, folder, "stopped@1", workers=workers))
    assert "\n" not in str(error.value)
    none_is_alive(folder)


@pytest.mark.thorough
def test_a_rank_that_hangs_is_named_with_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "HUNG_SECONDS", 30.0)
    told = (
        r"no process got on: rank 1 \(process \d+\) reads the records of step 6, and the others wait; all .*run again"
    )
    with pytest.raises(UserError, match=told):
        launch(2, partial(ranked.hang, tmp_path))


def test_a_run_that_rests_as_a_whole_goes_on(folder):
    """Ctrl-Z stops the one that watches, too; what it sees afterwards is no reason to end the others."""
    process = start(folder, "")
    until(all_there(folder), "ranks train")
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")


# ----------------------------------------------------------------------------------------------- what they say and do


def test_only_the_first_rank_speaks(folder, capfd):
    launch(2, partial(ranked.train_and_note, folder, steps=0))
    first, second = ((folder / f"said-{rank}").read_text() for rank in range(2))
    assert first.startswith("saved as initialised, without a step")
    assert second == ""
    said = launch(2, partial(ranked.train, folder, ""))
    assert said.startswith("8 steps on 16 records")
    assert [line.partition(",")[0] for line in capfd.readouterr().out.splitlines()] == [
        "pretrain@small: step 4 of 8",
        "pretrain@small: step 8 of 8",
    ]


def test_a_run_whose_ranks_were_killed_goes_on_to_the_same_bytes(folder, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole")
    small.store(whole / "store")
    launch(2, partial(ranked.train, whole, ""))
    with pytest.raises(UserError, match="SIGKILL"):
        launch(2, partial(ranked.train, folder, "killed@01"))
    assert [path.name for path in (folder / ".scratch").rglob("*.pt")] == ["checkpoint.pt"]
    launch(2, partial(ranked.train, folder, ""))
    assert not [*(folder / ".scratch").rglob("*.pt")]
    assert contents(folder / "data/runs/small") == contents(whole / "data/runs/small") != {}


@pytest.mark.parametrize("fault", ["told@1", "all told@1"])
def test_ranks_that_are_told_to_end_keep_the_step_under_way_and_go_on_to_the_same_bytes(
    folder, tmp_path_factory, fault
):
    whole = tmp_path_factory.mktemp("whole")
    small.store(whole / "store")
    launch(2, partial(ranked.train, whole, ""))
    process = start(folder, fault, workers=1 if fault == "all told@1" else 0)
    _, said = process.communicate(timeout=PATIENCE)
    step = re.fullmatch(STOPPED.replace("stopped", r"stopped after step (\d) of 8, from which it goes on"), said)
    assert process.returncode == 130
    assert step is not None, said
    assert 3 <= int(step[1]) <= 7
    (checkpoint,) = (folder / ".scratch").rglob("*.pt")
    assert torch.load(checkpoint, weights_only=True)["step"] == int(step[1])
    launch(2, partial(ranked.train, folder, ""))
    assert contents(folder / "data/runs/small") == contents(whole / "data/runs/small") != {}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


RUNS = """
import subprocess, sys
from workflow.commands import Stops
stops = Stops("pretrain@small")
stops.allow()
stops.started = True
sys.exit(subprocess.run([sys.executable, "-c", sys.argv[1]]).returncode)
"""
STAGE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), print("kept", flush=True), sys.exit(130)))
print("begun", flush=True)
time.sleep(600)
"""


def test_what_runs_a_stage_passes_sigterm_on_and_waits_for_it_to_end_in_order():
    process = subprocess.Popen([sys.executable, "-c", RUNS, STAGE], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    for _ in range(2):
        process.terminate()
    assert (process.communicate(timeout=PATIENCE)[0], process.returncode) == ("kept\n", 130)


# -------------------------------------------------------------------------------------------------- other processes


def napping(folder, seconds):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.pooled", folder, str(seconds)], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )  # fmt: skip
    until(all_there(folder), "both processes work")
    until(lambda: all((folder / f"pid-{i}").read_text() for i in range(2)), "both are known")
    return process, [psutil.Process(int((folder / f"pid-{i}").read_text())) for i in range(2)]


def ended(workers):
    _, left = psutil.wait_procs(workers, timeout=20)
    return [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []


def test_processes_of_a_pool_end_with_the_one_that_started_them_even_if_they_are_stopped(tmp_path):
    process, workers = napping(tmp_path, 60)
    for one in workers:
        one.suspend()
    process.kill()
    process.communicate()
    assert ended(workers)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_pool_that_is_told_to_end_does_not_wait_for_what_is_under_way(tmp_path, sent, times):
    process, workers = napping(tmp_path, 60)
    for _ in range(times):
        process.send_signal(sent)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (1, "interrupted\n")
    assert ended(workers)


def test_a_process_of_a_pool_that_is_stopped_is_not_waited_for_without_end(tmp_path):
    process, workers = napping(tmp_path, 1)
    workers[1].suspend()
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert said == (
        f"process {workers[1].pid}, one of 2 that share the work, was stopped (SIGSTOP) for 1 s, so all were ended; "
        "run again\n"
    )
    assert ended(workers)


def test_an_error_of_a_call_in_a_pool_is_raised_as_it_is():
    with pytest.raises(ValueError, match="invalid literal"), pool(1, "broken") as submit:
        submit(int, "x").result()


VLLM = """
import subprocess, sys
class LLM:
    def __init__(self, **_):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", {folder!r}])
        open({folder!r} + "/loads", "w").close()
        import time; time.sleep(600)
__version__ = "0"
"""
ASKS = """
import sys, yaml
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.engines.vllm import VllmEngine
given = yaml.safe_load(open("params.yaml", encoding="utf-8"))["knowledge"]["engine"]
given |= {"name": "vllm", "model": "m", "vllm": given["vllm"] | {"python": sys.argv[1]}}
next(VllmEngine(EngineParams.model_validate(given)).answer(iter([{}])))
"""


@pytest.mark.thorough
def test_vllm_and_all_it_started_end_with_the_one_that_asks_even_if_it_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "vllm.py").write_text(VLLM.format(folder=str(tmp_path)))
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.path.insert(0, {str(tmp_path)!r})\nsys.argv = sys.argv[2:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    python.chmod(0o755)
    asks = subprocess.Popen([sys.executable, "-c", ASKS, python], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    until((tmp_path / "loads").exists, "the model is being loaded")
    until(lambda: len(alive(tmp_path, asks.pid)) == 3, "worker, guard and engine are there")
    worker = min(alive(tmp_path, asks.pid), key=lambda one: one.create_time())
    worker.suspend()
    asks.kill()
    asks.wait()
    end = time.monotonic() + PATIENCE  # it gets 20 s to end by itself
    while alive(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    none_is_alive(tmp_path)
