"""The two engines on the real pipeline, after it ran on the tiny profile; tests/test_engines.py has a toy of it."""

import re

import pytest
from engines.project import real


@pytest.mark.thorough
def test_t2_on_the_real_pipeline_dvc_makes_every_byte_that_snakemake_makes(tiny, tmp_path):
    project = real(tmp_path / "project", "tiny")
    project.dvc("repro")
    found, expected = project.contents(), tiny.contents()
    assert set(found) == set(expected)
    assert [path for path in expected if found[path] != expected[path]] == []
    assert project.record() == tiny.record()


def test_t1_on_the_real_pipeline(tiny, tmp_path):
    assert tiny.copy(tmp_path / "project").agreed()


def test_pretraining_again_gives_the_same_bytes(tiny, tmp_path):  # test_faults.py does it for all stages, one thread
    project = tiny.copy(tmp_path / "project")
    record = (project.folder / "dvc.lock").read_text()
    assert "Running stage" in project.dvc("repro", "--single-item", "--force", "pretrain@kmerl")
    assert (project.folder / "dvc.lock").read_text() == record


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        (
            "runs:\n  kmerl:\n    method: kmerl\n",
            "runs:\n  kmerl:\n    method: kmerl\n  new: {method: kmerl}\n",
            {"pretrain@new", "figures", "report", "cards"},
        ),
        ("    runs: [kmerl, merl_vit]", "    runs: [kmerl]", {"tables", "figures", "report", "cards"}),
    ],
)
@pytest.mark.parametrize("first", ["planned", "stale"])
def test_a_run_more_or_less_leaves_the_others_alone(tiny, tmp_path, old, new, stale, first):
    project = tiny.copy(tmp_path / "project")
    project.replace("params.yaml", old, new)
    if first == "planned":
        assert project.planned() == {name.partition("@")[0] for name in stale}
    assert project.stale() == stale | ({"code"} if first == "stale" else set())


SHOWN = {"tables", "figures", "report", "cards"}
SCORED = {"zeroshot", "partial_leads", "linear_probe", *SHOWN}


@pytest.mark.parametrize(
    ("file", "old", "stages"),
    [
        ("kmerl/evaluations/zeroshot/table_auc.py", "Zero-shot classification: macro AUC", {"tables", "report"}),
        *(
            pytest.param(*edit, marks=pytest.mark.thorough)
            for edit in (
                ("kmerl/model/layers.py", "def pack(", {"pretrain", "embed_ecg", *SCORED}),
                ("kmerl/evaluation/bootstrap.py", "def bootstrap_auc(", SCORED),
                ("kmerl/methods/simclr.py", "def _alter(", {"pretrain", "embed_ecg", *SCORED}),
                (
                    "kmerl/preprocessing/flaws.py", "def is_clipped(",
                    {"preprocess", "pretrain", "quality", "embed_ecg", "random_convolutions", *SCORED},
                ),
                ("kmerl/page/page.py", "def render(", {"report"}),
            )
        ),
    ],
)  # fmt: skip
def test_t4_an_edit_of_the_real_code_reruns_what_uses_it(tiny, tmp_path, file, old, stages):
    project = tiny.copy(tmp_path / "project")
    project.replace(file, old, f"{old[:-1]}x{old[-1]}")
    assert project.planned() == stages


def test_t3_on_the_real_pipeline(tiny, tmp_path):
    project = tiny.copy(tmp_path / "project")
    project.replace("params.yaml", "seen_similarity: 0.95", "seen_similarity: 0.9")
    changed = {"zeroshot", "tables", "figures", "report"}
    assert project.planned() == changed | {"cards"}  # which shows scores, not how similar a seen class's name is
    assert {name.partition("@")[0] for name in project.stale()} == changed


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  temperature: 0.07", "  temprature: 0.07", "params.yaml: methods.kmerl.loss.temprature: unknown parameter"),
        (
            "  temperature: 0.07",
            "  temperature: -0.07",
            "params.yaml: methods.kmerl.loss.temperature: .*greater than 0",
        ),
        ("watch: data/simulated/ptb_xl", "watch: data/raw/ptb_xl/ptbxl_database.csv", "data/raw/ptb_xl.*no such file"),
    ],
)
def test_snakemake_answers_a_users_mistake_in_one_line(tiny, tmp_path, old, new, message):
    project = tiny.copy(tmp_path / "project")
    project.replace("params.yaml", old, new)
    said = project.snakemake("-n", check=False)
    assert re.search(message, said)
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) <= 2
