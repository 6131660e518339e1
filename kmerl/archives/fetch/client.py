"""Asking a server for files: what it may answer, where it may send us, and when nothing of it can be had."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from kmerl import __version__, http_client
from kmerl.archives.fetch.params import FetchParams
from kmerl.errors import UserError
from kmerl.http_client import NO_ANSWER, PASSING, StoppedError, TransientError, whole_number

CHUNK = 1 << 18
"""Bytes in memory per connection."""
_HEADERS = {
    "User-Agent": f"kmerl/{__version__} (K-MERL, a reproducible ECG pipeline)",
    "Accept-Encoding": "identity",
}
_REDIRECTS, _MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
_SMALL = 1 << 16  # bytes of an answer nobody needs that are read, so that its connection can be used again

T = TypeVar("T")


class FileError(UserError):
    """A file cannot be had; others may be."""


class RefusedError(UserError):
    """The server lets us not have something, and probably nothing else."""


class Client(http_client.Client):
    """Connections to the servers of archives.

    Args:
        params: how patiently.
        stop: set by anyone who ends the run.
    """

    section = "fetch"
    remedy = "check the network, and HTTPS_PROXY if you need one"
    again = "it will continue"

    def __init__(self, params: FetchParams, stop: threading.Event) -> None:
        super().__init__(params, params.stall_seconds, stop, _HEADERS)
        self.attempts = params.attempts

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
            response = self.send(method, asked, headers=dict(headers or {}), stream=True)
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
                if self._stop.is_set():
                    raise StoppedError
        except requests.RequestException as error:
            raise TransientError(str(self.cut(error))) from None  # of this file: the server did answer

    def persist(self, url: str, attempt: Callable[[], T]) -> T:
        """The result of ``attempt``, tried again while that may help; tries that bring the file forward do not count.

        Raises:
            UserError: nobody answers, or the server asks for too long a wait.
            FileError: this file cannot be had.
        """
        try:
            return self.patiently(attempt)
        except TransientError as error:
            kind = UserError if error.code in NO_ANSWER else FileError
            times = f"{self.attempts} times" if self.attempts > 1 else "once"
            raise kind(f"{url}: {error}, {times}; run it again later, {self.again}") from None

    def _judge(self, url: str, response: requests.Response) -> None:
        """Whether an answer is one to use."""
        status = response.status_code
        if status in (401, 403):
            raise RefusedError(
                f"{url}: access is refused ({status}); open it in a browser: a licence agreement may be needed first"
            )
        if status in PASSING:
            raise self.busy(response)
        if status in (404, 410):
            raise FileError(f"{url}: there is no such file ({status}); check the address, or ask who publishes it")
        if status not in (200, 206, 416):
            raise FileError(f"{url}: the server answers {status}; open it in a browser to see why")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise FileError(f"{url}: comes compressed although we ask for it as it is; try another mirror")


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
