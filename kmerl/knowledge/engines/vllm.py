"""vLLM's offline engine, in an environment of its own, behind pipes (``vllm_worker``)."""

import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from kmerl.children import bound
from kmerl.errors import UserError
from kmerl.escapes import printable
from kmerl.knowledge.engines.params import EngineParams

Line = dict[str, Any]
_WORKER = Path(__file__).with_name("vllm_worker.py")
_LAST_LINES = 60
_SAMPLE, _SAMPLES = 64 * 1024, 256  # bytes and number, of a file of weights
_END_SECONDS = 20  # for a worker to end by itself


class VllmEngine:
    """Starts vLLM with the first question and keeps it for further ones.

    The model's name is that of the hub; of a local folder it is the folder's own name with a digest of its files, so
    that another model put there never passes for this one.
    """

    def __init__(self, params: EngineParams) -> None:
        self._params = params
        self.model = name_of(params.model)
        self._worker: _Process | None = None
        self.busy: dict[str, float] = {}
        """Seconds during which the engine had questions, and that passed, in the last call of :meth:`answer`."""

    def answer(self, requests: Iterator[Line]) -> Iterator[Line]:
        """One result per request, as each is finished; only what fits into the pipes and the engine is taken ahead.

        Raises:
            UserError: vLLM is not installed, does not load the model, or ended.
        """
        first = next(requests, None)
        if first is None:
            return
        if self._worker is None:
            self._worker = _Process(self._params)
        worker, done = self._worker, False
        try:
            for line in worker.talk(first, requests):
                if "busy" in line:
                    self.busy = line["busy"]
                else:
                    yield line
            done = True
        finally:
            if not done:  # questions are still under way, whose answers nobody waits for
                self.close()

    def close(self) -> None:
        """End vLLM."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None


class _Process:
    """A worker with its pipes."""

    def __init__(self, params: EngineParams) -> None:
        vllm = params.vllm
        python = shutil.which(vllm.python)
        if python is None:
            raise UserError(
                f"{vllm.python}: no such interpreter; `make vllm` installs vLLM there, or name another one in "
                "knowledge.engine.vllm.python"
            )
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [python, "-I", str(_WORKER), str(writing)],  # isolated, as another vllm.py lies beside it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            env=_environment(params),
            preexec_fn=bound(signal.SIGTERM),  # it then ends its own processes, or else its guard does
            start_new_session=True,  # so that whatever vLLM starts can be ended with it
        )
        os.close(writing)
        self._model, self._start_seconds = params.model, vllm.start_seconds
        self._log: deque[str] = deque(maxlen=_LAST_LINES)
        self._answers: queue.Queue[Line | None] = queue.Queue(2 * vllm.sequences)
        self._ended = threading.Event()
        self._ready = False
        assert self._process.stdout is not None
        for target, file in ((self._listen, os.fdopen(reading, "rb")), (self._keep_log, self._process.stdout)):
            threading.Thread(target=target, args=(file,), daemon=True).start()
        settings = {**vllm.model_dump(exclude={"python", "start_seconds"}), "model": params.model, "seed": params.seed}
        self._send(settings)

    def talk(self, first: Line, requests: Iterator[Line]) -> Iterator[Line]:
        """Send questions in a thread of their own, and give back what comes, to the line that tells the end."""
        if not self._ready:
            self._await_ready()
        failures: list[BaseException] = []

        def feed() -> None:
            try:
                self._send(first)
                for request in requests:
                    if self._ended.is_set():
                        return
                    self._send(request)
                self._send({"flush": True})
            except BaseException as error:  # a mistake in making questions must not pass for the end of them
                failures.append(error)
                self._process.kill()

        threading.Thread(target=feed, daemon=True).start()
        while (line := self._answers.get()) is not None:
            yield line
            if "busy" in line:
                return
        self.end()
        if failures and not isinstance(failures[0], OSError):
            raise failures[0]
        raise UserError(
            f"vLLM ended while it answered ({self._how()}: {self._last_line()}); run again, answers that came are kept"
        )

    def end(self) -> None:
        """End the worker and all that it started."""
        self._ended.set()
        self._process.terminate()  # it then ends its own processes
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        while not self._answers.empty():
            self._answers.get_nowait()

    def _await_ready(self) -> None:
        try:
            line = self._answers.get(timeout=self._start_seconds)
        except queue.Empty:
            self.end()
            raise UserError(
                f"{self._model}: not loaded within {self._start_seconds:g} s (knowledge.engine.vllm.start_seconds); "
                f"vLLM's last line: {self._last_line()}"
            ) from None
        if line is None or "ready" not in line:
            self.end()
            raise UserError(
                f"{self._model}: vLLM does not start with this model ({self._how()}: {self._last_line()}); the stage's "
                "log has all it said"
            )
        self._ready = True

    def _send(self, line: Line) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # if it has ended, the other side of the talk sees it
            self._process.stdin.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            self._process.stdin.flush()

    def _listen(self, file: IO[bytes]) -> None:
        with file:
            for text in file:
                while not self._ended.is_set():
                    try:
                        self._answers.put(json.loads(text), timeout=0.5)
                        break
                    except queue.Full:
                        continue
        if not self._ended.is_set():
            self._answers.put(None)

    def _keep_log(self, file: IO[bytes]) -> None:
        for text in file:
            line = text.decode("utf-8", "replace").rstrip()
            self._log.append(line)
            print(printable(line), file=sys.stderr)

    def _how(self) -> str:
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "it goes on but says nothing"
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def _last_line(self) -> str:
        """What of its log most likely says why."""
        lines = [line for line in self._log if line.strip()]
        errors = [line for line in lines if "Error" in line and not line.lstrip().startswith(("File ", "raise "))]
        return " ".join((errors or lines or ["it said nothing"])[-1].split())[:300]


def name_of(model: str) -> str:
    """A hub's name as it is; a folder's with a digest of its files, of large ones by samples from all over them."""
    folder = Path(model)
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            # fine-tuned weights are as large as they were, and may differ in some layers only
            for place in range(0, size, max(_SAMPLE, size // _SAMPLES)):
                file.seek(place)
                digest.update(file.read(_SAMPLE))
    return f"{folder.resolve().name}@{digest.hexdigest()[:12]}"


def _environment(params: EngineParams) -> dict[str, str]:
    """The worker's environment: no statistics sent, and on a CPU the cores that this process may use."""
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if params.vllm.batch_invariant:
        environment["VLLM_BATCH_INVARIANT"] = "1"
    if Path(params.model).is_dir():
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    # read by the CPU build only
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB
    environment.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, cores)))
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):  # of our environment, not of its
        environment.pop(name, None)
    return environment
