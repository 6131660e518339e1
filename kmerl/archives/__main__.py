"""Programs about archives: ``python -m kmerl.archives COMMAND ...``; ``--help`` after a command tells more."""

import sys
from importlib import import_module

from kmerl.command_line import run

COMMANDS = {"check": "kmerl.archives.check.command", "fetch": "kmerl.archives.fetch.command"}
"""The module whose ``main(argv)`` a command runs; imported only then."""


def main(argv: list[str]) -> int:
    """Returns the exit status of the command, or 2 if there is none of this name."""
    if not argv or argv[0] not in COMMANDS:
        print(f"usage: python -m kmerl.archives {{{','.join(COMMANDS)}}} ...", file=sys.stderr)
        return 2
    return int(import_module(COMMANDS[argv[0]]).main(argv[1:]))


if __name__ == "__main__":
    run(main)
