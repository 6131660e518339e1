"""Any server with OpenAI's interface: vLLM's, llama.cpp's, a cluster's gateway, or a company's."""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from kmerl.errors import UserError
from kmerl.http_client import UNREACHABLE, StoppedError, TransientError
from kmerl.knowledge.engines.chat import Client, RefusedError
from kmerl.knowledge.engines.dialects import plain, translate
from kmerl.knowledge.engines.params import EngineParams, OpenAiParams

Message = dict[str, Any]
_FAILED_IN_A_ROW = 3
"""Questions that one after another failed at every try, so that the server and not the question must be ill; at least
as many as are under way at a time."""
_TICK = 0.1  # s between looks at whether the run has ended


class OpenAiEngine:
    """Asks a server with several questions under way at a time.

    The key is taken from the environment when it is needed, and goes nowhere but into the request's header.
    """

    def __init__(self, params: EngineParams) -> None:
        self.model = params.model
        self._params: OpenAiParams = params.openai

    def answer(self, requests: Iterator[Message]) -> Iterator[Message]:
        """One result per request, as each is there; only a few more than can be under way are taken ahead.

        Raises:
            UserError: the server does not answer, refuses the key or does not know the model, or asks for too long a
                wait.
        """
        run = _Run(self._params, requests)
        try:
            yield from run.results()
        finally:
            run.end()

    def close(self) -> None:
        """Nothing outlives a call of :meth:`answer`."""


class _Run:
    """The threads of one call: one takes questions, the others ask them."""

    def __init__(self, params: OpenAiParams, requests: Iterator[Message]) -> None:
        self._params, self._requests = params, requests
        self._stop = threading.Event()
        self._todo: queue.Queue[Message | None] = queue.Queue(params.connections)
        self._done: queue.Queue[Message | BaseException | None] = queue.Queue(2 * params.connections)
        self._client: Client | None = None
        self._failed_in_a_row = 0
        self._lock = threading.Lock()

    def results(self) -> Iterator[Message]:
        """Answers and faults as they come; the first thing that ends the run is raised."""
        first = next(self._requests, None)
        if first is None:
            return
        self._client = Client(self._params, _address(self._params), self._stop)
        jobs: list[Callable[[], None]] = [lambda: self._feed(first), *[self._ask_on] * self._params.connections]
        for job in jobs:
            threading.Thread(target=self._guarded, args=(job,), daemon=True).start()
        ended = 0
        while ended < len(jobs):
            one = self._done.get()
            if one is None:
                ended += 1
            elif isinstance(one, BaseException):
                raise one
            else:
                yield one

    def end(self) -> None:
        """Let all threads end soon; none of them is waited for, as a server may be slow to answer."""
        self._stop.set()
        if self._client is not None:
            self._client.close()

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
            self._put(self._done, None)
        except StoppedError:
            pass
        except BaseException as error:  # whatever it is, the caller has to see it
            with suppress(StoppedError):
                self._put(self._done, error)

    def _feed(self, first: Message) -> None:
        self._put(self._todo, first)
        for request in self._requests:
            self._put(self._todo, request)
        for _ in range(self._params.connections):
            self._put(self._todo, None)

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            try:
                request = self._todo.get(timeout=_TICK)
            except queue.Empty:
                continue
            if request is None:
                return
            self._put(self._done, self._answer(request))

    def _put(self, where: "queue.Queue[Any]", what: Any) -> None:
        while not self._stop.is_set():
            try:
                return where.put(what, timeout=_TICK)
            except queue.Full:
                continue
        raise StoppedError

    def _answer(self, request: Message) -> Message:
        assert self._client is not None
        body, dialect = request["body"], self._params.dialect
        try:
            answered = self._client.ask(translate(body, dialect))
        except TransientError as error:
            self._note_failure(error)
            return _fault(request, error.code, f"{error}, {self._params.attempts} times")
        except RefusedError as error:
            return _fault(request, error.code, str(error))
        with self._lock:
            self._failed_in_a_row = 0
        return _result(request, answered, dialect)

    def _note_failure(self, error: TransientError) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            failed = self._failed_in_a_row
        if error.code == UNREACHABLE or failed >= max(_FAILED_IN_A_ROW, self._params.connections):
            what = "one question" if failed == 1 else f"{failed} questions in a row"
            raise UserError(
                f"{_address(self._params)}: {error}, at every try of {what}; look at the server and run again, "
                "answers that came are kept"
            )


def _address(params: OpenAiParams) -> str:
    """Where questions go."""
    url = params.url or os.environ.get("OPENAI_BASE_URL")
    if not url:
        raise UserError(
            "no server is named; set knowledge.engine.openai.url, or OPENAI_BASE_URL in the environment, to its "
            "address, such as http://127.0.0.1:8000/v1"
        )
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise UserError(
            f"{url.rpartition('@')[2]}: not a server's address; such as http://127.0.0.1:8000/v1 is needed, without "
            "user and password"
        )
    return f"{url.rstrip('/')}/chat/completions"


def _result(request: Message, answered: Message, dialect: str) -> Message:
    """A server's answer as a line of a batch result, without what differs from time to time."""
    choices = []
    for choice in answered["choices"][:1]:
        message = choice.get("message") or {}
        content = message.get("content")
        if isinstance(content, str):
            content = plain(content, request["body"], dialect)
        choices.append(
            {
                "index": 0,
                "message": {"role": "assistant", "content": content},
                "finish_reason": choice.get("finish_reason"),
            }
        )
    told = answered.get("usage") or {}
    usage = {name: _count(told.get(name)) for name in ("prompt_tokens", "completion_tokens")}
    details = told.get("prompt_tokens_details")
    if isinstance(details, dict) and details.get("cached_tokens") is not None:
        usage["cached_tokens"] = _count(details["cached_tokens"])
    body = {"model": request["body"]["model"], "choices": choices, "usage": usage}
    return {"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}


def _count(told: Any) -> int:
    """Tokens as a server tells them; 0 if it tells something else."""
    return told if isinstance(told, int) else 0


def _fault(request: Message, code: str, message: str) -> Message:
    return {"custom_id": request["custom_id"], "response": None, "error": {"code": code, "message": message}}
