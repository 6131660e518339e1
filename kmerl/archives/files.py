"""Opening an archive's files, whatever stands in their place."""

import os
from pathlib import Path

from kmerl.archives.wfdb_format import RecordError
from kmerl.regular import descriptor


def open_file(path: Path | str, absent: str) -> tuple[int, int]:
    """The descriptor of a regular file, and its size in bytes; opening a pipe or a device does not wait for anything.

    Raises:
        RecordError: ``absent``, or ``unreadable_file``.
    """
    try:
        return descriptor(path)
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(absent, f"no file {_name(path)}") from None
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        name = _name(path)
        raise RecordError("unreadable_file", f"{name}: {getattr(error, 'strerror', None) or error}") from None


def content_of(path: Path | str, absent: str, most: int, beyond: str) -> bytes:
    """All bytes of a regular file.

    Raises:
        RecordError: ``absent``, ``unreadable_file``, or ``beyond`` where there are more than ``most``.
    """
    file, size = open_file(path, absent)
    try:
        if size > most:
            raise RecordError(beyond, f"{_name(path)} has {size} bytes, more than {most}")
        content = os.read(file, size)
        while len(content) < size and (more := os.read(file, size - len(content))):
            content += more
    except OSError as error:
        raise RecordError("unreadable_file", f"{_name(path)}: {error.strerror}") from None
    finally:
        os.close(file)
    return content


def _name(path: Path | str) -> str:
    return os.fspath(path).rpartition(os.sep)[2]
