"""A real small model through llama.cpp's server and through vLLM: slow, and only where both are installed.

Before: ``make vllm``, ``make laptop`` once, ``workflow/envs/vllm/bin/python workflow/gguf_to_hf.py .models/NAME.gguf
.models/NAME``, and the demo's ``data/reports`` and ``data/truth``. Then ``pytest -m slow tests/test_small_model.py``.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from kmerl.archives.schemas import TRUTH
from kmerl.artifacts import read_table
from kmerl.knowledge.judging import by_report, overlap, truths
from kmerl.knowledge.schemas import STUDIES
from kmerl.tables.mining_quality import Judged
from workflow.llama_server import free_port, running

sys.path.append("benchmarks")
import compared

pytestmark = pytest.mark.slow
NAME = "qwen2.5-coder-1.5b-instruct-q4_k_m"
GGUF, FOLDER = Path(".models", f"{NAME}.gguf"), Path(".models", NAME)
LLAMA, VLLM = Path("workflow/envs/llama/bin/python"), Path("workflow/envs/vllm/bin/python")
NEEDED = (GGUF, FOLDER, LLAMA, VLLM, Path("data/reports/reports.parquet"), Path("data/truth/mimic_iv_ecg.parquet"))
REPORTS = 100
HELPED = ["ask.prompting=few_shot", "ask.constraint=structured", "extract.max_tokens=200", "verify.max_tokens=8"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    for path in NEEDED:
        if not path.exists():
            pytest.skip(f"no {path}; this file's first lines say how to get it")
    folder = tmp_path_factory.mktemp("runs")
    compared.ask(folder / "lexicon", [f"reports={REPORTS}"])
    port = free_port()
    command = [str(LLAMA), "-m", "llama_cpp.server", "--model", str(GGUF), "--model_alias", NAME, "--port", str(port)]
    with running([*command, "--n_ctx", "4096", "--n_threads", str(os.cpu_count())], port, folder / "log") as url:
        server = [f"engine.openai.url={url}", "engine.openai.dialect=llama_cpp", "engine.openai.connections=1"]
        engine = ["engine.name=openai", f"engine.model={NAME}", f"reports={REPORTS}"]
        compared.ask(folder / "llama_cpp", [*engine, *server, *HELPED])
    small = {"python": VLLM.absolute(), "context": 4096, "dtype": "bfloat16", "sequences": 16, "eager": "true"}
    vllm = [f"engine.vllm.{name}={value}" for name, value in small.items()]
    engine = ["engine.name=vllm", f"engine.model={FOLDER}", f"reports={REPORTS}"]
    compared.ask(folder / "vllm", [*engine, *vllm, *HELPED])
    names = ("lexicon", "llama_cpp", "vllm")
    print(compared.compare([folder / name for name in names]))
    studies = read_table("data/reports/studies.parquet", STUDIES)
    every = truths(read_table("data/truth/mimic_iv_ecg.parquet", TRUTH), studies)
    known = {report_id: every[report_id] for report_id in compared.drawn(REPORTS)["report_id"]}
    return {name: compared.read(folder / name) for name in names}, known


@pytest.mark.parametrize("name", ["llama_cpp", "vllm"])
def test_a_small_model_finds_most_findings_and_invents_few(runs, name) -> None:
    verified, unusable, run = runs[0][name]
    judged = Judged(verified, runs[1])
    assert judged.extraction.precision > 0.85
    assert judged.extraction.recall > 0.85
    assert unusable.height <= 2
    assert run["cost"]["extract"]["questions"] == REPORTS, json.dumps(run["cost"])


def test_both_engines_agree_on_the_same_model(runs) -> None:
    found, known = runs
    names = [by_report(found[name][0].filter("kept")) for name in ("llama_cpp", "vllm")]
    # 4-bit kernels and bfloat16 round differently
    assert overlap(*names, known) > 0.7
    assert overlap(*(compared.findings(each, known) for each in names), known) > 0.9
