"""What users read and set when they fetch, and lists that nobody should trust."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import http_server
import polars as pl
import pytest
import yaml
from fetching import (
    CSN,
    FILES,
    LARGE,
    RELEASE,
    ROOT,
    SUMS,
    held,
    job,
    one_line,
    params,
)

from kmerl.archives.__main__ import main
from kmerl.archives.fetch import sources
from kmerl.archives.fetch.job import fetch, rehearse
from kmerl.archives.fetch.recommended import RECOMMENDED
from kmerl.archives.fetch.sources import SOURCES
from kmerl.errors import UserError
from kmerl.params import check
from stages import fetch as fetch_stage
from stages import register as register_stage


@pytest.fixture
def server():
    with http_server.running() as running:
        running.publish(RELEASE, FILES)
        yield running


# lists that are not to be trusted


@pytest.mark.parametrize(
    "line",
    [
        "{sum}  ../x", "{sum}  /tmp/x", "{sum}  a/../../x", "{sum}  a\\..\\x", "{sum}  a//x", "{sum}  ./x", "{sum}  a/",
        "{sum}  x\x00y", "{sum}  x\ty", "{sum}  " + "x" * 250, "{sum}  .kmerl-fetched.tsv", "{sum}  .a.csv.partial",
        "{sum}  a.csv", "{sum}", "abc  x", "<html>", "{sum}  " + "x/" * 5000, "\\{sum}  x", "{sum}  \udcff",
    ],
)  # fmt: skip
def test_a_hostile_list_ends_the_run_before_anything_is_written(server, tmp_path, line):
    text = line.replace("{sum}", "0" * 64).encode("utf-8", "surrogateescape") + b"\n"
    server.files[SUMS] += text
    with pytest.raises(UserError, match=r"SHA256SUMS.txt.*(no safe path|no checksum and path|stands twice)") as error:
        fetch(job(server, tmp_path / "x"))
    one_line(error)
    assert server.asked() == [SUMS]
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("text", "message"), [(b"", "lists no file"), (b"0" * 64 + b"  x", "no checksum and path")])
def test_an_empty_or_truncated_list_is_refused(server, tmp_path, text, message):
    server.files[SUMS] = text
    with pytest.raises(UserError, match=message):
        fetch(job(server, tmp_path))


def test_both_ways_of_writing_checksum_lists_are_read(server, tmp_path):
    server.files[SUMS] = server.files[SUMS].replace(b" ", b"  ", 1).replace(b"\n", b"\r\n", 1) + b"\n"
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


# a dry run


def test_a_dry_run_tells_what_would_come_and_writes_nothing(server, tmp_path):
    server.publish(RELEASE, FILES | {f"{n}.hea": b"x" * 100 for n in range(10)})
    (tmp_path / "a.csv").write_bytes(FILES["a.csv"])
    text = rehearse(job(server, tmp_path, leave_out={"csn": ["files/p2/"]}))
    assert ".csv: 1 files, 1 there, 0 to fetch, 0 B" in text
    assert ".dat: 1 files, 0 there, 1 to fetch, 1.0 MB" in text
    assert ".hea: 11 files, 0 there, 11 to fetch, about" in text
    assert "(from 2 files)" in text
    assert "1 of those there were not compared" in text
    assert "left out: files/p2/*" in text
    assert "to fetch in all: 12 of 13 files, about 1.0 MB;" in text
    assert server.asked() == [SUMS]
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_server_that_tells_no_sizes_is_fetched_from_all_the_same(server, tmp_path):
    server.tells_sizes = False
    assert ".dat: 1 files, 0 there, 1 to fetch, of unknown size" in rehearse(job(server, tmp_path / "x"))
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


def test_a_dry_run_with_verify_compares_what_is_there(server, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"other")
    text = rehearse(job(server, tmp_path, verify=True))
    assert ".csv: 1 files, 0 there, 1 to fetch (1 of them replace others), 8 B" in text
    assert "not compared" not in text


def test_a_list_of_200_000_files_takes_no_more_memory_than_a_short_one(server, tmp_path):
    lines = (f"{n:064x} files/p{n // 1000:04}/p{n:08}/s{n:08}/{n:08}.dat\n" for n in range(200_000))
    server.files[SUMS] = "".join(lines).encode()
    code = (
        "import resource, sys, fetching as t; from kmerl.archives.fetch.job import rehearse\n"
        "from pathlib import Path; from types import SimpleNamespace as S\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before = peak(); text = rehearse(t.job(S(url=sys.argv[1]), Path(sys.argv[2])))\n"
        "assert '200,000 files' in text, text\nprint(peak() - before)"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    }
    done = subprocess.run(
        [sys.executable, "-c", code, server.url, str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert int(done.stdout) < 16  # MiB; the paths alone are 24


# what the user reads


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "the following arguments are required: NAME, FOLDER; --help lists the options"),
        (["fetch", "ptbxl", "{x}"], "no source 'ptbxl'; the sources are mimic_iv_ecg, ptb_xl"),
        (["fetch", "csn", "{x}", "--conections", "2"], "unrecognized arguments"),
        (["fetch", "csn", "{x}", "--connections", "0"], "fetch.connections: .*greater than or equal to 1 .*it is 0"),
        (["fetch", "csn", "{x}", "--base-url", "physionet.org"], "fetch.physionet_url: not an address that begins"),
        (["fetch", "csn", "{x}", "--base-url", "http://me:pw@a/"], "holds a user name"),
        (["fetch", "csn", "{x}", "--base-url", "http://nowhere.invalid/"], "nowhere.invalid: cannot be reached, its"),
        (["fetch", "csn", "{x}", "--base-url", "http://127.0.0.1:9/"], "127.0.0.1:9: cannot be reached, it takes"),
        (["fetch", "csn", "{x}", "--base-url", "{url}none/"], "no checksum file: .*404"),
        (["fetch", "csn", "{x}", "--base-url", "{url}refused/"], "access is refused .403.; open it in a browser: a"),
        (["fetch", "csn", "{file}", "--base-url", "{url}"], "cannot be written, a file stands where a folder"),
        (["fetch", "csn", "{file}/x", "--base-url", "{url}"], "cannot be written, a file stands where a folder"),
        (["fetch", "csn", "/proc/none", "--base-url", "{url}"], "/proc/none.*cannot be written|No such file"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_one_line(server, tmp_path, monkeypatch, capsys, arguments, message):
    server.publish(CSN, FILES)
    server.script[f"/refused/{CSN}/SHA256SUMS.txt"] = [http_server.say(403)]
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    for old, new in {"{x}": str(tmp_path / "x"), "{file}": str(tmp_path / "file"), "{url}": server.url}.items():
        arguments = [argument.replace(old, new) for argument in arguments]
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("fetch: ")
    assert said.count("\n") == 1
    assert re.search(message, said)


def test_the_command_reads_the_projects_own_section(server, tmp_path, monkeypatch, capsys):
    server.publish(CSN, FILES)
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump({"fetch": params(server).model_dump()}))
    assert main(["fetch", "csn", "x"]) == 0
    assert capsys.readouterr().out == "csn: 4 files, 1.0 MB, complete in x; 4 fetched (1.0 MB)\n"
    Path("params.yaml").write_text("fetch: {connections: 2}")
    assert main(["fetch", "csn", "x"]) == 1
    assert "params.yaml: fetch.connect_seconds: Field required" in capsys.readouterr().err


def test_a_proxy_that_is_not_there_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"physionet.invalid: cannot be reached, the proxy .*HTTPS_PROXY"):
        fetch(job(server, tmp_path, physionet_url="http://physionet.invalid/"))


def test_an_unknown_command_is_answered_with_those_there_are(capsys):
    assert main(["fecth"]) == 2
    assert "fetch" in capsys.readouterr().err


def test_a_certificate_that_is_not_trusted_is_told(tmp_path, monkeypatch):
    ssl = pytest.importorskip("ssl")
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    with http_server.running() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        address = server.url.replace("http:", "https:")
        with pytest.raises(UserError, match=r"its certificate is not trusted; .*REQUESTS_CA_BUNDLE"):
            fetch(job(server, tmp_path / "x", physionet_url=address))


def test_a_disk_without_room_is_told_before_anything_is_fetched(server, tmp_path, monkeypatch):
    monkeypatch.setattr("kmerl.archives.fetch.job.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"1.0 MB are to be fetched, but 1.0 kB are free there; free space"):
        fetch(job(server, tmp_path))
    assert held(tmp_path) == {}


def test_a_file_that_the_disk_does_not_take_is_told_in_one_line(server, tmp_path):
    server.publish(CSN, {"z.dat": LARGE})
    limited = f"ulimit -f 500; exec {sys.executable} -m kmerl.archives fetch csn {tmp_path}/x --base-url {server.url}"
    done = subprocess.run(["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "z.dat: cannot be written, the file would be larger than allowed" in done.stderr
    assert done.stderr.count("\n") == 1


# parameters, stage, MERL's split files


def test_the_recommended_values_are_those_of_the_repository():
    assert yaml.safe_load((ROOT / "params.yaml").read_text())["fetch"] == RECOMMENDED


@pytest.mark.parametrize(
    ("fetched", "archive", "message"),
    [
        ({"ptbxl": "x"}, {}, "fetched: 'ptbxl' is no source"),
        ({"ptb_xl": "x"}, {"folder": "y"}, "fetched: 'ptb_xl' is fetched into x; set archives.ptb_xl.folder to x"),
        ({"ptb_xl": "x"}, {"folder": "x", "watch": "x"}, "set archives.ptb_xl.watch to data/fetched/ptb_xl.json"),
        ({"csn": "x"}, {}, "fetched: 'csn' is simulated"),
        ({"ptb_xl": "x", "merl_splits": "y"}, {"folder": "x", "watch": "data/fetched/ptb_xl.json"}, None),
    ],
)  # fmt: skip
def test_what_is_fetched_goes_where_it_is_read(fetched, archive, message):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values |= {"fetched": fetched, "simulated": ["csn"]}
    values["knowledge"]["scored"] = []
    values["archives"]["ptb_xl"] |= archive
    if message is None:
        check(values, "params.yaml")
    else:
        with pytest.raises(UserError, match=message):
            check(values, "params.yaml")


@pytest.mark.parametrize("leave_out", [{"ptbxl": ["a"]}, {"ptb_xl": [""]}])
def test_what_is_left_out_is_of_a_source_and_not_all_of_it(server, leave_out):
    with pytest.raises(ValueError, match=r"no source|leaves everything out"):
        params(server, leave_out=leave_out)


def test_the_stage_writes_the_receipt_and_the_manifest_lists_the_archive_only(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.publish(CSN, FILES)
    fetch_stage.main(SimpleNamespace(fetched=SimpleNamespace(csn="raw"), fetch=params(server)), "csn")
    first = Path("data/fetched/csn.json").read_bytes()
    assert set(json.loads(first)) == {"source", "release", "files", "bytes", "sums_sha256", "files_sha256"}
    archive = SimpleNamespace(folder="raw", checksum="size")
    register_stage.main(SimpleNamespace(archives=SimpleNamespace(csn=archive)), "csn")
    assert pl.read_parquet("data/manifests/csn.parquet")["path"].to_list() == sorted(FILES)
    fetch_stage.main(SimpleNamespace(fetched=SimpleNamespace(csn="raw"), fetch=params(server)), "csn")
    assert Path("data/fetched/csn.json").read_bytes() == first


def test_merls_split_files_are_pinned():
    names = [entry.local for entry in sources.entries(SOURCES["merl_splits"], sources.PINS, (), "")]
    tasks = ["chapman", "icbeb", *(f"ptbxl_{task}" for task in ("form", "rhythm", "sub_class", "super_class"))]
    assert set(names) == {f"{task}_{part}.csv" for task in tasks for part in ("train", "val", "test")} | {
        "ckepe_prompts.json"
    }


def test_merls_split_files_are_fetched_by_name(server, tmp_path, monkeypatch):
    content = {"a.csv": b"1\n", "b.csv": b"2\n"}
    rows = [f"{name},finetune/{name},{hashlib.sha256(data).hexdigest()}" for name, data in content.items()]
    (tmp_path / "pins.csv").write_text("\n".join(["file,path,sha256", *rows]) + "\n")
    for module in ("sources", "job"):
        monkeypatch.setattr(f"kmerl.archives.fetch.{module}.PINS", tmp_path / "pins.csv")
    source = SOURCES["merl_splits"]
    server.files = {f"/{source.release}/finetune/{name}": data for name, data in content.items()}
    fetch(job(server, tmp_path / "x", source))
    assert held(tmp_path / "x") == content
