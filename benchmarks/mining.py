"""What the mining of reports costs beside the engine, and what it saves; part of ``make bench``.

The engine is one that answers at once, so that all that is measured is ours. With vLLM installed (``make vllm``) a
tiny random model shows how busy the engine is kept.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import yaml
from memory import peak_mib  # beside this file

from kmerl.artifacts import read_table
from kmerl.knowledge import asking
from kmerl.knowledge.asking import Asking, Dialogue
from kmerl.knowledge.constraints import NAMES
from kmerl.knowledge.engines.messages import Request, Response, make_response
from kmerl.knowledge.engines.params import EngineParams
from kmerl.knowledge.engines.vllm import VllmEngine
from kmerl.knowledge.params import KnowledgeParams
from kmerl.knowledge.parsing import parse_list
from kmerl.knowledge.schemas import REPORTS
from kmerl.knowledge.spans import statements

ROOT = Path(__file__).parent.parent
PARAMS = KnowledgeParams.model_validate(yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["knowledge"])
FEW, MANY = 20_000, 200_000  # questions
VLLM = Path(os.environ.get("KMERL_VLLM_PYTHON") or ROOT / "workflow/envs/vllm/bin/python")
MIMIC = {"records": 771_693, "reports": 200_000, "statements": 2_000}
"""Records whose report passes the cleaning (MERL); the others are round guesses: about 200,000 distinct reports, and
about a hundred times fewer distinct statements."""
ENTITIES = 5  # of a report, on average
BUSY = 2_000  # questions put to the tiny model


class Echo:
    """Answers every question at once."""

    model = "echo"

    def answer(self, requests: Iterator[Request]) -> Iterator[Response]:
        """One result per request."""
        for request in requests:
            yield make_response(request, '["sinus rhythm", "left axis deviation"]')

    def close(self) -> None:
        """Nothing was started."""


def measured(number: int, prompting: str, runs: int) -> list[tuple[float, int]]:
    """Seconds and peak memory (MiB) of runs over the same questions, in a process of their own."""
    command = [sys.executable, __file__, str(number), prompting, str(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [(float(a), int(b)) for a, b in (line.split() for line in done.stdout.splitlines())]


def dialogues(number: int, prompting: str, runs: int) -> None:
    """Print what :func:`measured` reads."""
    asking.open_engine = lambda params: Echo()
    constraint = "structured" if prompting == "few_shot" else "none"
    ask = PARAMS.ask.model_copy(update={"prompting": prompting, "constraint": constraint})
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            begin = time.perf_counter()
            who = Asking(PARAMS.engine, ask, Path(folder) / "answers")
            with Dialogue(who, "extract", 1024, parse_list, Path(folder) / str(run)) as dialogue:
                report = "sinus rhythm. left axis deviation. possible inferior infarct, number {}. abnormal ecg."
                dialogue.ask(dialogue.request(NAMES, report=report.format(i)) for i in range(number))
            print(time.perf_counter() - begin, int(peak_mib()), flush=True)


def overhead() -> Iterator[str]:
    """Time and memory beside the engine."""
    yield "| questions | asked | per question | read again from kept answers | peak memory |"
    yield "|---|---|---|---|---|"
    for prompting in ("paper", "few_shot"):
        for number in (FEW, MANY):
            (first, _), (again, memory) = measured(number, prompting, 2)
            shown = "few-shot, constrained" if prompting == "few_shot" else "paper's prompt"
            each = 1000 * first / number
            yield f"| {number:,}, {shown} | {first:.1f} s | {each:.3f} ms | {again:.1f} s | {memory} MiB |"


def saving() -> Iterator[str]:
    """Records, distinct reports and distinct statements."""
    yield "| reports of | records | distinct reports | distinct statements | fewer questions by report | by statement |"
    yield "|---|---|---|---|---|---|"
    path, counts = ROOT / "data/reports/reports.parquet", {"MIMIC-IV-ECG (projected)": MIMIC}
    if path.exists():
        reports = read_table(path, REPORTS)
        distinct = {text[start:end] for text in reports["text"] for start, end in statements(text)}
        demo = {"records": int(reports["records"].sum()), "reports": reports.height, "statements": len(distinct)}
        counts = {"the demo (simulated)": demo, **counts}
    for name, of in counts.items():
        by_report, by_statement = of["records"] / of["reports"], of["records"] / of["statements"]
        yield (
            f"| {name} | {of['records']:,} | {of['reports']:,} | {of['statements']:,} | {by_report:.1f} x | "
            f"{by_statement:.0f} x |"
        )


@dataclass(frozen=True)
class Cluster:
    """Assumptions about a model on GPUs: dense, bfloat16, tensor parallel.

    Attributes:
        parameters: of the model.
        gpus: of the node.
        tflops: of a GPU, bfloat16 without sparsity (A100: 312).
        used: share of these that is reached, in prefill and in large batches.
    """

    parameters: float = 70e9
    gpus: int = 8
    tflops: float = 312
    used: float = 0.4

    @property
    def tokens_per_second(self) -> float:
        """Two operations per parameter and token; large batches make decoding bound by computing, too."""
        return self.gpus * self.tflops * 1e12 * self.used / (2 * self.parameters)


def projection() -> Iterator[str]:
    """Tokens and hours of the paper's way on MIMIC-IV-ECG."""
    cluster, reports, entities = Cluster(), MIMIC["reports"], ENTITIES
    # tokens per question: what the prefix cache does not hold, and the answer
    plans = {
        "extract, one question per report": (reports, 60 + 15, 30),
        "extract, one question per statement": (MIMIC["statements"], 15 + 15, 10),
        "verify, one question per report and entity": (reports * entities, (60 + 15) // entities + 25, 2),
        "verify, one question per report": (reports, 60 + 45, 2),
    }
    yield "| step | questions | tokens computed | 70B on 8 x A100 |"
    yield "|---|---|---|---|"
    for step, (questions, into, out) in plans.items():
        tokens = questions * (into + out)
        hours = tokens / cluster.tokens_per_second / 3600
        took = f"{hours:.1f} h" if hours >= 0.05 else "under 0.1 h"
        yield f"| {step} | {questions:,} | {tokens / 1e6:,.1f} million | {took} |"


REFERENCE = """
import json, sys, time
from vllm import LLM, SamplingParams
if __name__ == "__main__":
    model, number = sys.argv[1], int(sys.argv[2])
    llm = LLM(model=model, dtype="bfloat16", max_model_len=1024, enforce_eager=True, max_num_seqs=64, seed=0)
    talks = [[{"role": "user", "content": f"report {i}: sinus rhythm. left axis deviation."}] for i in range(number)]
    llm.chat(talks[:64], SamplingParams(temperature=0, max_tokens=16), use_tqdm=False)
    begin = time.perf_counter()
    llm.chat([[{**m, "content": "a " + m["content"]} for m in t] for t in talks],
             SamplingParams(temperature=0, max_tokens=16), use_tqdm=False)
    print("SECONDS", time.perf_counter() - begin)
"""


def busy() -> Iterator[str]:
    """Our rate beside that of vLLM's own loop over a list that is all there."""
    if not VLLM.exists():
        yield "vLLM's tiny model was not measured: no vLLM (`make vllm`)."
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([VLLM, ROOT / "tests/tiny_llama.py", folder], check=True, capture_output=True)
        vllm = {"context": 1024, "dtype": "bfloat16", "sequences": 64, "eager": True, "python": str(VLLM)}
        values = PARAMS.engine.model_dump() | {"name": "vllm", "model": folder}
        engine = VllmEngine(EngineParams.model_validate(values | {"vllm": values["vllm"] | vllm}))

        def questions(number: int, first: str) -> Iterator[Request]:
            for i in range(number):
                content = f"{first}report {i}: sinus rhythm. left axis deviation."
                body = {"model": "m", "messages": [{"role": "user", "content": content}], "temperature": 0}
                yield {"custom_id": f"{i:032x}", "body": {**body, "max_tokens": 16}}

        with redirect_stderr(io.StringIO()):  # vLLM's log
            for _ in engine.answer(questions(64, "")):
                pass
            begin = time.perf_counter()
            answered = sum(1 for _ in engine.answer(questions(BUSY, "a ")))
            ours, share = time.perf_counter() - begin, engine.busy["engine"] / engine.busy["wall"]
            engine.close()
        script = Path(folder) / "reference.py"
        script.write_text(REFERENCE)
        environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1"}
        environment["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        done = subprocess.run(
            [VLLM, script, folder, str(BUSY)], env=environment, capture_output=True, text=True, check=True
        )
        theirs = float(next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("SECONDS")))
    yield "| work | vLLM's LLM.chat | ours | ours takes | engine has work |"
    yield "|---|---|---|---|---|"
    work, ratio = f"{answered:,} questions to a tiny random Llama (133,000 weights)", ours / theirs
    yield f"| {work} | {theirs:.1f} s | {ours:.1f} s | {ratio:.2f} x | {share:.0%} of the time |"


def table() -> str:
    """All of it as Markdown."""
    cluster = Cluster()
    assumed = (
        f"Assumed, not measured: {cluster.parameters / 1e9:.0f} billion parameters, {cluster.gpus} GPUs of "
        f"{cluster.tflops:.0f} TFLOPS of which {cluster.used:.0%} are reached, so {cluster.tokens_per_second:,.0f} "
        f"tokens/s in and out; {ENTITIES} entities and 60 tokens per report, the shared prompt in the prefix cache."
    )
    blocks = [[*saving()], [*overhead()], [*busy()], [*projection(), "", assumed]]
    return "\n\n".join("\n".join(block) for block in blocks)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        dialogues(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    else:
        print(table())
