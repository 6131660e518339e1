"""Asking a server over HTTP: patiently, at the pace that it asks for, and telling in one line why not."""

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import ClassVar, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import NameResolutionError, NewConnectionError

from kmerl import __version__
from kmerl.errors import UserError
from kmerl.patience import Patience

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
"""Statuses after which asking again may help."""
UNREACHABLE, TIMEOUT, CUT = NO_ANSWER = ("unreachable", "timeout", "network")
"""Codes of a :class:`TransientError` that say that no server answered."""
_BUSY = (429, 503, 529)

T = TypeVar("T")


class StoppedError(Exception):
    """Another connection, or the user, ended the run."""


class TransientError(Exception):
    """What may go better the next time.

    Args:
        message: what happened, without the address.
        code: HTTP status, one of :data:`NO_ANSWER` or another short name.
        wait: seconds to wait; None for the usual ones.
        reached: bytes of a file that are there now; more than before means progress.
    """

    def __init__(self, message: str, code: str = "", wait: float | None = None, reached: int = 0) -> None:
        super().__init__(message)
        self.code, self.wait, self.reached = code, wait, reached


class Client:
    """Connections to servers, kept alive, one per thread. They send no cookie and no password of .netrc, and neither
    try again nor follow a redirection by themselves.

    Args:
        patience: how patiently.
        silent_seconds: s without a byte after which a connection is given up.
        stop: set by anyone who ends the run.
        headers: of every request.
        per_minute: most requests begun in a minute; None: no limit.
    """

    section: ClassVar[str]
    """Where the parameters stand, for people."""
    remedy: ClassVar[str]
    """What to do about a server that cannot be reached."""
    again: ClassVar[str]
    """What a later run will find."""

    def __init__(
        self,
        patience: Patience,
        silent_seconds: float,
        stop: threading.Event,
        headers: Mapping[str, str],
        per_minute: int | None = None,
    ) -> None:
        self._patience, self._silent, self._stop = patience, silent_seconds, stop
        self._headers, self._per_minute = headers, per_minute
        self._local, self._lock = threading.local(), threading.Lock()
        self._sessions: list[requests.Session] = []
        self._proxies: dict[str, dict[str, str]] = {}  # by host: requests would look them up for every request
        self._answered = False
        self._not_before = 0.0  # monotonic seconds; all threads wait if one was asked to
        self._next_start = 0.0  # and each for its turn, if there is a limit per minute

    def send(self, method: str, url: str, **options: object) -> requests.Response:
        """One try: the first answer to a request, whatever it says, as soon as it is its turn.

        Args:
            method: GET, HEAD or POST.
            url: what is asked.
            options: others of :meth:`requests.Session.request`.

        Raises:
            UserError: asking again is of no use.
            TransientError: it may be of use.
            StoppedError: someone ended the run.
        """
        self._take_turn()
        if (host := host_of(url)) not in self._proxies:
            self._proxies[host] = get_environ_proxies(url)
        limits = {"timeout": (self._patience.connect_seconds, self._silent), "proxies": self._proxies[host]}
        try:
            response = self._session().request(method, url, allow_redirects=False, **limits, **options)  # type: ignore[arg-type]
        except (requests.RequestException, UnicodeError) as error:
            raise self._failed(url, error) from None
        self._answered = True
        return response

    def patiently(self, attempt: Callable[[], T]) -> T:
        """The result of ``attempt``, tried again while that may help; tries that make progress do not count.

        Raises:
            TransientError: the last of as many tries as there may be failed too.
            StoppedError: someone ended the run.
        """
        failures, best = 0, 0
        while True:
            try:
                return attempt()
            except TransientError as error:
                failures = 1 if error.reached > best else failures + 1
                best = max(best, error.reached)
                if failures >= self._patience.attempts:
                    raise
                usual = self._patience.first_wait_seconds * 2.0 ** (failures - 1)
                self.rest(min(usual, self._patience.longest_wait_seconds) if error.wait is None else error.wait)

    def rest(self, seconds: float) -> None:
        """Wait, unless the run ends.

        Raises:
            StoppedError: someone ended it.
        """
        if self._stop.wait(max(seconds, 0)):
            raise StoppedError

    def busy(self, response: requests.Response, said: str = "") -> Exception:
        """What to raise for an answer whose status is one of :data:`PASSING`; ``said`` is what it says, in a line."""
        status, wait = response.status_code, retry_after(response.headers.get("Retry-After"))
        longest = self._patience.longest_wait_seconds
        if wait is not None and wait > longest:
            return UserError(
                f"{host_of(response.url)}: asks to wait {wait:.0f} s, more than {self.section}.longest_wait_seconds "
                f"({longest:g}); run it again then, {self.again}"
            )
        if wait is not None and status in _BUSY:
            with self._lock:
                self._not_before = max(self._not_before, time.monotonic() + wait)
        return TransientError(f"the server answers {status}" + (f" ({said})" if said else ""), str(status), wait)

    def cut(self, error: Exception) -> TransientError:
        """What to raise if a connection brings no more."""
        if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
            return TransientError(f"no byte for {self._silent:g} s", TIMEOUT)
        return TransientError("the connection was cut", CUT)

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            for session in self._sessions:
                session.close()

    def _take_turn(self) -> None:
        """Wait for what a server asked for, and for this request's turn in the minute."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._not_before, self._next_start)
            if self._per_minute:
                self._next_start = start + 60 / self._per_minute
        self.rest(start - now)

    def _failed(self, url: str, error: Exception) -> Exception:
        """What to raise if a request got no answer: at first contact there is no use in trying again."""
        cause = error.args[0] if error.args else error
        reason = getattr(cause, "reason", cause)
        if isinstance(error, requests.exceptions.SSLError):
            if "certificate" not in str(error).lower():
                return TransientError("no secure connection", UNREACHABLE)
            return UserError(
                f"{host_of(url)}: its certificate is not trusted; if your network inspects what passes, "
                "name its authority in REQUESTS_CA_BUNDLE"
            )
        if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema | UnicodeError):
            return UserError(f"{url}: not an address that can be asked; mend it")
        if isinstance(reason, NameResolutionError):
            what = "its name is not found"
        elif isinstance(error, requests.ConnectTimeout):
            what = f"no connection within {self._patience.connect_seconds:g} s"
        elif isinstance(error, requests.exceptions.ProxyError):
            what = "the proxy does not let us through"
        elif isinstance(reason, NewConnectionError):
            what = "it takes no connection"
        else:
            return self.cut(error)
        if self._answered:
            return TransientError(f"{host_of(url)} cannot be reached, {what}", UNREACHABLE)
        return UserError(f"{host_of(url)}: cannot be reached, {what}; {self.remedy}")

    def _session(self) -> requests.Session:
        """This thread's session."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.trust_env = False  # no .netrc
            session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
            session.headers.update({"User-Agent": f"kmerl/{__version__}"} | dict(self._headers))
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=1, max_retries=0))
            with self._lock:
                self._sessions.append(session)
        return session


class _Session(requests.Session):
    """Looks at no redirection: requests would read all of its content, and fail on an address that is none."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, as if there were none."""


def host_of(url: str) -> str:
    """The host in an address, with its port."""
    return urlsplit(url).netloc


def retry_after(value: str | None) -> float | None:
    """Seconds from now that a ``Retry-After`` header names, as a number or as a date; None if it names none."""
    if value is None:
        return None
    if (seconds := whole_number(value)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def whole_number(text: str | None) -> int | None:
    """The number that a header gives; None if it gives none, or one that no file has."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text.strip()) else None
