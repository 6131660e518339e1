import json
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import scored
import small
from archives import noise, write_csv, write_record
from hypothesis import given, settings
from hypothesis import strategies as st
from lines import write_jsonl
from safetensors.numpy import save_file

from kmerl.archives.schemas import SPLITS
from kmerl.artifacts import write_json, write_table
from kmerl.history import HISTORY
from kmerl.inspect import listing, main
from kmerl.knowledge.schemas import MENTIONS, REPORTS
from kmerl.leads import LEADS
from kmerl.plots.style import new_figure, save
from kmerl.views.files import FILES


def dialogue(folder, n=5):
    questions = [
        {"custom_id": f"q{i}", "body": {"model": "lexicon", "messages": [{"role": "user", "content": f"report {i}"}]}}
        for i in range(n)
    ]
    answers = [
        {
            "custom_id": f"q{i}",
            "response": {"status_code": 200, "body": {"choices": [{"message": {"content": f"[entity {i}]"}}]}},
            "error": None,
        }
        for i in range(n)
    ]
    write_jsonl(folder / "requests.jsonl", questions)
    write_jsonl(folder / "responses.jsonl", answers[::-1])
    mention = {"report_id": "a", "entity": "atrial flutter", "start": 0, "end": 14, "request": "q0"}
    write_table(folder / "mentions.parquet", pa.Table.from_pylist([mention], MENTIONS), MENTIONS)


def write_features(folder):
    """Features of three records of one archive, from two lead sets."""
    leads = {"12 leads": list(LEADS), "I": ["I"]}
    archives = {"ptb_xl": {"records": 3, "origin": "simulated"}}
    write_json(folder / "features.json", {"name": "kmerl", "width": 4, "leads": leads, "archives": archives})
    for k in range(len(leads)):
        np.save(folder / f"ptb_xl-{k}.npy", np.full((3, 4), k, np.float32))


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """One artifact of every kind, laid out as the pipeline does."""
    root = tmp_path_factory.mktemp("project")
    data = root / "data"
    small.store(data / "waveforms/toy", leads=["I", "II", "V1"])
    write_table(data / "splits/toy.parquet", small.splits(), SPLITS, {"archive": "toy", "origin": "simulated"})
    dialogue(data / "knowledge/base/extract")
    raw = data / "simulated/toy"
    write_record(raw / "files/p1000/1/40", noise(1))
    (raw / "SIMULATED").touch()
    write_csv(raw / "record_list.csv", [{"subject_id": 1, "study_id": 40, "path": "files/p1000/1/40"}])
    vocabulary = {
        "queries": ["af", "arrhythmia", "lvh"],
        "entities": ["af", "lvh"],
        "superclasses": {"arrhythmia": ["af"]},
    }
    write_json(data / "labels/base/vocabulary.json", vocabulary | {"hash": "beef"})
    schema = pa.schema([pa.field("record_id", pa.string()), pa.field("positives", pa.list_(pa.int32()))])
    bits = pl.DataFrame({"record_id": ["r1", "r2"], "positives": [[0, 1], [2]]})
    write_table(data / "labels/base/labels.parquet", bits, schema, {"vocabulary": "beef"})
    rejected = pa.schema([pa.field(name, pa.string()) for name in ("record_id", "reason", "detail")])
    rows = [
        {"record_id": f"r{i}", "reason": "too_few_leads" if i else "bad_header", "detail": str(i)} for i in range(4)
    ]
    write_table(
        data / "rejected/toy/1of1.parquet", pa.Table.from_pylist(rows, rejected), rejected, {"origin": "simulated"}
    )
    report = {"report_id": "a", "text": "sinus rhythm. " * 30, "records": 7}
    write_table(data / "reports/reports.parquet", pa.Table.from_pylist([report], REPORTS), REPORTS)
    texts, embedded = data / "embeddings/classes", pa.schema([("row", pa.int32()), ("text", pa.string())])
    rows = pl.DataFrame({"row": [0, 1, 2], "text": ["af", "flutter", "lvh"]})
    write_table(texts / "texts.parquet", rows, embedded)
    np.save(texts / "vectors.npy", np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
    write_json(texts / "config.json", {"encoder": "toy"})
    run = data / "runs/kmerl"
    rows = [(step, name, 0.5) for step in (1, 2) for name in ("loss", "valid_auc")]
    history = pl.DataFrame(rows, HISTORY.names, orient="row")
    write_table(run / "history.parquet", history, HISTORY)
    write_json(run / "config.json", {"method": "kmerl", "vocabulary": ["af"] * 9})
    save_file(
        {"encoder.weight": np.zeros((3, 4), np.float32), "bias": np.zeros(5, np.float32)}, run / "model.safetensors"
    )
    few = {"leads": {"12 leads": 12, "I": 1}, "repeats": 10, "ways": ("query",)}
    scored.write(root, [scored.zeroshot(**few)], [scored.partial(repeats=10)], [scored.probes(repeats=10)])
    write_features(data / "features/kmerl")
    (root / "results/figures").mkdir(parents=True)
    save(new_figure(50.8, 25.4), root / "results/figures/one", 100)
    write_json(root / "results/metrics.json", {"kmerl": {"I": {"average": 0.7}}})
    write_json(data / "knowledge/base/merge/merged.json", {"a-fib": "atrial fibrillation", "af": "atrial fibrillation"})
    (root / "notes.md").write_text("# Title\n")
    (root / "results/report.html").write_text("<title>K-MERL</title><img src='x'><table></table><table></table>")
    return root


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("data/simulated/toy/files/p1000/1/40.hea", ["12 leads, 500 Hz", "(10 s)", "aVR"]),
        ("data/simulated/toy/files/p1000/1/40.dat", ["12 leads, 500 Hz"]),
        ("data/simulated/toy/files/p1000/1/40", ["12 leads, 500 Hz"]),
        ("data/simulated/toy", ["raw archive, simulated", "record_list.csv: 1 rows", "record 40: 12 leads"]),
        ("data/waveforms/toy", ["24 records, 12 patients, 100 Hz", "train 24", "I II V1 24", "median maximum"]),
        ("data/waveforms/toy/shard-00000.npy", ["array (10, 12, 200) int16"]),
        ("data/knowledge/base/extract", ["5 questions, 5 answers", "report 0", "[entity 0]", "atrial flutter"]),
        ("data/knowledge/base/extract/requests.jsonl", ["5 JSON lines", "custom_id"]),
        ("data/rejected/toy/1of1.parquet", ["4 rows", "origin: simulated", "reason: too_few_leads 3, bad_header 1"]),
        ("data/labels/base", ["2 label vectors over 3 queries", "vocabulary beef", "lvh"]),
        ("data/labels/base/vocabulary.json", ["arrhythmia (1)\n    af", "in no superclass (1)\n    lvh"]),
        ("data/reports", ["1 distinct reports of 7 records", "sinus rhythm"]),
        (
            "data/embeddings/classes",
            ["3 texts as vectors of 2 float32", "to: af\n  cosine  text\n  0.9939  flutter"],
        ),
        ("data/runs/kmerl", ["2 tensors, 17 weights", "9 queries", "last steps"]),
        ("data/runs/kmerl/model.safetensors", ["encoder.weight", "(3, 4)"]),
        ("data/scores/zeroshot/kmerl", ["method: kmerl", "query  other_name", "csn", "NORM", "; seen: ", " of 106"]),
        ("data/scores/partial_leads/kmerl", ["only V6   visible_leads", "nested", "only V6   single"]),
        ("data/scores/linear_probe/kmerl", ["12 leads", "train_records", "cpsc2018"]),
        ("data/features/kmerl", ["features, 2 arrays", "width: 4", "12 leads", "ptb_xl   3", "array (3, 4) float32"]),
        ("data/scores/zeroshot/kmerl/seen.parquet", ["106 rows", "similarity"]),
        ("data/scores/zeroshot/kmerl/resamples.parquet", ["metric: ", "values"]),
        ("data/scores/partial_leads/kmerl/leads.parquet", ["24 rows", "nested"]),
        ("results/report.html", ["page, 'K-MERL', 1 pictures, 2 tables"]),
        ("data/simulated/toy/record_list.csv", ["1 rows", "files/p1000/1/40"]),
        ("results/metrics.json", ['"average": 0.7']),
        ("results/figures/one.png", ["200 x 100 pixels"]),
        ("results/figures/one.svg", ["drawing"]),
        ("results/figures", ["folder of 2", "one.png"]),
        ("data/knowledge/base/merge/merged.json", ["2 names merged into 1", "atrial fibrillation (2)\n    a-fib"]),
        ("notes.md", ["# Title"]),
    ],
)
def test_every_artifact_is_shown(artifacts, monkeypatch, capsys, path, words):
    monkeypatch.chdir(artifacts)
    assert main([path]) == 0
    out = capsys.readouterr().out
    for word in words:
        assert word in out
    assert max(map(len, out.splitlines())) <= 400


def test_without_arguments_every_artifact_has_a_line(artifacts, monkeypatch):
    monkeypatch.chdir(artifacts)
    lines = [line.split() for line in listing().splitlines()]
    assert lines[0] == ["path", "kind", "size", "rows"]
    found = {line[0]: line[1] for line in lines[1:]}
    assert found["data/waveforms/toy"] == "waveforms"
    assert found["data/simulated/toy"] == "archive"
    assert {"data/labels/base", "data/reports", "data/runs/kmerl", "results/figures", "results/report.html"} <= set(
        found
    )
    for name in ("zeroshot", "partial_leads", "linear_probe"):
        assert found[f"data/scores/{name}/kmerl"] == "scores"
    assert found["data/features/kmerl"] == "features"
    assert next(line for line in lines if line[0] == "data/waveforms/toy")[-1] == "24"


def test_nothing_made_yet_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    assert "nothing has been made" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["missing"], ["unknown.xyz"], ["label", "r1"], ["label"]])
def test_what_cannot_be_shown_is_one_line_and_status_1(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unknown.xyz").write_text("?")
    assert main(arguments) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_one_bad_path_does_not_hide_the_others(artifacts, monkeypatch, capsys):
    monkeypatch.chdir(artifacts)
    assert main(["missing", "notes.md"]) == 1
    captured = capsys.readouterr()
    assert "# Title" in captured.out
    assert "missing" in captured.err


def damaged(artifacts):
    return [path for path in artifacts.rglob("*") if path.is_file() and path.suffix in FILES]


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_damaged_file_never_ends_in_a_traceback(artifacts, tmp_path_factory, data):
    files = sorted(damaged(artifacts))
    path = data.draw(st.sampled_from(files))
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    broken = tmp_path_factory.mktemp("broken", numbered=True) / path.name
    noise = data.draw(st.binary(max_size=20))
    broken.write_bytes(content[:cut] + noise)
    assert main([str(broken)]) in (0, 1)


def test_a_damaged_folder_never_ends_in_a_traceback(artifacts, tmp_path, capsys):
    for path in damaged(artifacts):
        if path.parent.parent.name in (
            "data",
            "waveforms",
            "knowledge",
            "embeddings",
            "runs",
            "scores",
            "partial",
            "probes",
            "features",
        ):
            copy = tmp_path / path.parent.name
            shutil.copytree(path.parent, copy)
            (copy / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            assert main([str(copy)]) in (0, 1)
            assert len(capsys.readouterr().err.splitlines()) <= 1
            shutil.rmtree(copy)


def test_a_reader_that_stops_early_is_no_error(artifacts):
    command = f"{sys.executable} -m kmerl.inspect {artifacts}/data/labels | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert json.dumps(done.stdout).count("\\n") == 1
