from dataclasses import asdict
from types import SimpleNamespace

import polars as pl
import pytest
import scored
import small

from kmerl.archives.schemas import SPLITS, STATEMENTS
from kmerl.artifacts import write_json, write_table
from kmerl.errors import UserError
from kmerl.evaluations.zeroshot.schemas import PREDICTIONS
from kmerl.history import HISTORY
from kmerl.knowledge.schemas import LABELS, REPORTS, STUDIES, TRACE
from kmerl.knowledge.vocabulary import make_vocabulary
from kmerl.leads import LEADS
from kmerl.plots.params import FiguresParams
from stages import figures as stage

RUNS, FEATURES = ["kmerl", "merl_vit"], ["kmerl", "random_init"]
SETS = {"12 leads": list(LEADS), "I": ["I"]}
ARCHIVES = ("ptb_xl", "cpsc2018")


def params():
    return SimpleNamespace(
        seed=1, pretraining_archive="ptb_xl",
        evaluation=SimpleNamespace(confidence=0.95, min_positives=10, archives=list(ARCHIVES)),
        zeroshot=SimpleNamespace(leads=SETS),
        plan=SimpleNamespace(
            pretrain=dict.fromkeys([*RUNS, "random_init"]), zeroshot=scored.planned(RUNS),
            partial_leads=scored.planned(RUNS), linear_probe=scored.planned(FEATURES),
        ),
        figures=FiguresParams(dpi=50, examples=2, pretraining_examples=1, answers=3, compare=list(SETS)),
    )  # fmt: skip


def predictions():
    """Every record is asked for two classes; by other names and in another way, everything is certain."""
    rows = []
    for archive, task, codes in (("ptb_xl", "ptbxl_super", ["NORM", "MI"]), ("cpsc2018", "cpsc2018", ["NORM", "AFIB"])):
        for i in range(6):
            for leads in SETS:
                for way, names, value in (("query", "name", 0.25), ("query", "other_name", 1), ("average", "name", 1)):
                    rows += [
                        (f"r{i}", None, archive, task, code, leads, way, names, value, i % 2 == c)
                        for c, code in enumerate(codes)
                    ]
    return pl.DataFrame(rows, schema=PREDICTIONS.names, orient="row", schema_overrides={"patient_id": pl.String})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """All that the stage reads, of records with 2 s."""
    monkeypatch.chdir(tmp_path)
    data, few = tmp_path / "data", {"leads": {"12 leads": 12, "I": 1}, "repeats": 10}
    scored.write(
        tmp_path,
        [scored.zeroshot("kmerl", **few), scored.zeroshot("merl_vit", ways=("contrastive",), **few)],
        [scored.partial(name, repeats=10) for name in RUNS],
        [scored.probes("kmerl", repeats=10), scored.probes("random_init", repeats=10, trained=None)],
    )
    write_table(data / "scores/zeroshot/kmerl/predictions.parquet", predictions(), PREDICTIONS)
    for archive in ARCHIVES:
        small.store(data / "waveforms" / archive)
        write_table(data / f"splits/{archive}.parquet", small.splits(), SPLITS)
        said = pl.DataFrame({"record_id": ["r0"], "statements": [["sinus rhythm", "normal"]]})
        write_table(data / f"statements/{archive}.parquet", said, STATEMENTS)
    trained_on = {"archive": "mimic_iv_ecg", "origin": "simulated"}
    for name, steps in {"kmerl": 30, "merl_vit": 30, "random_init": 0}.items():
        rows = [(step, "contrastive", 1 / (1 + step)) for step in range(steps)]
        write_table(data / f"runs/{name}/history.parquet", pl.DataFrame(rows, HISTORY.names, orient="row"), HISTORY)
        config = {"trained_on": trained_on, "curves": {"contrastive": "ECG-report loss"}}
        write_json(data / f"runs/{name}/config.json", config)
    vocabulary = make_vocabulary(["sinus rhythm"], {})
    write_json(data / "labels/base/vocabulary.json", asdict(vocabulary))
    labels = pl.DataFrame({"record_id": ["r1"], "positives": [[0]]})
    write_table(data / "labels/base/labels.parquet", labels, LABELS, {"vocabulary": vocabulary.hash})
    traced = dict.fromkeys(TRACE.names, "sinus rhythm") | {"report_id": "t", "start": 0, "end": 5}
    write_table(data / "labels/base/trace.parquet", pl.DataFrame([traced]), TRACE)
    write_table(data / "reports/studies.parquet", pl.DataFrame({"record_id": ["r1"], "report_id": ["t"]}), STUDIES)
    report = pl.DataFrame({"report_id": ["t"], "text": ["sinus rhythm."], "records": [1]})
    write_table(data / "reports/reports.parquet", report, REPORTS)
    return tmp_path


def test_the_stage_draws_every_figure_as_png_and_svg_and_the_same_bytes_again(project):
    first: dict[str, bytes] = {}
    stems = ["zeroshot_auc", "queries_auc", "partial_leads_auc", "linear_probe_auc", "training", "ecg_example_1",
             "ecg_example_2", "ecg_pretraining_1"]  # fmt: skip
    for _ in range(2):
        assert stage.main(params()).endswith("3 ECGs")
        found = {path.name: path.read_bytes() for path in (project / "results/figures").iterdir()}
        assert set(found) == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
        assert not first or found == first
        assert all(len(content) < 600_000 and b"<dc:date>" not in content for content in found.values())
        first = found


def test_examples_come_from_every_archive_asked_in_the_runs_own_way_by_plain_names(project):
    values = params()
    run, _ = stage.read_scores(values)["zeroshot"]
    shown = list(stage.evaluated(values, run))
    assert [one.heading.split(" record")[0] for one in shown] == ["toy"] * 2  # as the small stores are called
    assert [answer.name for answer in shown[1].answers] == ["normal ECG", "atrial fibrillation"]
    assert all(set(answer.probability.values()) == {0.25} for one in shown for answer in one.answers)
    assert shown[0].subheading == "model kmerl, pretrained on mimic_iv_ecg (simulated)"


def test_a_missing_input_is_named_and_no_old_figure_is_lost(project):
    old = project / "results/figures/training.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    (project / "data/runs/merl_vit/config.json").unlink()
    with pytest.raises(UserError, match=r"merl_vit/config\.json"):
        stage.main(params())
    assert old.read_bytes() == b"old"
    assert [path.name for path in (project / "results").iterdir()] == ["figures"]
