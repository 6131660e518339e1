"""Errors of the target folder, told in one line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kmerl.artifacts import remedy
from kmerl.errors import UserError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell why a file cannot be written.

    Raises:
        UserError: no space, no permission, or a file where a folder belongs.
    """
    try:
        yield
    except OSError as error:
        reason = remedy(error)
        if error.errno == errno.EEXIST:
            reason = "a file stands where a folder belongs; move it away"
        if reason is None:
            raise
        raise UserError(f"{path}: cannot be written, {reason} and run again") from None
