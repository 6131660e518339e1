"""Opening files that others put there: nothing that stands in a file's place keeps a reader waiting or fills memory."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_OTHERS = {
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


class TooLargeError(ValueError):
    """A file holds more bytes than anything of its kind needs."""


def descriptor(path: Path | str) -> tuple[int, int]:
    """The descriptor of a regular file, and its size in bytes; opening a pipe or a device does not wait for anything.

    Raises:
        OSError: it cannot be opened, or is no regular file, also behind a link.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(file)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        return file, status.st_size
    os.close(file)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "a folder stands where a file belongs", str(path))
    raise OSError(errno.EINVAL, f"no file but {_OTHERS.get(kind, 'something else')}", str(path))


def open_regular(path: Path | str) -> BufferedReader:
    """A regular file to read bytes from.

    Raises:
        OSError: as :func:`descriptor`.
    """
    return os.fdopen(descriptor(path)[0], "rb")


def assert_regular(path: Path | str) -> int:
    """Make sure, before a library opens it by its name, that this is a regular file. Returns its size in bytes.

    Raises:
        OSError: as :func:`descriptor`.
    """
    file, size = descriptor(path)
    os.close(file)
    return size


def content_of(path: Path | str, most: int) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: as :func:`descriptor`.
        TooLargeError: there are more than ``most``; none is read then.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise TooLargeError(f"{size:,} bytes, more than {most:,}")
        return file.read(size)
