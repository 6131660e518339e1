"""One question put to a server with OpenAI's interface: which answers are one, and when no other will go better."""

import json
import os
import re
import threading
from typing import Any

import requests

from kmerl import http_client
from kmerl.errors import UserError
from kmerl.http_client import PASSING, TransientError, host_of
from kmerl.knowledge.engines.params import OpenAiParams

Message = dict[str, Any]
_SHOWN = 300  # characters of what a server says


class RefusedError(Exception):
    """The server does not want this question; others it may."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Client(http_client.Client):
    """Connections to a server.

    Args:
        params: how patiently, and where the key is.
        url: of chat completions.
        stop: set when the run ends.
    """

    section = "knowledge.engine.openai"
    remedy = "start the server, or mend the address"
    again = "answers that came are kept"

    def __init__(self, params: OpenAiParams, url: str, stop: threading.Event) -> None:
        self._url, self._key_variable = url, params.key_variable
        self._key = os.environ.get(params.key_variable, "").strip()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        super().__init__(params, params.answer_seconds, stop, headers, params.requests_per_minute)

    def ask(self, body: Message) -> Message:
        """The server's answer to one question: an object with at least one choice.

        Raises:
            TransientError: every try failed.
            RefusedError: the server does not want this question.
            UserError: no other question will go better.
            StoppedError: the run has ended.
        """
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return self.patiently(lambda: self._read(self.send("POST", self._url, data=data)))

    def _read(self, response: requests.Response) -> Message:
        if response.status_code != 200:
            raise self._judge(response)
        try:
            value = response.json()
        except ValueError:
            raise TransientError("the answer is no JSON", "malformed") from None
        if isinstance(value, dict) and value.get("error"):
            raise TransientError(f"the server tells an error: {self._said(json.dumps(value['error']))}", "error")
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise TransientError("the answer holds no choice", "malformed")
        parts = (choices[0].get("message"), value.get("usage"))
        if not all(isinstance(part, dict | None) for part in parts):
            raise TransientError("the answer has not the form of a chat completion", "malformed")
        found: Message = value
        return found

    def _judge(self, response: requests.Response) -> Exception:
        """What to raise for an answer of another status."""
        status = response.status_code
        said = self._said(response.text)
        if status in (401, 403):
            has = "the key in it is refused" if self._key else "it is not set"
            return UserError(f"{host_of(self._url)}: access is refused ({status}); look at {self._key_variable}: {has}")
        if status == 404:
            return UserError(
                f"{self._url}: there is no such address or no such model ({status}: {said}); look at "
                "knowledge.engine.openai.url and knowledge.engine.model"
            )
        if 300 <= status < 400:
            return UserError(
                f"{self._url}: leads to another address, to which the key is not sent; name that address itself"
            )
        if status in PASSING:
            return self.busy(response, said)
        return RefusedError(said or f"the server answers {status}", str(status))

    def _said(self, text: str) -> str:
        """What a server says, in one short line without the key, which some repeat."""
        try:
            value = json.loads(text)
            error = value.get("error", value) if isinstance(value, dict) else value
            text = str(error.get("message") or error.get("detail") or error) if isinstance(error, dict) else str(error)
        except ValueError:
            pass
        line = " ".join(re.sub(r"<[^>]*>", " ", text).split())
        if self._key:
            line = line.replace(self._key, "...")
        return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
