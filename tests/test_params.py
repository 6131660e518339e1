from pathlib import Path

import pytest
import yaml

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


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("pretrain.loop.stesp", 3, "pretrain.loop.stesp: unknown parameter"),
        ("zeroshots", {}, "zeroshots: unknown parameter"),
        ("pretrain.optimizer.learning_rate", -1, "pretrain.optimizer.learning_rate: .*greater than 0 .*-1"),
        ("pretrain.loop.batch", "many", "pretrain.loop.batch: .*integer.*'many'"),
        ("pretrain.masking.masked_leads", [12], "pretrain.masking: masked_leads must lie in 0..11"),
        ("pretrain.model.encoder.shape", {"width": 10, "depth": 2, "heads": 3}, "shape.*not a multiple"),
        ("pretrain.loop.epochs", 3, "pretrain.loop: give either epochs or steps"),
        ("text.pooling", "max", "text.pooling: .*'mean'.*'cls'.*'pooler'"),
        ("zeroshot.leads", {"chest": ["V7"]}, "zeroshot.leads: lead 'V7' is not one of"),
        ("runs", {"kmerl": {"loss": {"temprature": 1}}}, "runs.kmerl.loss.temprature: unknown parameter"),
        ("pretraining_archive", "mimic", "pretraining_archive 'mimic' is not among archives"),
        ("figures.compare", ["II only"], "figures.compare: 'II only' is no lead set of zeroshot.leads"),
        ("preprocess.fs", 1, "preprocess.fs: .*50"),
        ("pretrain.model.tokens.length", 6000, "run kmerl: model.tokens.length 6000 exceeds the 5000 samples"),
        ("pretrain.loop.steps", -1, "pretrain.loop.steps: .*greater than or equal to 0"),
        ("partial_leads.runs", ["kmrl"], "partial_leads.runs: 'kmrl' is not among runs; name one of kmerl, "),
        ("linear_probe.features", ["random_convolutions", "kmrl"], "linear_probe.features: 'kmrl' is none of kmerl, "),
        ("evaluation.archives", ["mimic_iv_ecg"], "evaluation.archives: 'mimic_iv_ecg' is no archive with labels"),
        ("pretrain.optimizer.betas", [0.9, 1.0], "pretrain.optimizer.betas.1: .*less than 1"),
        ("pretrain.optimizer.clip_norm", 0, "pretrain.optimizer.clip_norm: .*greater than 0"),
        ("simulated", ["mimic"], "archive 'mimic' has no reader; the archives are mimic_iv_ecg"),
        ("evaluation.splits", ["test", "vlaid"], "evaluation.splits.1: .*'train', 'valid' or 'test'.*'vlaid'"),
        ("zeroshot.leads", {"none": []}, "zeroshot.leads: 'none' names no lead"),
        ("zeroshot.leads", {"twice": ["I", "i"]}, "zeroshot.leads: lead I is asked twice"),
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
    one_of_each_kind = ["seed", "pretrain.loss.temperature", "archives", shape]
    members = ["archives.*.folder", "archives.*.watch", "archives.*.checksum"]
    assert {*one_of_each_kind, *members, f"{shape}.width", f"{shape}.depth", f"{shape}.heads"} <= set(names)
