"""Asking a server for files: patiently, politely, and telling in one line why not."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NameResolutionError, NewConnectionError

from kmerl import __version__
from kmerl.archives.fetch.params import FetchParams
from kmerl.errors import UserError
from kmerl.http_headers import retry_after, whole_number

CHUNK = 1 << 18
"""Bytes in memory per connection."""
_AGENT = f"kmerl/{__version__} (K-MERL, a reproducible ECG pipeline)"
_REDIRECTS, _MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
_BUSY, _PASSING = (429, 503), (408, 425, 429, 500, 502, 503, 504)
_SMALL = 1 << 16  # bytes of an answer nobody needs that are read, so that its connection can be used again

T = TypeVar("T")


class FileError(UserError):
    """A file cannot be had; others may be."""


class RefusedError(UserError):
    """The server lets us not have something, and probably nothing else."""


class StoppedError(Exception):
    """Another connection, or the user, ended the run."""


class TransientError(Exception):
    """What may go better the next time.

    Args:
        message: what happened, without the address.
        wait: seconds to wait; None for the usual ones.
        reached: bytes of the file that are there now; more than before means progress.
        network: no server answered.
    """

    def __init__(self, message: str, wait: float | None = None, reached: int = 0, network: bool = False) -> None:
        super().__init__(message)
        self.wait, self.reached, self.network = wait, reached, network


class Client:
    """Connections to the servers, kept alive, one per thread.

    Args:
        params: how patiently.
        stop: set by anyone who ends the run.
    """

    def __init__(self, params: FetchParams, stop: threading.Event) -> None:
        self.params, self.stop = params, stop
        self._local = threading.local()
        self._not_before = 0.0  # monotonic seconds; all threads wait if one was asked to
        self._answered = False

    @contextmanager
    def open(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Iterator[requests.Response]:
        """One try. The block gets an answer whose status is 200, 206 or 416, its content not yet read.

        Raises:
            UserError: asking again is of no use; :class:`RefusedError` if we may not have it.
            FileError: so it is, for this file.
            TransientError: it may be of use.
        """
        asked = url
        for _ in range(_MOST_REDIRECTS + 1):
            self.rest(self._not_before - time.monotonic())
            response = self._send(method, asked, headers or {})
            try:
                if response.status_code not in _REDIRECTS:
                    self._judge(url, response)
                    yield response
                    return
                asked = _redirected(asked, response.headers.get("Location", ""))
            finally:
                _finish(response)
        raise FileError(f"{url}: redirected more than {_MOST_REDIRECTS} times; try again later")

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The content of an answer, piece by piece.

        Raises:
            TransientError: the connection was cut, or brought nothing for too long.
            StoppedError: someone ended the run.
        """
        try:
            for chunk in response.iter_content(CHUNK):
                yield chunk
                if self.stop.is_set():
                    raise StoppedError
        except requests.RequestException as error:
            stalled = "timed out" in str(error).lower()
            what = f"no byte for {self.params.stall_seconds:g} s" if stalled else "the connection was cut"
            raise TransientError(what) from None

    def persist(self, url: str, attempt: Callable[[], T]) -> T:
        """The result of ``attempt``, tried again while that may help; tries that bring the file forward do not count.

        Raises:
            UserError: nobody answers, or the server asks for too long a wait.
            FileError: this file cannot be had.
        """
        failures, best = 0, 0
        while True:
            try:
                return attempt()
            except TransientError as error:
                failures = 1 if error.reached > best else failures + 1
                best = max(best, error.reached)
                if failures >= self.params.attempts:
                    kind = UserError if error.network else FileError
                    times = f"{failures} times" if failures > 1 else "once"
                    raise kind(f"{url}: {error}, {times}; run it again later, it will continue") from None
                usual = self.params.first_wait_seconds * 2 ** (failures - 1)
                self.rest(min(usual, self.params.longest_wait_seconds) if error.wait is None else error.wait)

    def rest(self, seconds: float) -> None:
        """Wait, unless the run ends.

        Raises:
            StoppedError: someone ended it.
        """
        if self.stop.wait(max(seconds, 0)):
            raise StoppedError

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> requests.Response:
        """The first answer to a request, whatever it says."""
        timeout = (self.params.connect_seconds, self.params.stall_seconds)
        try:
            response = self._session().request(
                method, url, headers=dict(headers), stream=True, allow_redirects=False, timeout=timeout
            )
        except requests.exceptions.SSLError as error:
            if "certificate" in str(error).lower():
                raise UserError(
                    f"{_host(url)}: its certificate is not trusted; if your network inspects what passes, "
                    "name its authority in REQUESTS_CA_BUNDLE"
                ) from None
            raise TransientError("no secure connection", network=True) from None
        except requests.Timeout as error:
            if isinstance(error, requests.ConnectTimeout):
                raise self._unreachable(url, error) from None
            raise TransientError("no answer in time", network=True) from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
            raise UserError(f"{url}: not an address that can be asked; mend it") from None
        except requests.RequestException as error:
            raise self._unreachable(url, error) from None
        self._answered = True
        return response

    def _unreachable(self, url: str, error: Exception) -> Exception:
        """What to raise if no connection comes about: at the beginning there is no use in trying again."""
        cause = error.args[0] if error.args else error
        reason = getattr(cause, "reason", cause)
        if isinstance(reason, NameResolutionError):
            what = "its name is not found"
        elif isinstance(error, requests.ConnectTimeout):
            what = f"no connection within {self.params.connect_seconds:g} s"
        elif isinstance(error, requests.exceptions.ProxyError):
            what = "the proxy does not let us through"
        elif isinstance(reason, NewConnectionError):
            what = "it takes no connection"
        else:
            return TransientError("the connection was cut", network=True)
        if self._answered:
            return TransientError(f"{_host(url)} cannot be reached, {what}", network=True)
        return UserError(f"{_host(url)}: cannot be reached, {what}; check the network, and HTTPS_PROXY if you need one")

    def _judge(self, url: str, response: requests.Response) -> None:
        """Whether an answer is one to use."""
        status = response.status_code
        if status in (401, 403):
            raise RefusedError(
                f"{url}: access is refused ({status}); open it in a browser: a licence agreement may be needed first"
            )
        if status in _PASSING:
            wait = retry_after(response.headers.get("Retry-After"))
            longest = self.params.longest_wait_seconds
            if wait is not None and wait > longest:
                raise UserError(
                    f"{_host(url)}: asks to wait {wait:.0f} s, more than fetch.longest_wait_seconds ({longest:g}); "
                    "run it again then, it will continue"
                )
            if wait is not None and status in _BUSY:
                self._not_before = max(self._not_before, time.monotonic() + wait)
            raise TransientError(f"the server answers {status}", wait)
        if status in (404, 410):
            raise FileError(f"{url}: there is no such file ({status}); check the address, or ask who publishes it")
        if status not in (200, 206, 416):
            raise FileError(f"{url}: the server answers {status}; open it in a browser to see why")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FileError(f"{url}: comes compressed although we ask for it as it is; try another mirror")

    def _session(self) -> requests.Session:
        """This thread's session: it sends no cookies and no password of .netrc, and never retries by itself."""
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _Session()
            session.headers.update({"User-Agent": _AGENT, "Accept-Encoding": "identity", "Accept": "*/*"})
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            session.auth = _no_password
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_connections=2, pool_maxsize=1, max_retries=0))
        return session


class _Session(requests.Session):
    """Looks at no redirection: requests would read all of its content, and fail on an address that is none."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, as if there were none."""


def _no_password(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Stands where requests would else look for a password in the user's .netrc."""
    return request


def _redirected(url: str, location: str) -> str:
    """Where an answer sends us; never to a file of this machine, nor from an encrypted to a plain connection.

    Raises:
        FileError: it does so.
    """
    schemes = ("https",) if url.startswith("https:") else ("http", "https")
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        allowed = bool(location) and parts.scheme in schemes and "@" not in parts.netloc
    except ValueError:
        allowed = False
    if not allowed:
        raise FileError(f"{url}: is redirected to {location[:80]!r}, where we do not go; tell who publishes it")
    return target


def _finish(response: requests.Response) -> None:
    """Let an answer go; its connection is kept if nothing, or little, remains to be read."""
    try:
        length = whole_number(response.headers.get("Content-Length", "0"))
        unread = response.status_code not in (200, 206) and length is not None and length <= _SMALL
        if unread or response.request.method == "HEAD":
            response.raw.read(_SMALL)
    except Exception:  # what matters of it is known already
        pass
    finally:
        response.close()


def _host(url: str) -> str:
    return urlsplit(url).netloc
