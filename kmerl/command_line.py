"""What the commands share."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from kmerl.errors import UserError


class Parser(argparse.ArgumentParser):
    """Says what is wrong with its arguments in one line, as everything here does; shows descriptions as they stand."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises: UserError."""
        raise UserError(f"{message}; --help lists the options")


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a command with this program's arguments to its exit status; a reader of its output may leave early."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
