"""The two engines agree: on a toy pipeline, run by the real bridge and rules, and on the real one."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from engines.project import ALL, READ, ROOT, Project, real

from workflow import fingerprint, profile
from workflow.bridge import Pipeline

TABLE = "results/tables/sums.csv"


def test_t1_after_snakemake_both_engines_have_nothing_to_do(made):
    assert made.agreed()


def test_t2_after_dvc_repro_both_engines_have_nothing_to_do_and_the_record_is_the_same(fresh, made, tmp_path):
    project = fresh.copy(tmp_path / "toy")
    project.dvc("repro")
    assert project.computed() == ALL
    assert project.agreed()
    records = [yaml.safe_load((one.folder / "dvc.lock").read_text()) for one in (project, made)]
    assert records[0] == records[1]


@pytest.mark.parametrize("engine", ["dvc", pytest.param("snakemake", marks=pytest.mark.thorough)])
def test_t3_t5_a_changed_value_runs_the_same_stages_in_either_engine_and_changing_it_back_computes_nothing(
    project, engine
):
    before = (project.folder / TABLE).read_bytes()

    def run():
        return project.snakemake() if engine == "snakemake" else project.dvc("repro")

    project.replace("params.yaml", "factor: 2", "factor: 3")
    assert project.planned() == {"preprocess", "scores", "tables"}
    run()
    assert project.computed() == [*READ, "scores@a", "tables"]
    assert (project.folder / TABLE).read_bytes() != before
    assert project.agreed()

    project.replace("params.yaml", "factor: 3", "factor: 2")
    run()
    assert project.computed() == []
    assert (project.folder / TABLE).read_bytes() == before
    assert project.agreed()


def test_t4_comments_docstrings_and_unrelated_files_make_nothing_stale(project):
    project.replace("kmerl/toy.py", '"""n numbers that depend on the seed."""', '"""Other words."""  # a comment')
    project.replace("stages/tables.py", "lines = []", "\n    # why\n    lines = (\n        []\n    )")
    project.replace("stages/__main__.py", "import importlib\n", "import importlib\n\nUNUSED = 1\n")
    project.replace("kmerl/params.py", "SECTIONS =", "UNUSED = 1\nSECTIONS =")
    (project.folder / "notes.txt").write_text("unrelated")
    assert project.planned() == set()
    project.dvc("repro")
    assert project.computed() == []


def test_t4_changed_code_makes_its_stage_and_what_follows_stale(project):
    project.replace("stages/preprocess.py", "float(value) *", "1.0 * float(value) *")
    assert project.planned() == {"preprocess", "scores", "tables"}
    project.replace("kmerl/names.csv", "Archive A", "The first")
    project.dvc("repro")
    assert {*READ, "tables"} <= set(project.computed())
    assert project.agreed()


def test_t3_the_items_of_a_stage_can_be_a_list_within_a_section(project):
    project.replace("params.yaml", "archives: [a]", "archives: [a, b]")
    assert project.planned() == {"scores", "tables"}
    project.dvc("repro", "scores@b")
    assert project.computed() == ["scores@b"]
    assert (
        "no item 'c'; the items of scores are a, b"
        in project.run("python", "-m", "stages", "scores", "c", check=False).stdout
    )


def test_t5_git_checkout_and_dvc_checkout_give_a_state_back_with_nothing_to_do(project):
    project.replace("params.yaml", "digits: 1 ", "digits: 0 ")
    project.dvc("repro")
    project.run("git", "checkout", "-q", "--force", "HEAD")
    project.dvc("checkout")
    assert project.computed() == ["tables"]
    assert project.agreed()


@pytest.mark.thorough
def test_t5_what_a_removed_stage_or_a_killed_run_left_does_not_count(project, fresh, tmp_path):
    project.replace("params.yaml", "simulated: [a, b]", "simulated: [a]")
    project.replace("params.yaml", "  b:\n    watch: data/simulated/b\n", "")
    clone = fresh.copy(tmp_path / "clone")
    shutil.copy(project.folder / "params.yaml", clone.folder)
    waveforms = project.folder / "data/waveforms"
    (waveforms / "a/.1of2.99999999.partial").mkdir()
    being_written = project.folder / f"data/rejected/a/.1of2.csv.{os.getpid()}.partial"
    being_written.touch()
    (project.folder / "data/raw/mine").mkdir(parents=True)
    long_ago = project.folder / ".scratch/removed/2020-01-31"
    long_ago.mkdir(parents=True)

    said = project.snakemake()
    (moved,) = (project.folder / ".scratch/removed").iterdir()  # named after the day
    target = f".scratch/removed/{moved.name}/data/waveforms/b"
    assert f"data/waveforms/b: no stage makes it any more; moved to {target}" in said
    assert not long_ago.exists()
    assert {path.name for path in waveforms.iterdir()} - {".snakemake_timestamp"} == {"a"}
    assert being_written.exists()
    assert (project.folder / target / "1of2/shard.txt").exists()
    assert (project.folder / "data/raw/mine").exists()
    assert project.computed() == ["tables"]
    assert project.agreed()
    clone.snakemake()
    records = [yaml.safe_load((one.folder / "dvc.lock").read_text())["stages"]["tables"] for one in (project, clone)]
    assert records[0] == records[1]

    project.run("git", "checkout", "-q", "--force", "HEAD")
    project.snakemake()
    assert project.computed() == []
    assert (waveforms / "b/1of2/shard.txt").exists()
    assert project.agreed()


@pytest.mark.thorough
def test_t5_parts_of_an_archive_that_no_job_makes_any_more_do_not_count(project):
    project.replace("params.yaml", "parts: [1of2, 2of2]", "parts: [1of2]")
    said = project.snakemake()
    assert "data/waveforms/a/2of2: no stage makes it any more; moved to" in said
    assert not (project.folder / "data/waveforms/b/2of2").exists()
    assert project.agreed()


@pytest.fixture
def no_reaper():
    """Nobody waits for orphans, as in a container without an init: killed processes stay as zombies."""
    set_child_subreaper = 36
    linux = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
    if linux is not None:
        assert linux.prctl(set_child_subreaper, 1, 0, 0, 0) == 0
    yield
    if linux is not None:
        linux.prctl(set_child_subreaper, 0, 0, 0, 0)


def test_t7_a_killed_run_needs_no_unlocking_and_keeps_finished_stages(project, no_reaper):
    project.replace("params.yaml", "factor: 2", "factor: 4")
    project.replace("params.yaml", "pause: 0 ", "pause: 60 ")
    process = project.start("snakemake", "--cores", "2", "--quiet", "all")
    project.wait_for("tables", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.computed()
    project.replace("params.yaml", "pause: 60 ", "pause: 0 ")
    project.snakemake()
    assert project.computed() == ["tables"]
    assert project.agreed()


@pytest.mark.thorough
def test_t7_what_is_damaged_in_the_cache_too_is_made_again(project):
    file = project.folder / "data/simulated/a/values.txt"
    right = file.read_bytes()
    cached = [path for path in (project.folder / ".dvc/cache/files").rglob("*") if path.is_file()]
    same = {path.stat().st_ino: path for path in [file, *cached] if path.read_bytes() == right}
    for path in same.values():  # in place, as a disk or root would: one file may have both names
        mode = path.stat().st_mode
        path.chmod(0o644)
        path.write_bytes(right.replace(b"1", b"2"))
        path.chmod(mode)
    assert "data/simulated/a: damaged in DVC's cache and deleted there; its stage makes it again" in project.snakemake()
    assert project.computed() == ["simulate@a"]
    assert file.read_bytes() == right
    assert project.agreed()


def test_t6_a_clone_that_pulls_from_a_remote_has_nothing_to_do(made, tmp_path):
    origin = made.copy(tmp_path / "origin")
    origin.dvc("remote", "add", "--default", "here", str(tmp_path / "remote"))
    origin.commit()
    origin.dvc("push")
    origin.run("git", "clone", "-q", str(origin.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.dvc("pull")
    assert clone.agreed()
    assert clone.computed() == []


@pytest.mark.parametrize(("copied", "engine"), [("folder", "snakemake"), ("archive", "dvc"), ("folder", "dvc")])
def test_t9_the_pipeline_runs_where_there_is_no_git(fresh, tmp_path, copied, engine):
    project = fresh.copy(tmp_path / "toy")
    if copied == "archive":  # as the zip that a hosting service offers
        fresh.run("git", "archive", "-o", str(tmp_path / "toy.tar"), "HEAD")
        shutil.rmtree(project.folder)
        project.folder.mkdir()
        subprocess.run(["tar", "-xf", str(tmp_path / "toy.tar"), "-C", str(project.folder)], check=True)
    else:
        shutil.rmtree(project.folder / ".git")
        if engine == "dvc":
            project.run("python", "-m", "workflow.nogit")  # make does it when it installs
    project.snakemake("data/simulated/a") if engine == "snakemake" else project.dvc("repro", "simulate@a")
    assert project.computed() == ["simulate@a"]
    assert "simulate@a" not in project.stale()


@pytest.mark.parametrize(
    "engine", [("dvc", "repro"), pytest.param(("snakemake", "--cores", "2"), marks=pytest.mark.thorough)]
)
def test_t11_a_stage_whose_parameters_change_while_it_runs_fails_and_nothing_wrong_is_kept(project, engine):
    before = (project.folder / TABLE).read_bytes()
    project.replace("params.yaml", "pause: 0 ", "pause: 2 ")
    process = project.start(*engine)
    project.wait_for("tables", process)
    project.computed()
    project.replace("params.yaml", "digits: 1 ", "digits: -1 ")
    said, _ = process.communicate()
    assert process.returncode != 0
    assert "tables: error: params.yaml changed while tables ran; run the pipeline again" in said

    project.run(*engine)
    assert project.computed() == ["tables"]
    assert (project.folder / TABLE).read_bytes() != before
    assert project.stale() == set()
    project.replace("params.yaml", "digits: -1 ", "digits: 1 ")
    project.replace("params.yaml", "pause: 2 ", "pause: 0 ")
    project.run(*engine)
    assert project.computed() == []
    assert (project.folder / TABLE).read_bytes() == before


@pytest.mark.parametrize("module", ["workflow.fingerprint", "stages"])
def test_another_python_than_the_projects_is_answered_in_one_line(project, module):
    said = project.run(sys.executable, "-S", "-m", module, "tables", check=False)
    assert said.returncode == 1
    assert re.fullmatch(r"\w+: error: .*`source .venv/bin/activate`.*\n", said.stdout)


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        ("params.yaml", "seed: 1", "sed: 1", "params.yaml: unknown parameter sed"),
        ("params.yaml", "watch: data/simulated/a", "watch: data/raw/a", "data/raw/a: no such file or folder"),
        ("stages/tables.py", "lines = []", "lines = [", "stages/tables.py:10: '[' was never closed"),
    ],
)
def test_a_users_mistake_is_answered_in_one_line_before_anything_runs(project, file, old, new, line):
    project.replace(file, old, new)
    said = project.snakemake(check=False)
    assert line in said
    assert "Traceback" not in said
    assert project.computed() == []


HOSTILE = ["x$(touch PWNED)", "x`touch PWNED`", "x'; touch PWNED; '", "../../victim", "../../../outside", "-x", "ä"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_executed_nor_a_path_out_of_its_folder(project, name):
    for folder in (victim := project.folder / "victim", outside := project.folder.parent / "outside"):
        folder.mkdir()
        (folder / "precious.txt").touch()
    record = (project.folder / "data/simulated/a/values.txt").read_bytes()
    values = yaml.safe_load((project.folder / "params.yaml").read_text())
    values["simulated"].append(name)
    values["simulate"][name] = {"records": 3}
    (project.folder / "params.yaml").write_text(yaml.safe_dump(values))
    answers = [project.snakemake("-n", check=False), project.dvc("repro", check=False)]
    answers += [project.dvc("repro", f"simulate@{name}", check=False)]
    answers += [project.run("python", "-m", "stages", "simulate", name, check=False).stdout]
    for said in answers:
        assert "is no name; take letters and digits" in said
        assert "Traceback" not in said
    said = project.run("python", "-m", "workflow.run", f"simulate@{name}", "log", check=False).stdout
    assert "is no name" in said
    assert (victim / "precious.txt").exists() and (outside / "precious.txt").exists()
    assert not (project.folder / "PWNED").exists()
    assert (project.folder / "data/simulated/a/values.txt").read_bytes() == record
    assert project.computed() == []


def test_even_a_stage_that_dvc_runs_by_itself_has_no_name_that_a_shell_executes(project):
    name = HOSTILE[0]
    project.replace("params.yaml", "simulated: [a, b]", f"simulated: [a, b, '{name}']")
    project.replace("params.yaml", "simulate:\n", f"simulate:\n  '{name}': {{records: 3}}\n")
    said = project.dvc("repro", "--single-item", f"simulate@{name}", check=False)
    assert "is no name; take letters and digits" in said
    assert not (project.folder / "PWNED").exists()


def test_a_failing_stage_says_why_on_the_terminal(project):
    project.replace("params.yaml", "factor: 2", "factor: -1")
    said = project.snakemake(check=False)
    assert re.search(r"^preprocess@\S+: error: preprocess.factor is negative; make it positive$", said, re.MULTILINE)
    assert "failed; the end of" not in said
    assert "Traceback" not in said


def test_a_stage_that_dies_after_telling_its_progress_is_reported(project):
    dies = '    print(f"preprocess@{item}: step 1 of 9", flush=True)\n    os.kill(os.getpid(), 9)\n'
    project.replace("stages/preprocess.py", "from pathlib", "import os\nfrom pathlib")
    project.replace("stages/preprocess.py", "    values =", f"{dies}    values =")
    said = project.snakemake(check=False)
    (name,) = re.findall(r"^(preprocess@\S+): step 1 of 9$", said, re.MULTILINE)  # whichever part came first
    assert f"{name}: failed; the end of logs/{name}.log says why" in said


@pytest.mark.parametrize("engine", [("snakemake", "--cores", "2"), ("dvc", "repro")])
@pytest.mark.parametrize("seconds", [1, *(pytest.param(one, marks=pytest.mark.thorough) for one in (0, 0.2, 3, 6))])
def test_ctrl_c_twice_at_any_moment_is_answered_without_a_traceback(project, engine, seconds):
    project.replace("params.yaml", "factor: 2", "factor: 7")
    project.replace("params.yaml", "pause: 0 ", "pause: 5 ")
    process = project.start(*engine)
    time.sleep(seconds)
    with suppress(ProcessLookupError):  # of a process that has ended by itself
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.1)
    said, _ = process.communicate(timeout=300)
    assert "Traceback" not in said
    assert "Error in sys" not in said
    if process.returncode > 0:
        assert re.search("stopped|interrupted by the user|on user request", said)


@pytest.mark.parametrize("engine", [("snakemake", "-n"), ("dvc", "status")])
def test_a_home_that_cannot_be_written_is_done_without(project, engine):
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "", "DVC_SITE_CACHE_DIR": "/proc/none"}
    done = subprocess.run(
        engine, cwd=project.folder, env=project.environment() | nowhere, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr


@pytest.mark.skipif(shutil.which("taskset") is None, reason="no taskset")
@pytest.mark.parametrize(
    ("options", "threads"),
    [
        (["--cores", "8"], 1),
        (["--cores", "8", "--set-threads", "preprocess=3"], 3),  # as a profile does, which knows its cluster's nodes
        (["--cores", "2", "--set-threads", "preprocess=3"], 2),
    ],
)
def test_a_job_asks_for_no_more_threads_than_its_node_has_unless_the_profile_does(project, options, threads):
    project.replace("params.yaml", "factor: 2", "factor: 3")
    one = str(min(os.sched_getaffinity(0)))
    said = project.run("taskset", "-c", one, "snakemake", "-n", "--printshellcmds", "--quiet", "host", *options).stdout
    asked = re.findall(r"workflow.run preprocess@\S+ \S+ (\d+)", said)
    assert asked == [str(threads)] * 4


def test_a_second_snakemake_in_the_same_folder_is_refused(project):
    lock = project.folder / ".dvc/tmp/snakemake.lock"
    holder = subprocess.Popen(["flock", str(lock), "sleep", "60"])
    try:
        time.sleep(0.3)
        assert "already at work" in project.snakemake("-n", check=False)
    finally:
        holder.kill()


# ---------------------------------------------------------------------------------------------- the real pipeline


def test_every_stage_says_what_it_asks_a_node_for_and_every_shown_result_has_its_caption():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    needs = yaml.safe_load((ROOT / "workflow/rules.yaml").read_text())
    assert set(needs) == set(stages) - {"code"}
    assert all({"mem_mb", "runtime"} <= set(one) for one in needs.values())
    captions = {path.stem for path in (ROOT / "workflow/report").glob("*.rst")} - {"workflow"}
    assert captions == {stage for stage, one in needs.items() if "shown" in one}


def test_every_packaged_data_file_counts_for_a_stage(monkeypatch):
    monkeypatch.chdir(ROOT)
    fingerprint.forget()
    counted = {
        file for stage in Path("stages").glob("[a-z]*.py") for file in fingerprint.files_of(f"stages.{stage.stem}")
    }
    data = {file for file in Path("kmerl").rglob("*") if file.suffix in fingerprint.DATA}
    assert data <= counted
    assert Path("kmerl/params.py") not in counted


@pytest.fixture(scope="module")
def unmade(tmp_path_factory):
    """The real pipeline before it ran; a test changes its parameters only, and gives them back."""
    return real(tmp_path_factory.mktemp("unmade") / "project", "tiny")


@pytest.fixture
def parameters(unmade):
    """The file of parameters to play with."""
    file = unmade.folder / "params.yaml"
    text = file.read_bytes()
    yield file
    file.unlink()
    file.write_bytes(text)


NAMED = "runs:\n  kmerl:\n    method: kmerl\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 1 ", "seed: true ", "seed: Input should be a valid integer"),
        (NAMED, NAMED + "  '': {method: kmerl}\n", "runs: '' is no name"),
        (None, "", "params.yaml: is empty"),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in (
                ("learning_rate: 1.0e-3", "learning_rate: .inf", "learning_rate: must be a finite number"),
                ("seed: 1 ", "seed: 1\nseed: 2 ", 'params.yaml: not YAML .*duplicate key "seed"'),
                ("# Every", "# \xe9very", "params.yaml:.* not UTF-8"),
                (NAMED, NAMED + "  .: {method: kmerl}\n", "runs: '.' is no name"),
                (NAMED, NAMED + "  1: {method: kmerl}\n", "runs: the name 1 is no text"),
                (
                    "    folder: data/simulated/ptb_xl",
                    "    folder: data/raw/other",
                    "data/raw/other holds the files of cpsc2018",
                ),
                (None, "[1]", "params.yaml: holds a list, not parameters"),
            )
        ),
    ],
)
def test_parameters_that_cannot_be_right_are_refused_in_one_line_by_every_command(
    unmade, parameters, old, new, message
):
    other = unmade.folder / "data/raw/other"
    other.mkdir(parents=True, exist_ok=True)
    (other / "REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\n")
    text = parameters.read_text()
    assert old is None or old in text
    parameters.write_text(new if old is None else text.replace(old, new, 1), "latin-1")
    commands = ["snakemake -n", "python -m stages reports", "python -m workflow.fingerprint"]
    for command in commands:
        said = unmade.run(*command.split(), check=False)
        assert said.returncode == 1
        assert re.search(message, said.stdout), said.stdout
        assert "Traceback" not in said.stdout
        assert len(said.stdout.strip().splitlines()) <= 2
    said = unmade.run(
        "dvc", "repro", "reports", check=False
    )  # DVC reads the file first, and may refuse it in its own words
    assert said.returncode
    assert "Traceback" not in said.stdout
    assert re.search(message, said.stdout) or re.search("^ERROR: ", said.stdout, re.MULTILINE)


def test_a_profile_is_a_file_of_its_folder_and_is_checked_before_it_is_put_in_place(unmade, parameters):
    (unmade.folder / "params/wrong.yaml").write_text("seed: true\n")
    before = parameters.read_bytes()
    for name, message in {
        "../params/tiny": "'../params/tiny' is no name; .* a profile is a file in params/",
        "/etc/passwd": "is no name",
        "wrong": "params.yaml with the profile wrong: seed: .*valid integer",
    }.items():
        said = unmade.run("python", "-m", "workflow.profile", name, check=False)
        assert said.returncode == 1
        assert re.fullmatch(f".*{message}.*\n", said.stdout), said.stdout
        assert parameters.read_bytes() == before


# ------------------------------------------------------------------------------------------------------ fingerprints


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A stage that imports two modules, one of them for type checkers only, and reads a table."""
    monkeypatch.chdir(tmp_path)
    files = {
        "stages/one.py": "import typing\nfrom kmerl import a\nif typing.TYPE_CHECKING:\n    import kmerl.b\n",
        "kmerl/__init__.py": "",
        "kmerl/a.py": '"""Doc."""\nfrom . import c\nTABLE = "tables/one.csv"\nFILE = f"{TABLE}.json"\n',
        "kmerl/b.py": "x = 1\n",
        "kmerl/c.py": 'x = "other.txt"\n',
        "kmerl/tables/one.csv": "1\n",
        "kmerl/other.txt": "1\n",
        "kmerl/some.json": "1\n",
        "kmerl/unread.csv": "1\n",
        "kmerl/package/__init__.py": "",
        "kmerl/package/other.txt": "1\n",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)

    def of(dag=None):
        fingerprint.forget()
        return fingerprint.fingerprint("stages.one", definition=(dag or {}).get("one"))

    return of


@pytest.mark.parametrize(
    ("file", "text", "counts"),
    [
        (
            "kmerl/a.py",
            '"""Other."""\nfrom . import c  # why\n\nTABLE = \'tables/one.csv\'\nFILE = f"{TABLE}.json"\n',
            False,
        ),
        ("kmerl/a.py", '"""Doc."""\nfrom . import c\nTABLE = "tables/one.csv"\ny = 1\n', True),
        ("kmerl/c.py", 'x = "other.txt", 2\n', True),
        ("kmerl/b.py", "x = 2\n", False),
        ("kmerl/__init__.py", "x = 1\n", True),
        ("kmerl/tables/one.csv", "2\n", True),
        ("kmerl/other.txt", "2\n", True),
        ("kmerl/some.json", "2\n", True),
        ("kmerl/unread.csv", "2\n", False),
        ("kmerl/package/other.txt", "2\n", False),
    ],
)
def test_a_fingerprint_changes_with_what_the_stage_uses_only(code, file, text, counts):
    before = code()
    Path(file).write_text(text)
    assert (code() != before) == counts


def test_a_data_file_that_dvc_compares_is_left_out_for_that_stage(code):
    dag = {"one": {"deps": ["kmerl/other.txt"]}}
    before = code(dag)
    Path("kmerl/other.txt").write_text("2\n")
    assert code(dag) == before


# ---------------------------------------------------------------------------------------------------------- profiles

DEMO = """\
# The demo.
seed: 1        # any
archives:
  a: {folder: x}
  b: {folder: y}
model:
  width:  128  # wide
  clip: null
"""


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """Writes a profile, switches to it and returns the values, or the message."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(DEMO)
    Path("params").mkdir()

    def switch(name, text=None):
        if text:
            Path(f"params/{name}.yaml").write_text(text)
        profile.switch(name)
        return yaml.safe_load(Path("params.yaml").read_text())

    return switch


def test_a_profile_changes_what_it_names_and_keeps_comments(profiles):
    values = profiles("tiny", "model: {width: 8}\narchives: !replace\n  c: {folder: z}\n")
    assert values == {"seed": 1, "archives": {"c": {"folder": "z"}}, "model": {"width": 8, "clip": None}}
    assert "# wide" in Path("params.yaml").read_text()


def test_switching_from_profile_to_profile_and_back_restores_the_demos_bytes(profiles):
    profiles("tiny", "seed: 2\n")
    assert profiles("other", "model: {clip: 5}\n")["seed"] == 1
    profiles("demo")
    profiles("demo")
    assert Path("params.yaml").read_text() == DEMO
    assert not Path("params/demo.yaml").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {widht: 8}", r"params/bad.yaml: model.widht: no such parameter; did you mean width\?"),
        ("model: [", "params/bad.yaml: not valid YAML"),
        ("# nothing", "params/bad.yaml: holds no parameters"),
    ],
)
def test_a_mistake_in_a_profile_is_named_and_changes_nothing(profiles, text, message):
    with pytest.raises(profile.UserError, match=message):
        profiles("bad", text)
    assert Path("params.yaml").read_text() == DEMO


def test_changes_made_by_hand_under_a_profile_are_never_overwritten(profiles):
    profiles("tiny", "seed: 2\n")
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "# mine\n")
    with pytest.raises(profile.UserError, match="changed by hand"):
        profiles("demo")


def test_every_profile_of_the_project_fits_its_parameters(tmp_path, monkeypatch):
    from kmerl.params import load

    for file in sorted((ROOT / "params").glob("*.yaml")):
        project = tmp_path / file.stem
        (project / "params").mkdir(parents=True)
        base = ROOT / "params/demo.yaml" if (ROOT / "params/demo.yaml").exists() else ROOT / "params.yaml"
        (project / "params.yaml").write_bytes(base.read_bytes())
        (project / "params" / file.name).write_bytes(file.read_bytes())
        monkeypatch.chdir(project)
        profile.switch(file.stem)
        load(Path("params.yaml"))


def test_a_plan_of_other_parameters_is_refused_by_a_dvc_that_does_not_write_it(unmade, parameters):
    file = unmade.folder / "plan.yaml"
    plan = file.read_text()
    file.write_text(plan.replace("without_merging", "other"))
    said = unmade.run("python", "-m", "dvc", "repro", check=False)
    assert said.returncode
    assert "code: error: plan.yaml is not of this params.yaml; run `python -m workflow.plan`" in said.stdout
    assert "Traceback" not in said.stdout
    said = unmade.run("python", "-m", "stages", "pretrain", "pretrain@other", check=False)
    assert said.stdout.startswith("pretrain@other: error: plan.yaml is not of this params.yaml; run ")
    unmade.run("python", "-m", "workflow.plan")
    assert file.read_text() == plan


@pytest.mark.parametrize("left", [None, b"", b"[1]", b"plan: {", b"\xff", b"<<<<<<< ours\n"])
def test_whatever_is_left_of_the_plan_is_written_anew(unmade, parameters, left):
    file = unmade.folder / "plan.yaml"
    plan = file.read_text()
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    unmade.run("snakemake", "-n")
    assert file.read_text() == plan


def test_what_most_stages_wait_for_begins_first_and_items_in_the_order_of_the_parameters():
    reads = {
        "simulate@other": [], "simulate@learnt": [], "labels": ["simulate@learnt"], "pretrain@long": ["labels"],
        "pretrain@short": ["labels"], "zeroshot@short": ["pretrain@short"], "zeroshot@long": ["pretrain@long"],
        "tables": ["zeroshot@long", "zeroshot@short", "simulate@other"],
    }  # fmt: skip
    pipeline = Pipeline.__new__(Pipeline)
    pipeline.made = {f"data/{name}": name for name in reads}
    pipeline.stages = {
        name: SimpleNamespace(deps=[SimpleNamespace(def_path=f"data/{one}") for one in of])
        for name, of in reads.items()
    }

    def priority(name):
        rule, _, item = name.partition("@")
        return pipeline.priority(rule)([item] if item else [])

    assert sorted(reads, key=priority, reverse=True) == [
        "simulate@learnt", "labels", "pretrain@long", "pretrain@short", "simulate@other", "zeroshot@short",
        "zeroshot@long", "tables",
    ]  # fmt: skip
