"""One question put to a server: tried again while that may help, at the pace that the server asks for."""

import json
import os
import re
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from kmerl import __version__
from kmerl.errors import UserError
from kmerl.http_headers import retry_after
from kmerl.knowledge.engines.params import OpenAiParams

Message = dict[str, Any]
_PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
_BUSY = (429, 503, 529)
_SHOWN = 300  # characters of what a server says


class StoppedError(Exception):
    """The run has ended."""


class TransientError(Exception):
    """What may go better the next time.

    Args:
        message: what happened.
        code: HTTP status or another short name.
        wait: seconds that the server asks for; None for the usual ones.
        network: no server answered.
    """

    def __init__(self, message: str, code: str, wait: float | None = None, network: bool = False) -> None:
        super().__init__(message)
        self.code, self.wait, self.network = code, wait, network


class RefusedError(Exception):
    """The server does not want this question; others it may."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """Connections to a server, kept alive, one per thread.

    Args:
        params: how patiently, and where the key is.
        url: of chat completions.
        stop: set when the run ends.
    """

    def __init__(self, params: OpenAiParams, url: str, stop: threading.Event) -> None:
        self._params, self._url, self._stop = params, url, stop
        self._key = os.environ.get(params.key_variable, "").strip()
        self._local, self._lock = threading.local(), threading.Lock()
        self._sessions: list[requests.Session] = []
        self._answered = False
        self._not_before = 0.0  # monotonic seconds; no thread asks earlier
        self._next_start = 0.0  # and none before its turn, if there is a limit per minute
        self._proxies = get_environ_proxies(url)
        authorities = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self._verify: bool | str = authorities or True

    def ask(self, body: Message) -> Message:
        """The server's answer to one question: an object with at least one choice.

        Raises:
            TransientError: every try failed.
            RefusedError: the server does not want this question.
            UserError: no other question will go better.
            StoppedError: the run has ended.
        """
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        for attempt in range(1, self._params.attempts + 1):
            self._take_turn()
            try:
                return self._try(data)
            except TransientError as error:
                if attempt == self._params.attempts:
                    raise
                usual = self._params.first_wait_seconds * 2.0 ** (attempt - 1)
                self._rest(min(usual, self._params.longest_wait_seconds) if error.wait is None else error.wait)
        raise AssertionError("attempts is at least 1")

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            for session in self._sessions:
                session.close()

    def _try(self, data: bytes) -> Message:
        timeout = (self._params.connect_seconds, self._params.answer_seconds)
        try:
            response = self._session().post(self._url, data=data, timeout=timeout, allow_redirects=False)
        except requests.exceptions.SSLError as error:
            if "certificate" in str(error).lower():
                raise UserError(
                    f"{self._host}: its certificate is not trusted; name its authority in REQUESTS_CA_BUNDLE"
                ) from None
            raise TransientError("no secure connection", "network", network=True) from None
        except requests.exceptions.ConnectTimeout:
            raise self._unreachable(f"no connection within {self._params.connect_seconds:g} s") from None
        except requests.exceptions.Timeout:
            raise TransientError(f"no byte for {self._params.answer_seconds:g} s", "timeout") from None
        except requests.exceptions.ConnectionError as error:
            if "timed out" in str(error).lower():
                raise TransientError(f"no byte for {self._params.answer_seconds:g} s", "timeout") from None
            if "NewConnectionError" in repr(error) or "NameResolution" in repr(error):
                raise self._unreachable("it takes no connection") from None
            raise TransientError("the connection was cut", "network") from None
        except requests.exceptions.RequestException as error:
            raise TransientError(f"the connection was cut ({type(error).__name__})", "network") from None
        self._answered = True
        if response.status_code == 200:
            return self._read(response)
        raise self._judge(response)

    def _read(self, response: requests.Response) -> Message:
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
            return UserError(f"{self._host}: access is refused ({status}); look at {self._params.key_variable}: {has}")
        if status == 404:
            return UserError(
                f"{self._url}: there is no such address or no such model ({status}: {said}); look at "
                "knowledge.engine.openai.url and knowledge.engine.model"
            )
        if 300 <= status < 400:
            return UserError(
                f"{self._url}: leads to another address, to which the key is not sent; name that address itself"
            )
        if status not in _PASSING:
            return RefusedError(said or f"the server answers {status}", str(status))
        wait = retry_after(response.headers.get("Retry-After"))
        if wait is not None:
            if wait > self._params.longest_wait_seconds:
                return UserError(
                    f"{self._host}: asks to wait {wait:.0f} s, more than knowledge.engine.openai.longest_wait_seconds "
                    f"({self._params.longest_wait_seconds:g}); run again then, answers that came are kept"
                )
            if status in _BUSY:
                with self._lock:
                    self._not_before = max(self._not_before, time.monotonic() + wait)
        return TransientError(f"the server answers {status}" + (f" ({said})" if said else ""), str(status), wait)

    def _unreachable(self, what: str) -> Exception:
        """At first contact there is no use in trying again."""
        if self._answered:
            return TransientError(what, "network", network=True)
        return UserError(f"{self._host}: cannot be reached, {what}; start the server, or mend the address")

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

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _take_turn(self) -> None:
        """Wait for what the server asked for, and for this question's turn in the minute."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._not_before, self._next_start)
            if self._params.requests_per_minute:
                self._next_start = start + 60 / self._params.requests_per_minute
        self._rest(start - now)

    def _rest(self, seconds: float) -> None:
        if (seconds > 0 and self._stop.wait(seconds)) or self._stop.is_set():
            raise StoppedError

    def _session(self) -> requests.Session:
        """This thread's session: no password of .netrc, no cookies, no retries of its own."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # what requests would look up again for every question
            session.trust_env, session.proxies, session.verify = False, self._proxies, self._verify
            session.headers.update({"User-Agent": f"kmerl/{__version__}", "Content-Type": "application/json"})
            if self._key:
                session.headers["Authorization"] = f"Bearer {self._key}"
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
            with self._lock:
                self._sessions.append(session)
        return session
