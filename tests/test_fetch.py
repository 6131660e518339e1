"""Archives are fetched completely and correctly, whatever servers, networks and users do meanwhile."""

import hashlib
import json
import os
import shutil
import signal
import threading
import time
from email.utils import formatdate

import http_server
import pytest
from fetching import (
    CHUNK,
    CSN,
    DATA,
    FILES,
    LARGE,
    RELEASE,
    SUMS,
    command,
    held,
    job,
    leftovers,
    one_line,
    params,
    until,
)

from kmerl.archives.fetch import client
from kmerl.archives.fetch.job import fetch
from kmerl.archives.fetch.own_files import LEDGER
from kmerl.archives.fetch.sources import SOURCES, Source
from kmerl.errors import UserError
from kmerl.http_client import TransientError, retry_after


@pytest.fixture
def server():
    with http_server.running() as running:
        running.publish(RELEASE, FILES)
        yield running


# what is there afterwards


def test_a_folder_is_completed_and_the_receipt_tells_what_is_in_it(server, tmp_path):
    receipt, summary = fetch(job(server, tmp_path / "x"))
    assert held(tmp_path / "x") == FILES
    assert leftovers(tmp_path) == []
    size = sum(map(len, FILES.values()))
    assert (receipt.source, receipt.release, receipt.files, receipt.bytes) == ("csn", RELEASE, 4, size)
    assert receipt.sums_sha256 == hashlib.sha256(server.files[SUMS]).hexdigest()
    assert summary == f"4 files, 1.0 MB, complete in {tmp_path / 'x'}; 4 fetched (1.0 MB)"


def test_the_receipt_is_the_same_whether_files_were_fetched_or_there(server, tmp_path):
    first, _ = fetch(job(server, tmp_path / "x"))
    shutil.copytree(tmp_path / "x", tmp_path / "y", ignore=shutil.ignore_patterns(".kmerl*"))
    (tmp_path / "y/files/p1/1.hea").unlink()
    assert fetch(job(server, tmp_path / "y", connections=1))[0] == first


def test_a_second_run_asks_the_server_nothing(server, tmp_path):
    fetch(job(server, tmp_path))
    server.log.clear()
    _, summary = fetch(job(server, tmp_path))
    assert server.log == []
    assert "0 fetched" in summary


def test_files_that_the_user_has_are_not_fetched_and_wrong_ones_are_replaced(server, tmp_path):
    (tmp_path / "files/p1").mkdir(parents=True)
    (tmp_path / "files/p1/1.dat").write_bytes(LARGE)
    (tmp_path / "files/p1/1.hea").write_bytes(b"wrong\n")
    (tmp_path / "notes.txt").write_text("mine")
    _, summary = fetch(job(server, tmp_path))
    assert DATA not in server.asked()
    assert held(tmp_path) == FILES | {"notes.txt": b"mine"}
    assert "3 fetched (0.0 MB), 1 of them anew" in summary or ", 1 of them anew" in summary


def test_only_verify_finds_a_file_that_changed_under_an_unchanged_date(server, tmp_path):
    fetch(job(server, tmp_path))
    file = tmp_path / "a.csv"
    status = file.stat()
    file.write_bytes(b"a,b\n1,3\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    fetch(job(server, tmp_path))
    assert file.read_bytes() != FILES["a.csv"]
    fetch(job(server, tmp_path, verify=True))
    assert file.read_bytes() == FILES["a.csv"]


def test_a_ledger_that_a_killed_run_left_torn_costs_a_comparison_and_no_more(server, tmp_path):
    fetch(job(server, tmp_path))
    ledger = tmp_path / LEDGER
    ledger.write_bytes(ledger.read_bytes()[:-7])
    server.log.clear()
    fetch(job(server, tmp_path))
    fetch(job(server, tmp_path))
    assert server.log == []
    assert all(len(line.split("\t")) == 4 for line in ledger.read_text().splitlines() if len(line) > 100)


def test_a_damaged_list_is_fetched_anew(server, tmp_path):
    fetch(job(server, tmp_path))
    (listing,) = tmp_path.glob(".kmerl-sums*")
    listing.write_bytes(listing.read_bytes()[:100])
    fetch(job(server, tmp_path))
    assert listing.read_bytes() == server.files[SUMS]


def test_only_what_is_wanted_comes_and_a_prefix_is_left_out_of_the_path(server, tmp_path):
    source = Source("ptb_xl", RELEASE, prefix="files/")
    receipt, _ = fetch(job(server, tmp_path, source, leave_out={"ptb_xl": ["files/p2/"]}))
    assert set(held(tmp_path)) == {"p1/1.dat", "p1/1.hea"}
    assert receipt.files == 2


# servers and networks that fail


def test_a_cut_file_continues_where_it_was_cut(server, tmp_path):
    server.script[DATA] = [http_server.cut(2 * CHUNK + 10)]
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES
    assert [one.range for one in server.log if one.path == DATA and one.method == "GET"] == [
        None,
        f"bytes={2 * CHUNK}-",
    ]


def test_a_cut_file_starts_over_if_the_server_knows_no_parts(server, tmp_path):
    server.script[DATA] = [http_server.cut(2 * CHUNK), http_server.whole]
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


@pytest.mark.parametrize("good", [True, False], ids=["server says so", "server sends the part of another"])
def test_a_file_that_changes_between_a_cut_and_its_continuation_is_not_mixed(server, tmp_path, good):
    other = LARGE[::-1]

    def changed(handler, data):
        start = int(handler.headers["Range"][6:-1])
        handler.answer(206, data[start:], ETag='"2"', Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")

    def cut_of_other(handler, data):
        handler.answer(200, other[: 2 * CHUNK], len(other), ETag='"1"')
        handler.drop()

    server.script[DATA] = [cut_of_other] if good else [cut_of_other, changed]
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


def test_a_connection_that_brings_nothing_is_given_up_and_the_file_continued(server, tmp_path):
    server.script[DATA] = [http_server.stall(CHUNK + 5, 6), http_server.stall(CHUNK + 5, 6)]
    started = time.monotonic()
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES
    assert time.monotonic() - started < 6


def test_tries_that_bring_a_file_forward_do_not_count(server, tmp_path):
    def cut_part(handler, data):
        start = int(handler.headers["Range"][6:-1])
        where = f"bytes {start}-{len(data) - 1}/{len(data)}"
        handler.answer(
            206, data[start : start + CHUNK], len(data) - start, ETag=http_server.tag(data), Content_Range=where
        )
        handler.drop()

    server.script[DATA] = [http_server.cut(CHUNK), cut_part, cut_part]
    fetch(job(server, tmp_path, attempts=2))
    assert held(tmp_path) == FILES
    assert len([path for path in server.asked() if path == DATA]) == 4


@pytest.mark.parametrize(
    "lie",
    [
        http_server.say(200, b"wrong"),
        lambda handler, data: handler.answer(200, data[:-9]),
        lambda handler, data: (handler.answer(200, data, len(data) + 9), handler.drop()),
        http_server.say(206, b"half", Content_Range="bytes 5-8/9"),
        http_server.say(416),
        http_server.say(500),
        http_server.say(502, b"<html>bad gateway</html>"),
    ],
    ids=["other bytes", "too short", "too long", "a part unasked", "no such part", "500", "502"],
)
def test_an_answer_that_was_wrong_once_is_asked_again(server, tmp_path, lie):
    server.script[DATA] = [lie]
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx",
        b"HTTP/1.1 206 OK\r\nContent-Range: bytes x\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 503 OK\r\nRetry-After: \xb2\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 99_999,
    ],
    ids=range(10),
)
def test_an_answer_that_makes_no_sense_is_asked_again(server, tmp_path, answer):
    def nonsense(handler, _):
        handler.wfile.write(answer)
        handler.drop()

    server.script[DATA] = [nonsense]
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


def test_an_answer_that_is_compressed_unasked_is_refused(server, tmp_path):
    server.script[DATA] = [http_server.say(200, LARGE, Content_Encoding="gzip")]
    with pytest.raises(UserError, match="comes compressed"):
        fetch(job(server, tmp_path))


def test_a_file_that_stays_wrong_is_told_with_both_sums_and_the_others_are_fetched(server, tmp_path):
    server.files[DATA] = b"wrong"
    with pytest.raises(UserError) as error:
        fetch(job(server, tmp_path))
    line = one_line(error)
    for text in (DATA, hashlib.sha256(b"wrong").hexdigest(), hashlib.sha256(LARGE).hexdigest()):
        assert text in line
    assert set(held(tmp_path)) == set(FILES) - {"files/p1/1.dat"}
    assert leftovers(tmp_path) == []


def test_a_server_that_keeps_failing_is_not_asked_for_ever(server, tmp_path):
    server.script[DATA] = [http_server.say(500)] * 50
    with pytest.raises(UserError, match="the server answers 500, 3 times; run it again later, it will continue"):
        fetch(job(server, tmp_path))
    assert len([path for path in server.asked() if path == DATA]) == 3


def test_many_files_that_are_not_there_end_the_run(server, tmp_path):
    server.publish(RELEASE, {f"{n}.hea": b"%d" % n for n in range(60)})
    server.files = {SUMS: server.files[SUMS]}
    with pytest.raises(UserError, match=r"there is no such file \(404\).*and 19 more files"):
        fetch(job(server, tmp_path))
    assert len(server.asked()) < 30


# politeness


def test_a_wait_that_the_server_asks_for_is_kept_by_all_connections(server, tmp_path):
    refuse = http_server.say(429, Retry_After="1")
    times, refused = [], threading.Event()
    original = http_server.serve

    def busy(handler, data):
        times.append(time.monotonic())
        refuse(handler, data)
        refused.set()

    def timed(handler, data):
        times.append(time.monotonic())
        refused.wait(5)  # what is under way at the refusal ends after it
        time.sleep(0.2)
        original(handler, data)

    server.script = {f"/{RELEASE}/a.csv": [busy, timed], DATA: [timed]}
    server.script |= {f"/{RELEASE}/files/p1/1.hea": [timed], f"/{RELEASE}/files/p2/2 ü.hea": [timed]}
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES
    first, *later = sorted(times)
    # of two connections the other had at most one file under way; all else comes when it may
    assert len(later) == 4
    assert sum(at - first > 0.9 for at in later) >= 3


def test_waits_grow_up_to_the_longest(server, monkeypatch):
    waits = []
    monkeypatch.setattr(client.Client, "rest", lambda _, seconds: waits.append(seconds))

    def fails():
        raise TransientError("it fails")

    patient = client.Client(params(server, attempts=6, first_wait_seconds=1, longest_wait_seconds=5), threading.Event())
    with pytest.raises(client.FileError, match="it fails, 6 times"):
        patient.persist("x", fails)
    assert waits == [1, 2, 4, 5, 5]


def test_a_wait_that_is_too_long_ends_the_run_in_one_line(server, tmp_path):
    server.script[DATA] = [http_server.say(503, Retry_After="3600")]
    with pytest.raises(UserError, match=r"asks to wait 3600 s, more than fetch.longest_wait_seconds"):
        fetch(job(server, tmp_path))


def test_a_wait_may_be_given_as_a_date_or_nonsense():
    assert 58 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0
    assert retry_after("soon") is None
    assert retry_after("9" * 400) is None


@pytest.mark.parametrize("connections", [1, 3])
def test_no_more_connections_than_allowed_are_used_and_they_are_kept(server, tmp_path, connections):
    server.publish(RELEASE, {f"{n}.hea": b"%d" % n for n in range(30)})
    server.delay = 0.02
    fetch(job(server, tmp_path, connections=connections))
    assert server.most_busy == connections
    assert len({one.port for one in server.log}) <= connections + 1  # one asked for the list


def test_servers_learn_who_asks_and_no_secret(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with http_server.running() as other:
        other.files["/elsewhere"] = LARGE
        server.script[DATA] = [http_server.say(302, Location=f"{other.url}elsewhere", Set_Cookie="id=1")] * 2
        fetch(job(server, tmp_path / "x"))
        assert held(tmp_path / "x") == FILES
        for one in [*server.log, *other.log]:
            assert set(one.headers) <= {"host", "user-agent", "accept-encoding", "accept", "connection"}
            assert one.headers["user-agent"].startswith("kmerl/")
        assert other.asked() == ["/elsewhere"]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://a:b@127.0.0.1/x", "http://[x", ""]
)
def test_a_redirection_to_anything_but_a_server_is_refused(server, tmp_path, target):
    server.script[DATA] = [http_server.say(302, Location=target)]
    with pytest.raises(UserError, match=r"is redirected to .*, where we do not go"):
        fetch(job(server, tmp_path))


def test_an_encrypted_connection_is_not_left_for_a_plain_one():
    assert client._redirected("https://a/x", "https://b/y") == "https://b/y"
    with pytest.raises(UserError, match="where we do not go"):
        client._redirected("https://a/x", "http://a/x")


def test_a_redirection_in_circles_ends(server, tmp_path):
    server.script[DATA] = [http_server.say(302, Location=DATA)] * 50
    with pytest.raises(UserError, match="redirected more than 5 times"):
        fetch(job(server, tmp_path))


# runs that end early


def test_a_killed_run_is_continued_with_what_is_missing_only(server, tmp_path):
    files = {f"{n:02}.hea": b"%d" % n for n in range(20)} | {"z.dat": LARGE}
    server.publish(CSN, files)
    server.script[f"/{CSN}/z.dat"] = [http_server.stall(2 * CHUNK, 5)]
    process = command(server, tmp_path / "x", stall_seconds=20)
    partial = tmp_path / "x/.z.dat.partial"
    until(lambda: len(held(tmp_path / "x")) == 20 and partial.exists() and partial.stat().st_size == 2 * CHUNK)
    process.kill()
    process.communicate()
    server.log.clear()
    fetch(job(server, tmp_path / "x", SOURCES["csn"]))
    assert held(tmp_path / "x") == files
    assert [(one.path, one.range) for one in server.log if one.method == "GET"] == [
        (f"/{CSN}/z.dat", f"bytes={2 * CHUNK}-")
    ]


def test_a_run_that_the_user_stops_ends_at_once_with_one_line(server, tmp_path):
    server.publish(CSN, {"z.dat": LARGE})
    server.script[f"/{CSN}/z.dat"] = [http_server.stall(2 * CHUNK, 8)]
    process = command(server, tmp_path / "x", stall_seconds=20)
    until(lambda: (tmp_path / "x/.z.dat.partial").exists())
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert time.monotonic() - started < 7
    assert (process.returncode, said) == (130, "fetch: stopped; run it again and it continues\n")
    fetch(job(server, tmp_path / "x", SOURCES["csn"]))
    assert held(tmp_path / "x") == {"z.dat": LARGE}


def test_a_file_that_was_complete_when_its_run_was_killed_is_not_fetched_again(server, tmp_path):
    (tmp_path / "files/p1").mkdir(parents=True)
    (tmp_path / "files/p1/.1.dat.partial").write_bytes(LARGE)
    (tmp_path / "files/p1/.1.dat.partial.from").write_text(json.dumps([http_server.tag(LARGE), len(LARGE)]))
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES
    assert DATA not in server.asked()


@pytest.mark.parametrize("version", [None, "", "{", "[1]", '["x", null]', '["x", 7]', '["x", "y"]'])
def test_a_partial_file_of_unknown_origin_is_not_continued(server, tmp_path, version):
    (tmp_path / "files/p1").mkdir(parents=True)
    (tmp_path / "files/p1/.1.dat.partial").write_bytes(b"x" * CHUNK)
    if version is not None:
        (tmp_path / "files/p1/.1.dat.partial.from").write_text(version)
    fetch(job(server, tmp_path))
    assert held(tmp_path) == FILES


def test_two_runs_do_not_work_on_one_folder(server, tmp_path):
    server.delay = 0.1
    first = threading.Thread(target=fetch, args=(job(server, tmp_path),))
    first.start()
    until(lambda: server.log)  # the file of the lock is there before the lock is
    with pytest.raises(UserError, match="another fetch is at work there"):
        fetch(job(server, tmp_path))
    first.join()
    assert held(tmp_path) == FILES
