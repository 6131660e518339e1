import os
from pathlib import Path

import pytest
import yaml

from kmerl.archives.places import OUTPUTS
from kmerl.errors import UserError
from kmerl.params import check, load, main

ROOT = Path(__file__).parent.parent


@pytest.fixture
def values():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(values, dotted, value):
    *parents, last = dotted.split(".")
    section = values
    for parent in parents:
        section = section[parent]
    section[last] = value
    return values


def test_the_committed_parameters_are_complete_and_valid():
    load(ROOT / "params.yaml")


RUN = {"method": "kmerl"}
ALL_LEADS = {
    "tokens": {"per": "segment"}, "encoder": {"kind": "resnet18", "lead_embedding": False, "time_embedding": False}
}  # fmt: skip


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("pretrain.loop.stesp", 3, "pretrain.loop.stesp: unknown parameter"),
        ("zeroshots", {}, "zeroshots: unknown parameter"),
        ("pretrain.optimizer.learning_rate", -1, "pretrain.optimizer.learning_rate: .*greater than 0 .*-1"),
        ("pretrain.loop.batch", "many", "pretrain.loop.batch: .*integer.*'many'"),
        ("methods.kmerl.masking.masked_leads", [12], "methods.kmerl.masking: masked_leads must lie in 0..11"),
        ("pretrain.model.encoder.shape", {"width": 10, "depth": 2, "heads": 3}, "shape.*not a multiple"),
        ("pretrain.loop.epochs", 3, "pretrain.loop: give either epochs or steps"),
        ("text.pooling", "max", "text.pooling: .*'mean'.*'cls'.*'pooler'"),
        ("zeroshot.leads", {"chest": ["V7"]}, "zeroshot.leads: lead 'V7' is not one of"),
        (
            "runs",
            {"kmerl": RUN | {"options": {"loss": {"temprature": 1}}}},
            "runs.kmerl: loss.temprature: unknown parameter",
        ),
        ("pretraining_archive", "mimic", "pretraining_archive 'mimic' is not among archives"),
        ("figures.compare", ["II only"], "figures.compare: 'II only' is no lead set of zeroshot.leads"),
        ("preprocess.fs", 1, "preprocess.fs: .*50"),
        ("pretrain.model.tokens.length", 6000, "runs.kmerl: model.tokens.length 6000 exceeds the 5000 samples"),
        ("pretrain.loop.steps", -1, "pretrain.loop.steps: .*greater than or equal to 0"),
        ("suites.methods.runs", ["kmrl"], "suites.methods.runs: 'kmrl' is not among runs; name one of kmerl, "),
        ("suites.methods.compare_with", "random_init", "suites.methods.compare_with: 'random_init' is not among the s"),
        (
            "suites.methods.evaluations",
            ["probe"],
            "suites.methods.evaluations: 'probe' is no evaluation; name some of z",
        ),
        ("linear_probe.baselines", ["kmerl"], "linear_probe.baselines: 'kmerl' is none; the only one is random_conv"),
        ("runs", {"kmerl": RUN | {"text": {"poling": 1}}}, "runs.kmerl.text.poling: unknown parameter"),
        ("runs", {"kmerl": RUN | {"knowledge": {"parts": ["1of1"]}}}, "runs.kmerl.knowledge: parts: is of all runs"),
        (
            "runs",
            {"kmerl": RUN | {"knowledge": {"merge": {"chunk": "x"}}}},
            "runs.kmerl.knowledge.merge.chunk: .*integer",
        ),
        ("runs", {"kmerl": RUN | {"seeds": [1, 1]}}, "runs.kmerl.seeds: 1 is named twice"),
        ("evaluation.archives", ["mimic_iv_ecg"], "evaluation.archives: 'mimic_iv_ecg' is no archive with labels"),
        ("pretrain.optimizer.betas", [0.9, 1.0], "pretrain.optimizer.betas.1: .*less than 1"),
        ("pretrain.optimizer.clip_norm", 0, "pretrain.optimizer.clip_norm: .*greater than 0"),
        ("simulated", ["mimic"], "archive 'mimic' has no reader; the archives are mimic_iv_ecg"),
        ("evaluation.splits", ["test", "vlaid"], "evaluation.splits.1: .*'train', 'valid' or 'test'.*'vlaid'"),
        ("zeroshot.leads", {"none": []}, "zeroshot.leads: 'none' names no lead"),
        ("zeroshot.leads", {"twice": ["I", "i"]}, "zeroshot.leads: lead I is asked twice"),
        ("seed", True, "seed: .*valid integer .*True"),
        ("seed", "1", "seed: .*valid integer .*'1'"),
        ("preprocess.max_nan_share", False, "preprocess.max_nan_share: .*valid number .*False"),
        ("pretrain.optimizer.learning_rate", float("inf"), "pretrain.optimizer.learning_rate: .*finite"),
        ("pretrain.optimizer.betas", [float("nan"), 0.9], "pretrain.optimizer.betas.0: .*finite"),
        ("linear_probe.shares", [True], "linear_probe.shares.0: .*valid number"),
        ("pretrain.model.encoder.lead_embedding", "yes", "pretrain.model.encoder.lead_embedding: .*boolean"),
        (
            "runs",
            {"kmerl": RUN | {"options": {"loss": {"temperature": True}}}},
            "runs.kmerl: loss.temperature: .*valid",
        ),
        ("runs", {"kmerl": RUN, "": RUN}, "runs: '' is no name; take letters and digits"),
        ("runs", {"kmerl": RUN, ".": RUN}, "runs: '.' is no name"),
        ("runs", {"kmerl": RUN, "a/b": RUN}, "runs: 'a/b' is no name"),
        ("runs", {"kmerl": RUN, "line\n": RUN}, r"runs: 'line\\n' is no name"),
        ("runs", {"kmerl": RUN, "a@b": RUN}, "runs: 'a@b' is no name"),
        ("runs", {"kmerl": RUN, "é": RUN}, r"runs: '\\xe9' is no name"),
        ("runs", {"kmerl": RUN, "_x": RUN}, "runs: '_x' is no name"),
        ("runs", {"kmerl": RUN, "x" * 101: RUN}, "runs: 'xxx.* is no name, as it is too long"),
        ("runs", {"kmerl": RUN, "KMERL": RUN}, "runs: kmerl and KMERL differ by case only"),
        ("runs", {"kmerl": RUN, "random_convolutions": RUN}, "runs: random_convolutions is the name of the features"),
        ("runs", {"kmerl": RUN, 1: RUN}, "runs: 1 is no text to YAML, so no name; put it in quotes"),
        (
            "runs",
            {"kmerl": {"method": "x$(touch y)"}},
            r"runs.kmerl.method: 'x\$\(touch y\)' is none; name one of kmerl, ",
        ),
        ("runs", {"kmerl": {}}, "runs.kmerl.method: missing"),
        (
            "runs",
            {"kmerl": {"method": "simclr"}},
            "suites.methods.runs: 'kmerl': SimCLR learns nothing about texts, so .* leave it out, or what asks by name",
        ),
        ("runs", {"kmerl": RUN | {"pretrain": {"stesp": 1}}}, "runs.kmerl: stesp: unknown parameter"),
        ("runs", {"kmerl": RUN | {"pretrain": {"model": ALL_LEADS}}}, "runs.kmerl: .*set masking.segment_share to 0"),
        ("methods.merl.projector.dropout", 0.0, "methods.merl: .*set projector.dropout above 0"),
        ("methods.other", {}, "methods.other: unknown parameter"),
        ("suites.methods.runs", ["kmerl", "x$(touch y)"], "suites.methods.runs: 'x\\$.* is not among runs"),
        ("suites.methods.runs", [True], "suites.methods.runs.0: .*string"),
        ("zeroshot.leads", {"$x$": ["I"]}, "zeroshot.leads: '.x.' is no name; .*blanks"),
        ("embed_ecg.leads", {"I ": ["I"]}, "embed_ecg.leads: 'I ' is no name"),
        ("preprocess.parts", ["1of1; x"], "preprocess.parts: pieces of one whole"),
        ("knowledge.parts", ["../1of1"], "knowledge.parts: pieces of one whole"),
        ("fetched", {"merl_splits": ""}, "fetched.merl_splits: .*at least 1"),
    ],
)
def test_a_wrong_parameter_is_named_in_one_line(values, dotted, value, message):
    with pytest.raises(UserError, match=message) as error:
        check(changed(values, dotted, value), "params.yaml")
    assert "\n" not in str(error.value)


def test_a_missing_parameter_is_named(values):
    del values["text"]["batch"]
    with pytest.raises(UserError, match=r"params.yaml: text.batch: missing"):
        check(values, "params.yaml")


FILES = {
    "empty": (b"", "is empty; `git checkout .*` brings it back"),
    "only comments": (b"# nothing\n", "is empty"),
    "a list": (b"[1, 2]\n", "holds a list, not parameters"),
    "a value": (b"seed\n", "holds a str, not parameters"),
    "Latin-1": ("seed: 1\n# Gr\u00f6\u00dfe\n".encode("latin-1"), ":2: not UTF-8 .byte 0xf6.; save it as UTF-8"),
    "UTF-16": ("seed: 1\n".encode("utf-16"), ":1: not UTF-8"),
    "NUL bytes": (b"seed: 1\0\n", "not YAML"),
    "a NUL in a text": (b'text: {encoder: "a\\0b"}\n', "text.encoder: holds a character NUL"),
    "a key twice": (b"seed: 1\ntext: {}\nseed: 2\n", 'not YAML .line .: found duplicate key "seed".'),
    "a key twice inside": (b"text: {batch: 1, batch: 2}\n", 'found duplicate key "batch"'),
    "a tab": (b"text:\n\tbatch: 1\n", "not YAML .line 2: "),
    "two documents": (b"seed: 1\n---\nseed: 2\n", "not YAML"),
    "a tag": (b"seed: !!python/object:os.system x\n", "not YAML .line 1: could not determine a constructor"),
    "no day": (b"seed: 2026-99-99\n", "month must be in 1..12"),
    "a huge number": (b"seed: " + b"9" * 30 + b"\n", "seed: must be a number of 64 bits"),
    "an enormous number": (b"seed: " + b"9" * 5000 + b"\n", "not YAML"),
    "an infinite number": (b"seed: 1e400\n", "seed: must be a finite number"),
    "no number": (b"seed: .nan\n", "seed: must be a finite number"),
    "a number as a name": (b"runs: {1: {}}\n", "runs: the name 1 is no text to YAML; put it in quotes"),
    "true as a name": (b"runs: {true: {}}\n", "runs: the name True is no text"),
    "a date as a name": (b"runs: {2026-01-01: {}}\n", "runs: the name datetime.date.* is no text"),
    "null as a name": (b"runs: {~: {}}\n", "runs: the name None is no text"),
    "1e3 as a name": (b"runs: {1e3: {}}\n", "runs: the name 1000.0 is no text"),
    "deep": (b"a: " + b"[" * 200_000, "holds more than 50 lists and mappings within one another"),
    "laughs": (
        b"a: &a0 [x, x]\n" + b"".join(b"b%d: &a%d [*a%d, *a%d]\n" % (i, i, i - 1, i - 1) for i in range(1, 40)),
        "holds more than 200,000 values",
    ),
    "merged laughs": (
        b"a: &a0 {x: 1}\n"
        + b"".join(b"b%d: &a%d {<<: [%s]}\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 12)),
        "holds more than 200,000 values",
    ),
    "itself": (b"a: &a [*a]\n", "the alias .a stands where &a is not complete"),
    "too large": (b"#" * (5 << 20), "is larger than 4 MiB"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_no_parameters_is_refused_in_one_line(tmp_path, name):
    content, message = FILES[name]
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)
    assert str(error.value).isprintable()


def test_what_is_no_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    for name, message in {"folder": "is a folder", "pipe": "is a folder or a device", "link": "no such file"}.items():
        with pytest.raises(UserError, match=message):
            load(tmp_path / name)


def test_numbers_and_aliases_are_read_as_dvc_reads_them(tmp_path, values):
    values["pretrain"]["optimizer"]["learning_rate"] = "RATE"
    values["seed"] = "SEED"
    text = yaml.safe_dump(values).replace("RATE", "1e-3").replace("SEED", "010")
    (tmp_path / "params.yaml").write_text(f"\ufeff{text}", "utf-8")
    params = load(tmp_path / "params.yaml")
    assert (params.pretrain.optimizer.learning_rate, params.seed) == (0.001, 10)


PLACES = [
    ({"archives.ptb_xl.folder": "data/waveforms/ptb_xl"}, "ptb_xl.folder: .* is in data/waveforms, which the pipeline"),
    ({"archives.ptb_xl.folder": "raw/../results"}, "ptb_xl.folder: .* is in results, which the pipeline writes"),
    ({"archives.ptb_xl.folder": "."}, "archives.ptb_xl.folder: .* holds the project"),
    ({"archives.ptb_xl.folder": "data"}, "archives.ptb_xl.folder: .* holds the project or all its data"),
    ({"archives.ptb_xl.folder": "/"}, "archives.ptb_xl.folder: .* holds the project"),
    ({"archives.ptb_xl.folder": "data/simulated/csn"}, "archives.ptb_xl.folder: .* is in data/simulated"),
    ({"archives.ptb_xl.folder": "data/raw/linked"}, "archives.ptb_xl.folder: .* is in data/runs"),
    ({"archives.ptb_xl.watch": "data/runs"}, "archives.ptb_xl.watch: .* is in data/runs"),
    (
        {"archives.ptb_xl.folder": "data/raw/one", "archives.csn.folder": "data/raw/one"},
        "folder: .* holds (csn|ptb_xl), too",
    ),
    ({"archives.ptb_xl.folder": "data/raw", "archives.csn.folder": "data/raw/one"}, "ptb_xl.folder: .* holds csn, too"),
    ({"archives.ptb_xl.folder": "data/raw/cpsc"}, "ptb_xl.folder: data/raw/cpsc holds the files of cpsc2018; name the"),
    ({"archives.ptb_xl.folder": "params.yaml"}, "archives.ptb_xl.folder: params.yaml is no folder"),
    ({"fetched": {"merl_splits": "data/splits"}}, "fetched.merl_splits: data/splits is in data/splits"),
]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's folder with an archive in ``data/raw``, and a link to outputs."""
    (tmp_path / "data/raw/cpsc").mkdir(parents=True)
    (tmp_path / "data/raw/cpsc/REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\n")
    (tmp_path / "data/raw/linked").symlink_to(tmp_path / "data/runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("changes", "message"), PLACES)
def test_an_archive_lies_where_nothing_of_the_pipeline_or_of_another_archive_does(project, values, changes, message):
    for dotted, value in changes.items():
        changed(values, dotted, value)
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=message) as error:
        load(Path("params.yaml"))
    assert "\n" not in str(error.value)


def test_an_archive_may_lie_anywhere_else(project, values, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("disk")
    (project / "data/raw/mimic").symlink_to(elsewhere)
    places = {"mimic_iv_ecg": "data/raw/mimic", "ptb_xl": "data/mine", "cpsc2018": "data/raw/cpsc", "csn": "../csn"}
    for name, folder in places.items():
        changed(values, f"archives.{name}.folder", folder)
        changed(values, f"archives.{name}.watch", f"{folder}/index.csv")
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    load(Path("params.yaml"))


def test_no_archive_may_lie_in_any_output_of_the_pipeline():
    stages = [stage.get("do", stage) for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()]
    entries = [entry for stage in stages for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    paths = [Path(next(iter(entry)) if isinstance(entry, dict) else entry) for entry in entries]
    assert {"/".join(path.parts[: 1 + (path.parts[0] == "data")]) for path in paths} == set(OUTPUTS)


def test_a_file_that_is_not_yaml_is_refused_in_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text("seed: [1,\n")
    with pytest.raises(UserError, match="not YAML") as error:
        load(tmp_path / "params.yaml")
    assert "\n" not in str(error.value)


def test_every_parameter_is_described(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line.split(maxsplit=1)) < 2] == []
    names = [line.split()[0] for line in lines]
    assert len(set(names)) == len(names)
    shape = "pretrain.model.encoder.shape"
    one_of_each_kind = ["seed", "methods.kmerl.loss.temperature", "archives", shape]
    members = ["archives.*.folder", "archives.*.watch", "archives.*.checksum"]
    assert {*one_of_each_kind, *members, f"{shape}.width", f"{shape}.depth", f"{shape}.heads"} <= set(names)
