"""vLLM's offline engine behind pipes; runs in vLLM's own environment and imports nothing of this project.

``PYTHON vllm_worker.py FD``: the first line of standard input is a JSON object of settings, every further one a line of
an OpenAI batch file. File descriptor FD gets one line per thing to tell: ``{"ready": {...}}`` once the model is loaded,
a result for each question as soon as it is finished, ``{"busy": {...}}`` when the questions so far are all answered.
The program ends with its standard input or when it is told to, and so do the processes that vLLM starts.
"""

import json
import os
import queue
import select
import signal
import sys
import threading
import time
from typing import Any

Line = dict[str, Any]
_END_SECONDS = 20  # to end by itself


def read_lines(lines: "queue.Queue[Line | None]") -> None:
    """Pass on what stands in standard input, then None."""
    for text in sys.stdin:
        lines.put(json.loads(text))
    lines.put(None)


class Worker:
    """An engine that holds as many questions as it can compute side by side, and a few more."""

    def __init__(self, settings: Line, out: int) -> None:
        from vllm import LLM, __version__

        begin = time.monotonic()
        self._out = os.fdopen(out, "w", buffering=1, encoding="utf-8")
        self._llm = LLM(
            model=settings["model"],
            tensor_parallel_size=settings["tensor_parallel"],
            pipeline_parallel_size=settings["pipeline_parallel"],
            max_model_len=settings["context"],
            dtype=settings["dtype"],
            gpu_memory_utilization=settings["memory_share"],
            max_num_seqs=settings["sequences"],
            enforce_eager=settings["eager"],
            seed=settings["seed"],
            enable_prefix_caching=True,
            # else a model may pad JSON with white space until it is cut off
            structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},
        )
        self._engine = self._llm.llm_engine
        self._tokenizer = self._llm.get_tokenizer()
        self._context = int(self._llm.model_config.max_model_len)
        self._most = 2 * settings["sequences"]
        self._asked: dict[str, Line] = {}
        self._count = 0
        self._idle, self._began = 0.0, 0.0
        self.tell({"ready": {"vllm": __version__, "seconds": round(time.monotonic() - begin, 1)}})

    def tell(self, line: Line) -> None:
        """Write one line to the one who asks."""
        self._out.write(json.dumps(line, ensure_ascii=False) + "\n")

    def run(self, lines: "queue.Queue[Line | None]") -> None:
        """Answer until there is nothing more to come."""
        while True:
            while len(self._asked) < self._most:
                try:
                    line = lines.get(block=False)
                except queue.Empty:
                    if self._asked:
                        break
                    begin = time.monotonic()
                    line = lines.get()
                    self._idle += time.monotonic() - begin if self._began else 0.0
                if line is None:
                    return
                if "flush" in line:
                    self._finish()
                    continue
                self._add(line)
            self._step()

    def _finish(self) -> None:
        """Answer all that was asked, and tell how busy the engine was since the last time."""
        while self._asked:
            self._step()
        wall = time.monotonic() - self._began if self._began else 0.0
        self.tell({"busy": {"engine": round(wall - self._idle, 4), "wall": round(wall, 4)}})
        self._idle = self._began = 0.0

    def _add(self, line: Line) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        body = line["body"]
        self._began = self._began or time.monotonic()
        try:
            ids = self._tokenizer.apply_chat_template(
                body["messages"], add_generation_prompt=True, tokenize=True, return_dict=False
            )
            room = self._context - len(ids)
            if room < 1:
                raise ValueError(f"the question has {len(ids)} tokens, more than the context of {self._context} holds")
            constraint = body.get("structured_outputs")
            sampling = SamplingParams(
                temperature=body.get("temperature", 0),
                max_tokens=min(body["max_tokens"], room),
                seed=body.get("seed"),
                structured_outputs=StructuredOutputsParams(**constraint) if constraint else None,
            )
            name = str(self._count)
            self._count += 1
            self._engine.add_request(name, {"prompt_token_ids": ids}, sampling)
        except Exception as error:  # of this question alone
            self._fault(line, error)
        else:
            self._asked[name] = line

    def _step(self) -> None:
        if not self._asked:
            return
        for output in self._engine.step():
            if output.finished and output.request_id in self._asked:
                self.tell(result(self._asked.pop(output.request_id), output))

    def _fault(self, line: Line, error: Exception) -> None:
        message = " ".join(str(error).split())[:500] or type(error).__name__
        self.tell({"custom_id": line["custom_id"], "response": None, "error": {"code": "400", "message": message}})


def result(line: Line, output: Any) -> Line:
    """A finished question as a line of an OpenAI batch result."""
    (answer,) = output.outputs
    if answer.finish_reason not in ("stop", "length"):
        error = {"code": str(answer.finish_reason), "message": f"the engine ended the answer: {answer.finish_reason}"}
        return {"custom_id": line["custom_id"], "response": None, "error": error}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": answer.finish_reason,
    }
    usage = {
        "prompt_tokens": len(output.prompt_token_ids),
        "completion_tokens": len(answer.token_ids),
        "cached_tokens": int(output.num_cached_tokens or 0),
    }
    body = {"model": line["body"].get("model"), "choices": [choice], "usage": usage}
    return {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def guard() -> None:
    """Start a process that ends this whole group once the one who asks is gone, even if the engine hangs or is stopped.

    It sees that nobody can write to standard input any more, and gives the engine some time to end by itself.
    """
    worker = os.getpid()
    if os.getpgid(0) != worker or os.fork():
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.closerange(1, 1024)  # who reads there is to see the worker's end
    asked = select.poll()
    asked.register(0, 0)
    asked.poll()
    end = time.monotonic() + _END_SECONDS
    while os.getppid() == worker and time.monotonic() < end:
        time.sleep(0.2)
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Load the model that the first line names, then answer."""
    guard()
    # an exit, not a kill: vLLM then ends the processes that it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    settings = json.loads(sys.stdin.readline())
    worker = Worker(settings, int(sys.argv[1]))
    lines: queue.Queue[Line | None] = queue.Queue(2 * settings["sequences"])
    threading.Thread(target=read_lines, args=(lines,), daemon=True).start()
    worker.run(lines)


if __name__ == "__main__":
    main()
