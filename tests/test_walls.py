"""What a stage imports is what it uses: an edit makes those stages stale that need it, and no others."""

import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from engines.project import ROOT

from kmerl.evaluations import registry
from workflow import fingerprint, modules
from workflow.fingerprint import PACKAGES, imports, source_file

LEAVES = "artifacts errors escapes leads naming origins parts randomness regular section wording"
"""Modules of the library that any stage may import, as they import nothing but one another."""
ASKS = (
    "children http_client knowledge.answers knowledge.asking knowledge.constraints knowledge.engines.* "
    "knowledge.lexicon.* knowledge.parsing knowledge.requests knowledge.schemas knowledge.words patience"
)
STORE = "archives.schemas shards waveforms"
MODEL = f"{STORE} checkpoint history inference methods.method model.* text.params weights"
ASKED = f"{MODEL} archives.classes evaluation.* text.*"
DOCUMENTS = "documents.numbers"
PAGE = f"{DOCUMENTS} documents.html page.html page.pictures page.rejected page.texts page.values"
SCORES = "archives.classes evaluation.intervals evaluation.schemas results.*"
REGISTRY = "evaluations.registry"
ROOM = f"{SCORES} evaluation.params"
"""A room's own package holds its parameters, so that all of its parts come with these."""
MAY = {
    "cards": f"{SCORES} {STORE} {REGISTRY} {DOCUMENTS} cards.* documents.markdown evaluation.params "
    "evaluations.partial_leads.schemas evaluations.zeroshot.schemas history knowledge.schemas knowledge.vocabulary "
    "page.texts page.values tables.origin weights",
    "catalogue": "archives.* catalogue",
    "embed_ecg": f"{MODEL} evaluation.params features.params features.pooling features.store",
    "embed_text": "archives.classes knowledge.schemas knowledge.vocabulary text.*",
    "extract": f"{ASKS} knowledge.extract knowledge.spans",
    "fetch": "archives.fetch.* http_client patience",
    "figures": f"{SCORES} {STORE} {REGISTRY} evaluation.params evaluations.zeroshot evaluations.zeroshot.schemas "
    "history knowledge.schemas knowledge.vocabulary plots.*",
    "labels": "knowledge.labels knowledge.schemas knowledge.vocabulary",
    "linear_probe": f"{STORE} archives.classes evaluation.auc evaluation.bootstrap evaluation.intervals "
    "evaluation.params evaluation.schemas evaluation.scoring evaluations.linear_probe.* features.params features.store",
    "merge": f"{ASKS} knowledge.merge knowledge.objects",
    "mining": f"{DOCUMENTS} documents.markdown knowledge.hierarchy knowledge.schemas knowledge.vocabulary "
    "plots.hierarchy plots.style tables.mining",
    "mining_quality": "archives.schemas archives.simulate.conditions archives.simulate.reporting knowledge.hierarchy "
    "knowledge.judging knowledge.lexicon.* knowledge.schemas knowledge.vocabulary knowledge.words tables.mining "
    f"tables.mining_quality {DOCUMENTS} documents.markdown",
    "partial_leads": f"{ASKED} evaluations.partial_leads.run evaluations.partial_leads.schemas",
    "preprocess": "archives.archive archives.cpsc_format archives.files archives.matlab archives.recordings "
    "archives.schemas archives.wfdb_* children pool preprocessing.* processors shards",
    "pretrain": f"{MODEL} children distributed evaluation.auc knowledge.schemas knowledge.vocabulary text.* training.*",
    "quality": f"{STORE} {PAGE} archives.classes page.quality plots.amplitudes plots.beginning plots.ecg plots.style "
    "preprocessing.flaws quality.*",
    "random_convolutions": f"{STORE} evaluation.params features.convolutions features.params features.store",
    "register": "archives.archive archives.fetch.own_files archives.manifest",
    "report": f"{STORE} {PAGE} evaluation.schemas history knowledge.hierarchy knowledge.schemas "
    "knowledge.vocabulary model.params page.* results.runs weights",
    "reports": "archives.schemas knowledge.cleaning knowledge.schemas",
    "simulate": "archives.layouts archives.manifest archives.schemas archives.simulate.* archives.wfdb_format",
    "superclass": f"{ASKS} knowledge.merge knowledge.objects knowledge.superclass",
    "tables": f"{SCORES} {REGISTRY} documents.* tables.table",
    "verify": f"{ASKS} knowledge.spans knowledge.verify",
    "zeroshot": f"{ASKED} evaluations.zeroshot.run evaluations.zeroshot.schemas",
}
"""Stage -> the modules of the library it may import beside :data:`LEAVES`."""
NEVER = {
    "preprocess": "model.* training.* text.* knowledge.* evaluation.* catalogue archives.merl_labels archives.classes",
    "cards": "model.* training.* plots.* checkpoint evaluations.*.tables evaluations.*.figures evaluations.*.run",
    "catalogue": "preprocessing.* waveforms shards archives.recordings archives.fetch.* archives.simulate.*",
    "pretrain": "evaluation.bootstrap tables.* results.* plots.* knowledge.engines.*",
    "linear_probe": "model.* evaluation.ways evaluation.answers evaluations.*.tables evaluations.*.figures",
    "labels": "http_client knowledge.engines.* knowledge.asking",
    "report": "http_client knowledge.engines.* knowledge.asking tables.* plots.* evaluations.* model.tokens",
    "figures": "tables.* documents.markdown evaluation.bootstrap",
    "simulate": "archives.classes archives.registry",
}
"""Stage -> what a pattern of :data:`MAY` must never let in."""
PARTS = {
    "tables": f"{ROOM} documents.numbers tables.*",
    "figures": f"{ROOM} plots.*",
    "scores": ROOM,
    "run": f"{MODEL} archives.classes evaluation.* features.params features.store text.*",
    "__init__": "evaluation.params",
}
"""Part of an evaluation's room -> the modules of the library that it may import beside its room's own and LEAVES."""


def chains(start: str) -> dict[str, list[str]]:
    """Module -> how ``start`` comes to import it, for all of the project that it imports."""
    found, todo = dict[str, list[str]](), [[start]]
    while todo:
        chain = todo.pop(0)
        file = source_file(chain[-1])
        if file is None or chain[-1] in found:
            continue
        found[chain[-1]] = chain
        todo += [[*chain, name] for name in imports(chain[-1], file)]
    return {
        name: chain
        for name, chain in found.items()
        if (file := source_file(name)) is not None and file.name != "__init__.py"
    }


def among(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns.split())


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_every_stage_has_its_walls():
    assert set(MAY) == {path.stem for path in Path("stages").glob("[a-z]*.py")}


@pytest.mark.parametrize("stage", MAY)
def test_a_stage_imports_nothing_but_what_its_walls_let_in(stage):
    leaked = [
        " -> ".join(chain)
        for name, chain in chains(f"stages.{stage}").items()
        if name.startswith("kmerl.")
        and (not among(name[6:], f"{LEAVES} {MAY[stage]}") or among(name[6:], NEVER.get(stage, "")))
    ]
    assert leaked == []


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("room", registry.NAMES)
def test_a_part_of_a_room_imports_nothing_of_other_rooms_and_parts(room, part):
    own = f"evaluations.{room}"
    start = f"kmerl.{own}" if part == "__init__" else f"kmerl.{own}.{part}"
    others = {"tables": "*.figure*", "figures": "*.table*", "run": "*.table* *.figure* *.scores", "scores": "*.run"}
    leaked = [
        " -> ".join(chain)
        for name, chain in chains(start).items()
        if not among(name[6:], f"{LEAVES} {PARTS[part]} {own} {own}.*")
        or (name.startswith(f"kmerl.{own}.") and among(name, others.get(part, "")))
    ]
    assert leaked == []


def test_every_evaluation_has_its_room_and_every_room_is_registered():
    rooms = {path.parent.name for path in Path("kmerl/evaluations").glob("*/tables.py")}
    assert rooms == {*registry.NAMES} == {path.stem for path in Path("stages").glob("*.py")} & rooms


def test_leaves_import_leaves_only():
    for leaf in LEAVES.split():
        assert all(among(name[6:], LEAVES) for name in chains(f"kmerl.{leaf}")), leaf


def test_using_a_model_needs_no_trainer_and_no_archive_reader():
    leaked = [
        " -> ".join(chain)
        for name, chain in chains("kmerl.predict").items()
        if among(name[6:], "training.* archives.registry archives.schemas knowledge.* results.* tables.* page.*")
    ]
    assert leaked == []


def test_stages_import_no_other_stage():
    for stage in MAY:
        others = [name for name in chains(f"stages.{stage}") if among(name, "stages.[a-z]*")]
        assert others == [f"stages.{stage}"]


def test_no_modules_import_one_another_in_a_circle():
    files = [path for root in PACKAGES for path in Path(root).rglob("*.py")]
    graph = {}
    for file in files:
        module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        needed = {name for name in imports(module, file) if source_file(name) not in (None, file)}
        graph[module] = {name for name in needed if not module.startswith(f"{name}.")}  # a package comes with its parts
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_checking_the_parameters_imports_neither_torch_nor_matplotlib():
    program = "import sys, kmerl.params; print({*sys.modules} & {'torch', 'matplotlib', 'transformers'})"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


def test_making_tables_imports_neither_torch_nor_matplotlib():
    program = "import sys, stages.tables; from kmerl.evaluations.registry import rooms; rooms('tables')"
    program += "; print({*sys.modules} & {'torch', 'matplotlib', 'transformers'})"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
    )


# ------------------------------------------------------------------------------------------------------ the same, told

EDITS = {
    "a layer of the transformer": (
        "kmerl/model/layers.py", "def pack(", "embed_ecg partial_leads pretrain zeroshot methods.kmerl"
    ),
    "the bootstrap": ("kmerl/evaluation/bootstrap.py", "def bootstrap_auc(", "linear_probe partial_leads zeroshot"),
    "an interval": (
        "kmerl/evaluation/intervals.py", "def interval(",
        "cards evaluations.figures evaluations.tables figures linear_probe partial_leads tables zeroshot",
    ),
    "AUC": ("kmerl/evaluation/auc.py", "def auc(", "linear_probe partial_leads pretrain zeroshot"),
    "K-MERL's own": ("kmerl/methods/kmerl.py", "ECG-entity loss", "methods.kmerl"),
    "SimCLR's own": ("kmerl/methods/simclr.py", "def _alter(", "methods.simclr"),
    "a loss": ("kmerl/model/losses.py", "def contrastive_loss(", "methods.kmerl methods.merl methods.simclr"),
    "what methods have in common": (
        "kmerl/methods/method.py", "learns nothing about texts",
        "embed_ecg partial_leads pretrain zeroshot methods.kmerl methods.merl methods.simclr",
    ),
    "a table's heading": (
        "kmerl/evaluations/zeroshot/table_auc.py", "Zero-shot classification: macro AUC", "evaluations.tables"
    ),
    "a figure": ("kmerl/evaluations/linear_probe/figures.py", "def probes_figure(", "evaluations.figures"),
    "the class table": (
        "kmerl/archives/classes.csv", "NORM",
        "cards catalogue evaluations.figures evaluations.tables figures linear_probe partial_leads quality tables "
        "zeroshot",  # of embed_text it is an input
    ),
    "the rule of labels": ("kmerl/archives/ptb_xl.py", "def ", "catalogue"),
    "resampling": ("kmerl/preprocessing/repair.py", "def _resample(", "preprocess"),
    "a prompt's client": ("kmerl/knowledge/engines/chat.py", "def ", "extract merge superclass verify"),
    "the trainer": ("kmerl/training/loop.py", "def fit(", "pretrain"),
    "a card": ("kmerl/cards/failures.py", "def falls(", "cards"),
    "the page": ("kmerl/page/page.py", "def render(", "report"),
    "the simulator": ("kmerl/archives/simulate/hearts.py", "def ", "simulate"),
}  # fmt: skip
"""What is edited -> the file, a text in it, and the stages that use it."""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the project's own files, and their fingerprints."""
    folder = tmp_path_factory.mktemp("walls") / "project"
    for name in ("kmerl", "stages", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "plan.yaml"):
        shutil.copy(ROOT / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, fingerprints()


def fingerprints():
    """Of the project in this folder."""
    fingerprint.forget()
    found = fingerprint.fingerprints()
    several = {f"{kind}.{name}": code for kind in ("methods", "evaluations") for name, code in found.pop(kind).items()}
    return found | several


@pytest.mark.parametrize("edited", EDITS)
def test_an_edit_changes_the_code_of_the_stages_that_use_it_and_of_no_other(copied, edited, monkeypatch):
    name, old, stages = EDITS[edited]
    folder, before = copied
    monkeypatch.chdir(folder)
    file = folder / name
    text = file.read_text("utf-8")
    new = old.replace("def ", "def edited_", 1) if "def " in old else f"{old} edited"
    assert old in text
    try:
        file.write_text(text.replace(old, new, 1), "utf-8")
        after = fingerprints()
    finally:
        file.write_text(text, "utf-8")
    assert {stage for stage in before if before[stage] != after[stage]} == set(stages.split())


def test_the_map_of_modules_is_that_of_the_code():
    assert Path("docs/modules.md").read_text("utf-8").splitlines() == list(modules.lines())
