from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from stages.__main__ import declared, main, select

ROOT = Path(__file__).parent.parent
DAG = yaml.safe_load((ROOT / "dvc.yaml").read_text())


def test_a_stage_gets_the_parameters_that_make_it_stale_and_no_others():
    values = SimpleNamespace(
        seed=1, archives={"a": {"folder": "x"}, "b": 2}, text=SimpleNamespace(batch=3, pooling="cls")
    )
    chosen = select(values, ["seed", "archives.a", "text.batch"])
    assert chosen.seed == 1
    assert chosen.archives.a == {"folder": "x"}
    assert chosen.text.batch == 3
    assert not hasattr(chosen.archives, "b")
    assert not hasattr(chosen.text, "pooling")


def test_the_declared_parameters_of_one_of_several_are_its_own():
    assert declared("register", "ptb_xl", DAG) == ["archives.ptb_xl"]
    assert "seed" in declared("pretrain", "kmerl", DAG)


@pytest.mark.parametrize("stage", [name for name in DAG["stages"] if name != "code"])
def test_every_stage_of_the_pipeline_has_its_program_and_depends_on_its_code(stage):
    definition = DAG["stages"][stage].get("do", DAG["stages"][stage])
    assert (ROOT / f"stages/{stage}.py").exists()
    assert definition["cmd"].startswith(f"python -m stages {stage}")
    assert {"data/code.json": [stage]} in definition["params"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the real parameters and one stage of our own."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text("stages: {register: {params: [seed]}}\n")
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/register.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_unknown_stage_is_answered_with_those_there_are(project, capsys):
    assert main(["registre"]) == 1
    error = capsys.readouterr().err
    assert "no stage 'registre'; the stages are register" in error
    assert error.count("\n") == 1


def test_a_users_mistake_is_one_line_and_no_traceback(project, capsys):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("seed:", "sead:", 1))
    assert main(["register"]) == 1
    error = capsys.readouterr().err
    assert "sead: unknown parameter" in error or "seed: missing" in error
    assert "Traceback" not in error
    assert error.count("\n") == 1


def test_parameters_changed_while_a_stage_runs_make_it_fail(project, capsys, monkeypatch):
    def edit(params):
        text = (project / "params.yaml").read_text()
        (project / "params.yaml").write_text(text.replace("seed: 1", "seed: 2", 1))
        return f"ran with {params.seed}"

    monkeypatch.setattr("stages.register.main", edit)
    assert main(["register"]) == 1
    assert "changed while register ran" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("foreach", "argv", "message"),
    [
        ("'${zeroshot.runs}'", ["register", "kmrl"], "no item 'kmrl'; the items of register are kmerl, random_init"),
        ("'${simulated}'", ["register", "mimic"], "no item 'mimic'; the items of register are mimic_iv_ecg, ptb_xl"),
        ("{reports: a, classes: b}", ["register"], "name one; the items of register are reports, classes"),
        (None, ["register", "x"], "register is one stage, not one of several; leave 'x' out"),
    ],
)
def test_a_wrong_item_is_answered_with_those_there_are(project, capsys, foreach, argv, message):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["simulated"] = ["mimic_iv_ecg", "ptb_xl"]
    values["zeroshot"]["runs"] = ["kmerl", "random_init"]
    Path("params.yaml").write_text(yaml.safe_dump(values))
    if foreach:
        Path("dvc.yaml").write_text(f"stages: {{register: {{foreach: {foreach}, do: {{params: [seed]}}}}}}\n")
    assert main(argv) == 1
    assert capsys.readouterr().err == f"{'@'.join(argv)}: error: {message}\n"


def test_a_process_without_a_summary_says_and_writes_nothing(project, capsys, monkeypatch):
    monkeypatch.setattr("stages.register.main", lambda params: "")
    assert main(["register"]) == 0
    assert capsys.readouterr().out == ""
    assert not (project / "logs/register.json").exists()


def test_a_stage_says_what_it_did_in_one_line(project, capsys, monkeypatch):
    monkeypatch.setattr("stages.register.main", lambda params: f"seed {params.seed}")
    assert main(["register"]) == 0
    assert capsys.readouterr().out.startswith("register: seed 1 [")
    assert (project / "logs/register.json").exists()
