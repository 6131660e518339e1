"""A server on this machine that serves files well, or badly as a test says."""

import hashlib
import os
import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from unittest import mock
from urllib.parse import unquote


class Request(NamedTuple):
    """What a server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    port: int  # of the client: tells connections apart

    @property
    def range(self):
        return self.headers.get("range")


class Server(ThreadingHTTPServer):
    """Serves ``files`` by path. ``script[path]`` is a list of answers to give first, one per request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.script, self.log = {}, {}, []
        self.tells_sizes = True  # answers HEAD
        self.delay = 0.0  # s before each answer
        self.busy, self.most_busy = 0, 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def asked(self, method="GET"):
        """The paths asked for, in order."""
        return [one.path for one in self.log if one.method == method]

    def publish(self, release, files):
        """Put files below a release, with their list."""
        lines = [f"{hashlib.sha256(data).hexdigest()} {path}\n" for path, data in files.items()]
        self.files |= {f"/{release}/{path}": data for path, data in files.items()}
        self.files[f"/{release}/SHA256SUMS.txt"] = "".join(lines).encode()

    def handle_error(self, request, client_address):
        pass  # clients that go away are what is tested


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a small answer waits 40 ms for an acknowledgement

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        self.path = unquote(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with server.lock:
            server.log.append(Request(self.command, self.path, headers, self.client_address[1]))
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
            answers = server.script.get(self.path, [])
            answer = answers.pop(0) if answers and self.command == "GET" else serve
        try:
            time.sleep(server.delay)
            if self.command == "HEAD" and not server.tells_sizes:
                return self.answer(403)
            answer(self, server.files.get(self.path))
        finally:
            with server.lock:
                server.busy -= 1

    do_HEAD = do_GET  # noqa: N815 (as the library calls it)

    def answer(self, status, data=b"", length=None, **headers):
        """An answer; ``length`` may be a lie."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def drop(self):
        self.close_connection = True


def tag(data):
    return f'"{hashlib.sha1(data).hexdigest()}"'


def serve(handler, data):
    """As a good server does: a part if asked for one, all of it if the client has one of another version."""
    if data is None:
        return handler.answer(404, b"not found")
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if not found or handler.headers.get("If-Range", tag(data)) != tag(data):
        return handler.answer(200, data, ETag=tag(data))
    start = int(found[1])
    if start >= len(data):
        return handler.answer(416)
    where = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return handler.answer(206, data[start:], ETag=tag(data), Content_Range=where)


def whole(handler, data):
    """All of it, whatever was asked for."""
    handler.answer(200, data, ETag=tag(data))


def cut(after):
    """End the connection after so many bytes."""

    def answer(handler, data):
        handler.answer(200, data[:after], len(data), ETag=tag(data))
        handler.drop()

    return answer


def stall(after, seconds):
    """Say nothing more for a while after so many bytes."""

    def answer(handler, data):
        handler.answer(200, data[:after], len(data), ETag=tag(data))
        handler.wfile.flush()
        time.sleep(seconds)
        handler.drop()

    return answer


def say(status, data=b"", **headers):
    """Another answer than the file."""
    return lambda handler, _: handler.answer(status, data, **headers)


@contextmanager
def running():
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        with mock.patch.dict(os.environ, NO_PROXY="127.0.0.1"):
            yield server
    finally:
        server.shutdown()
        server.server_close()
