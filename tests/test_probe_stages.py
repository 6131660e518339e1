"""The stages embed_ecg, random_convolutions and linear_probe, one after another on two small archives."""

from itertools import product
from pathlib import Path
from types import SimpleNamespace

import asked
import numpy as np
import polars as pl
import pytest
from probes import evaluation_params, probe_params

from kmerl.archives.schemas import SPLITS
from kmerl.artifacts import read_metadata, read_table, write_table
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO, RESAMPLES, SCORES
from kmerl.features.params import EmbedEcgParams, RandomConvolutionsParams
from kmerl.features.pooling import scoped
from kmerl.features.store import Features
from kmerl.leads import LEADS
from kmerl.waveforms import NormalizeParams
from stages import embed_ecg, linear_probe, random_convolutions

ARCHIVES = ["ptb_xl", "cpsc2018"]
KINDS = ("paper", "logistic")
METHODS = {"kmerl": 8, "merl_vit": 8, "merl_resnet18": 16}  # method of tests/small.py -> D


@pytest.fixture(scope="module")
def params():
    return SimpleNamespace(
        seed=1,
        evaluation=evaluation_params(archives=ARCHIVES),
        embed_ecg=EmbedEcgParams(leads={"12 leads": list(LEADS), "I": ["I"]}, scopes=["record"]),
        random_convolutions=RandomConvolutionsParams(
            kernels=20, length=9, dilations=[1, 4], fs=100, references=3, threads=1
        ),
        linear_probe=probe_params(epochs=3, kinds=list(KINDS)),
        plan=SimpleNamespace(
            linear_probe=SimpleNamespace(
                **{name: {"run": name, "seed": 1} for name in [*METHODS, "random_convolutions"]}
            )
        ),
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory, params):
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for method in METHODS:
            asked.project(folder, method, name=method)
        for archive in ARCHIVES:
            path = folder / f"data/splits/{archive}.parquet"
            split = pl.Series("split", (["train"] * 12 + ["valid"] * 4 + ["test"] * 8))
            write_table(path, read_table(path).with_columns(split), SPLITS)
        for method in METHODS:
            embed_ecg.main(params, method)
        random_convolutions.main(params)
        for name in [*METHODS, "random_convolutions"]:
            linear_probe.main(params, name)
    return folder


@pytest.mark.parametrize(("name", "width"), [*METHODS.items(), ("random_convolutions", 20)])
def test_every_kind_of_encoder_gives_features_and_scores(project, name, width):
    features = Features(project / "data/features" / name).description
    assert (features.width, features.sets, features.trained_on) == (width, ["12 leads", "I"], None)  # of no step
    for archive in ARCHIVES:
        for k in range(2):
            assert np.load(project / f"data/features/{name}/{archive}-{k}.npy").shape == (24, width)
    path = project / "data/scores/linear_probe" / name / "scores.parquet"
    scores, resamples = read_table(path, SCORES), read_table(path.with_name("resamples.parquet"), RESAMPLES)
    assert set(scores["run"]) == {name}
    assert set(scores["dataset"]) == {"ptbxl_super", "ptbxl_sub", "ptbxl_form", "ptbxl_rhythm", "cpsc2018", AVERAGE}
    average = scores.filter(dataset=AVERAGE, metric=MACRO)
    assert average.select("leads", "share", "kind").rows() == [*product(("12 leads", "I"), (0.1, 1.0), KINDS)]
    assert np.isfinite(average["value"].to_numpy()).all()
    assert {*average.select("share", "draws").iter_rows()} == {(0.1, 2), (1.0, 1)}
    assert len(resamples) == 6 * 2 * 2 * 2 * 2
    metadata = read_metadata(path)
    assert metadata["method"] == ("random_convolutions" if "random" in name else name.partition("_")[0])
    assert metadata["archives"] == dict.fromkeys(ARCHIVES, "simulated")


def test_features_of_some_leads_are_made_in_every_scope_that_makes_a_difference():
    sets = {"12 leads": list(LEADS), "I": ["I"]}
    given = EmbedEcgParams(leads=sets, scopes=["visible_leads", "record"])
    minmax = NormalizeParams(rule="minmax", clip_mv=5.0, scope="record")
    assert {name: scope for name, (_, scope) in scoped(given, minmax).items()} == {
        "12 leads": "visible_leads", "I": "visible_leads", "I (scope record)": "record"
    }  # fmt: skip
    assert [*scoped(given, minmax.model_copy(update={"rule": "millivolt"}))] == ["12 leads", "I"]


def test_all_features_are_tested_on_the_same_records_and_resamples(project):
    paths = [
        project / "data/scores/linear_probe" / name / "scores.parquet" for name in (*METHODS, "random_convolutions")
    ]
    tables = [read_table(path) for path in paths]
    counts = ["dataset", "leads", "share", "kind", "code", "metric", "n", "positives", "classes", "untrained"]
    counts += ["train_records", "draws"]
    assert all(table.select(counts).equals(tables[0].select(counts)) for table in tables)


def test_running_again_gives_the_same_bytes(project, params, monkeypatch):
    monkeypatch.chdir(project)
    files = [
        path
        for folder in (
            "features/kmerl",
            "features/random_convolutions",
            "scores/linear_probe/random_convolutions",
            "scores/linear_probe/kmerl",
        )
        for path in sorted((project / "data" / folder).iterdir())
    ]
    before = [path.read_bytes() for path in files]
    embed_ecg.main(params, "kmerl")
    random_convolutions.main(params)
    linear_probe.main(params, "random_convolutions")
    linear_probe.main(params, "kmerl")
    assert [path.read_bytes() for path in files] == before


def test_features_of_a_missing_lead_set_and_missing_features_are_said(project, params, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(UserError, match="no such file; run the stage that makes it"):
        linear_probe.main(params, "nothing")
    other = SimpleNamespace(**{**vars(params), "evaluation": evaluation_params(archives=["mimic_iv_ecg"])})
    with pytest.raises(UserError, match="has no classes to learn"):
        linear_probe.main(other, "kmerl")
    assert not Path("data/scores/linear_probe/nothing").exists()
