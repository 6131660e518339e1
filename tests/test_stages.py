from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from kmerl.plan import Run, Suite, plan, variant
from stages.__main__ import context, declared, look_up, main, select

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


def write(values):
    """Parameters, and what follows from their runs and suites."""
    Path("params.yaml").write_text(yaml.safe_dump(values))
    runs = {name: Run.model_validate(run) for name, run in values["runs"].items()}
    suites = {name: Suite.model_validate(suite) for name, suite in values["suites"].items()}
    planned = plan(runs, suites, values["linear_probe"]["baselines"], values["seed"])
    Path("plan.yaml").write_text(yaml.safe_dump({"plan": planned}))


def declared_values():
    """Every stage, with the values of its parameters in this folder's params.yaml and plan.yaml."""
    found = {}
    for stage in DAG["stages"]:
        params, items = context(stage, DAG)
        for item in [None] if items is None else items:
            names = declared(stage, item, DAG)
            found[stage if item is None else f"{stage}@{item}"] = {name: look_up(name, params) for name in names}
    return found


EVALUATED = ("zeroshot", "partial_leads", "embed_ecg", "linear_probe")
MERGED, CLS = variant({"merge": {"enabled": False}}), variant({"pooling": "cls"})


def stages_of(run):
    return {f"{stage}@{run}" for stage in ("pretrain", *EVALUATED)}


PAGES = {"tables", "figures", "report", "cards"}
RUNS = PAGES - {"tables"}
"""What shows every run, evaluated or not."""
ARCHIVE = {
    "folder": "data/raw/other",
    "watch": "data/raw/other",
    "checksum": "size",
    "split": "official",
    "crop_seconds": None,
}


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("runs", {"new": {"method": "merl"}}, {"pretrain@new", *RUNS}),
        ("runs.kmerl", {"title": "Ours", "paper": "Table 1"}, {"report", "cards"}),
        ("runs.kmerl", {"seeds": [1, 2]}, {"pretrain@kmerl-2", *(f"{stage}@kmerl-2" for stage in EVALUATED), *PAGES}),
        ("runs.kmerl", {"options": {"text_layers": 1}}, {"pretrain@kmerl", *RUNS}),
        (
            "runs",
            {"new": {"method": "kmerl", "knowledge": {"merge": {"enabled": False}}}},
            {"pretrain@new", *RUNS, f"embed_text@vocabulary-{MERGED}-base"}
            | {f"{stage}@{MERGED}" for stage in ("merge", "superclass", "labels")}
            | {f"{stage}@{MERGED}-1of1" for stage in ("extract", "verify")},
        ),
        (
            "runs",
            {"new": {"method": "merl", "text": {"pooling": "cls"}}},
            {"pretrain@new", *RUNS}
            | {f"embed_text@{of}" for of in (f"reports-{CLS}", f"classes-{CLS}", f"vocabulary-base-{CLS}")},
        ),
        ("methods.merl", {"text_layers": 1}, {"pretrain@merl_vit", "pretrain@merl_resnet18", "report"}),
        ("suites.untrained.evaluations", ["zeroshot"], {"zeroshot@random_init", *PAGES}),
        ("suites.untrained.evaluations", ["partial_leads"], {"partial_leads@random_init", *PAGES}),
        ("suites.methods.runs", ["random_init"], {"zeroshot@random_init", "partial_leads@random_init", *PAGES}),
        ("suites.untrained", {"compare_with": "random_init"}, {"report"}),
        ("zeroshot.leads", {"II": ["II"]}, {"zeroshot@kmerl", "zeroshot@merl_vit", "zeroshot@merl_resnet18", *PAGES}),
        (
            "archives",
            {"new": ARCHIVE},
            {"register@new", "catalogue@new", "preprocess@new-1of1", "quality", "report", "cards"},
        ),
        ("fetched", {"new": "data/raw/new"}, {"fetch@new"}),
        ("simulated", ["new"], {"simulate@new"}),
        ("knowledge.parts", ["2of2"], {"extract@base-2of2", "verify@base-2of2", "report"}),
        ("knowledge.scored", ["new"], {"mining_quality@new", "report"}),
    ],
)
def test_an_entry_more_makes_its_own_items_stale_and_what_shows_all_of_them(tmp_path, monkeypatch, old, new, stale):
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["simulate"]["new"] = {}  # a section of its own, which only the item's stage reads
    write(values)
    before = declared_values()
    entries = look_up(old, values)
    entries.update(new) if isinstance(new, dict) else entries.extend(new)
    write(values)
    after = declared_values()
    assert {name for name, given in after.items() if before.get(name) != given} == stale


def test_a_renamed_run_leaves_the_stages_of_all_others_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text()
    write(yaml.safe_load(text))
    before = declared_values()
    write(yaml.safe_load(text.replace("merl_vit", "renamed")))
    after = declared_values()
    assert {name for name, given in after.items() if before.get(name) != given} == stages_of("renamed") | PAGES


@pytest.mark.parametrize("stage", [name for name in DAG["stages"] if name != "code"])
def test_every_stage_of_the_pipeline_has_its_program_and_depends_on_its_code(stage):
    definition = DAG["stages"][stage].get("do", DAG["stages"][stage])
    assert (ROOT / f"stages/{stage}.py").exists()
    assert definition["cmd"].startswith(f"python -m stages {stage}")
    loads_runs = stage in ("zeroshot", "partial_leads", "embed_ecg")
    by_name = ["methods.${item.method}"] if stage == "pretrain" else ["methods"] * loads_runs
    by_name += [f"evaluations.{stage}"] * (stage in ("tables", "figures"))
    assert {"data/code.json": [stage, *by_name]} in definition["params"]


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
        ("'${suites.methods.runs}'", ["register", "kmrl"], "no item 'kmrl'; the items of register are kmerl, merl_vit"),
        ("'${simulated}'", ["register", "mimic"], "no item 'mimic'; the items of register are mimic_iv_ecg, ptb_xl"),
        ("{reports: a, classes: b}", ["register"], "name one; the items of register are reports, classes"),
        (None, ["register", "x"], "register is one stage, not one of several; leave 'x' out"),
    ],
)
def test_a_wrong_item_is_answered_with_those_there_are(project, capsys, foreach, argv, message):
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["simulated"] = ["mimic_iv_ecg", "ptb_xl"]
    values["suites"]["methods"]["runs"] = ["kmerl", "merl_vit"]
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
