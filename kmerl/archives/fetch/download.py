"""One file, from a server into a folder: continued where it was left, and kept only if its checksum is right."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from kmerl.archives.fetch import own_files
from kmerl.archives.fetch.client import CHUNK, Client, FileError
from kmerl.archives.fetch.disk import writing
from kmerl.http_client import TransientError, whole_number


@dataclass(frozen=True)
class Fetched:
    """What was fetched: size in bytes, and SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Version:
    """What tells versions of a file on the server apart.

    Attributes:
        tag: its ETag, or else the time of its last change; empty if the server names neither.
        length: bytes; None if the server does not say.
    """

    tag: str
    length: int | None


def fetch_file(client: Client, url: str, target: Path, sha256: str | None) -> Fetched:
    """Fetch a file. Until it is complete and right it has another name; a next call continues it.

    Args:
        client: asks for it.
        url: where it is.
        target: where it is to be.
        sha256: what it has to be; None if that is not known.

    Raises:
        FileError: it cannot be had, or is not what it has to be.
        UserError: nothing can be had, or nothing can be written.
    """
    wrong: list[str] = []

    def attempt() -> Fetched:
        fetched = _transfer(client, url, target)
        if sha256 is not None and fetched.sha256 != sha256:
            discard(target)
            wrong.append(fetched.sha256)
            if len(wrong) == client.attempts or wrong.count(fetched.sha256) > 1:  # the same again is no accident
                raise FileError(
                    f"{url}: its SHA-256 is {fetched.sha256}, but the list says {sha256}; ask who publishes it"
                )
            raise TransientError("its checksum is wrong")
        own_files.partial(target).replace(target)
        discard(target)
        return fetched

    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        return client.persist(url, attempt)


def discard(target: Path) -> None:
    """Forget what there is of a file."""
    own_files.version(target).unlink(missing_ok=True)  # first: without it the rest counts for nothing
    own_files.partial(target).unlink(missing_ok=True)


def _transfer(client: Client, url: str, target: Path) -> Fetched:
    """One try at completing the partial file."""
    have, digest, known = _begun(target)
    if have and have == known.length:  # killed before the file got its name
        return Fetched(have, digest.hexdigest())
    headers = {}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.tag.startswith('"'):  # a strong ETag: the server sends all of it if it changed
            headers["If-Range"] = known.tag
    with client.open(url, headers=headers) as response:
        if response.status_code == 200:
            have, digest, known = 0, hashlib.sha256(), version_of(response, response.headers.get("Content-Length"))
            discard(target)
        else:
            start, length = _range(response)
            if not have or start != have or version_of(response, length) != known:
                discard(target)
                raise TransientError("it changed on the server while it was fetched", wait=0 if have else None)
        with own_files.partial(target).open("ab", buffering=0) as file:
            if not have and (known.length is None or known.length > CHUNK):
                own_files.version(target).write_text(json.dumps([known.tag, known.length]), "utf-8")
            try:
                for chunk in client.chunks(response):
                    file.write(chunk)
                    digest.update(chunk)
                    have += len(chunk)
            except TransientError as error:
                error.reached = have
                raise
    if known.length is not None and have != known.length:
        raise TransientError(f"{have} bytes came instead of {known.length}", reached=have)
    return Fetched(have, digest.hexdigest())


def _begun(target: Path) -> tuple[int, Any, Version]:
    """How much of a file is there, the hash of that, and the version it is of; nothing if that is not known."""
    digest = hashlib.sha256()
    try:
        tag, length = json.loads(own_files.version(target).read_text("utf-8"))
        known = Version(str(tag), None if length is None else int(length))
        with own_files.partial(target).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            have = file.tell()
    except (FileNotFoundError, ValueError, TypeError):
        known, have = Version("", None), 0
    if known.length is None or not 0 < have <= known.length:
        discard(target)
        return 0, hashlib.sha256(), Version("", None)
    return have, digest, known


def version_of(response: requests.Response, length: str | None) -> Version:
    """The version that an answer is of."""
    tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return Version(tag, whole_number(length))


def _range(response: requests.Response) -> tuple[int | None, str | None]:
    """Where the part in an answer begins, and how long the whole is."""
    found = re.fullmatch(r"bytes ([0-9]{1,18})-[0-9]+/([0-9]+)", response.headers.get("Content-Range", "").strip())
    return (int(found[1]), found[2]) if found else (None, None)
