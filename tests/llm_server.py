"""A server on this machine with OpenAI's interface that answers well, or badly as a test says."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LlmServer(ThreadingHTTPServer):
    """``reply(message, body)`` gives the text; ``script`` holds faults to give first, one per question put."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply: Callable[[str, dict], object] = lambda message, body: "[sinus rhythm]"
        self.fault: Callable[[str, int], object] = lambda message, times: None  # a fault for the n-th time it is asked
        self.asked: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.times: dict[str, int] = {}
        self.moments: list[float] = []
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        pass  # clients that go away are what is tested


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = body["messages"][-1]["content"]
        with server.lock:
            server.asked.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.moments.append(time.monotonic())
            server.times[message] = server.times.get(message, 0) + 1
            times = server.times[message]
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        try:
            if self.path != "/v1/chat/completions":
                return self.send(404, b'{"error": {"message": "no such path"}}')
            fault = server.fault(message, times)
            if fault is not None:
                return fault(self)
            self.send(200, completion(server.reply(message, body), body))
        finally:
            with server.lock:
                server.busy -= 1

    def send(self, status, data=b"", length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


def completion(content, body, finish_reason="stop"):
    words = sum(len(message["content"].split()) for message in body["messages"])
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": words, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": words // 2}}
    value = {"id": f"chatcmpl-{time.time_ns()}", "created": int(time.time()), "choices": [choice], "usage": usage}
    return json.dumps(value).encode()


def say(status, data=b'{"error": {"message": "as the test says"}}', **headers):
    return lambda handler: handler.send(status, data, **headers)


def stall(seconds):
    def answer(handler):
        time.sleep(seconds)
        handler.close_connection = True

    return answer


def cut(handler):
    """End the connection in the middle of an answer."""
    handler.send(200, b'{"choices": [{"mess', 500)
    handler.close_connection = True


def hang_up(handler):
    """End the connection before any answer."""
    handler.close_connection = True


@contextmanager
def serving():
    server = LlmServer()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
