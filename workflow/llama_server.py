"""Run a command beside llama.cpp's server: ``python -m workflow.llama_server PYTHON MODEL.gguf -- COMMAND ...``.

PYTHON is that of the environment in which llama-cpp-python is installed. COMMAND finds the server in OPENAI_BASE_URL;
the server is stopped when COMMAND ends, however that ends. Its log is ``logs/llama_server.log``.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from kmerl.children import bound
from kmerl.errors import UserError

LOG = Path("logs/llama_server.log")
CONTEXT = 8192  # tokens, of a question with its answer
START_SECONDS = 180.0


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(command: Sequence[str], port: int, log: Path, seconds: float = START_SECONDS) -> Iterator[str]:
    """A server with OpenAI's interface; the block gets its address.

    Args:
        command: that starts it on ``port``.
        port: on this machine.
        log: gets all that it says.
        seconds: until it must answer.

    Raises:
        UserError: it does not come up, or ends before the block does.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        try:
            server = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=bound(),
            )  # fmt: skip
        except OSError as error:
            raise UserError(f"{command[0]}: cannot be started ({error.strerror}); run `make laptop`") from None
        try:
            url = f"http://127.0.0.1:{port}/v1"
            _await(server, url, log, seconds)
            yield url
            # one that ended with its last connection is told a moment later
            with suppress(subprocess.TimeoutExpired):
                server.wait(1)
            if server.poll() is not None:
                raise UserError(f"llama.cpp's server ended by itself ({_end(server, log)}); see {log}")
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _await(server: "subprocess.Popen[bytes]", url: str, log: Path, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if server.poll() is not None:
            raise UserError(f"llama.cpp's server does not start ({_end(server, log)}); see {log}")
        with suppress(requests.RequestException):
            if requests.get(f"{url}/models", timeout=2, proxies={"http": "", "https": ""}).ok:
                return
        time.sleep(0.2)
    raise UserError(f"llama.cpp's server does not answer within {seconds:g} s; see {log}")


def _end(server: "subprocess.Popen[bytes]", log: Path) -> str:
    status = server.returncode
    if status == -signal.SIGILL:
        return "it was built for another processor; remove workflow/envs/llama and run `make laptop`"
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()] or ["nothing"]
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"{how}: {lines[-1][:200]}"


def main(argv: list[str]) -> int:
    """Returns the command's exit status, or 1 after one line."""
    if len(argv) < 4 or argv[2] != "--":
        print("usage: python -m workflow.llama_server PYTHON MODEL.gguf -- COMMAND ...", file=sys.stderr)
        return 2
    python, model, port = argv[0], Path(argv[1]), free_port()
    threads = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    command = [
        python, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", model.stem, "--host", "127.0.0.1",
        "--port", str(port), "--n_ctx", str(CONTEXT), "--n_threads", threads, "--n_threads_batch", threads,
    ]  # fmt: skip
    # told to end, it still stops the server
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with running(command, port, LOG) as url:
            print(f"server: {model.stem} at {url}, log in {LOG}", flush=True)
            environment = {**os.environ, "OPENAI_BASE_URL": url}
            # told to end, not killed: it may have started others
            return subprocess.run(argv[3:], env=environment, check=False, preexec_fn=bound(signal.SIGTERM)).returncode
    except UserError as error:
        print(f"server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
