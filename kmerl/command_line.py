"""What the commands share."""

import argparse
from typing import NoReturn

from kmerl.errors import UserError


class Parser(argparse.ArgumentParser):
    """Says what is wrong with its arguments in one line, as everything here does."""

    def error(self, message: str) -> NoReturn:
        """Raises: UserError."""
        raise UserError(f"{message}; --help lists the options")
