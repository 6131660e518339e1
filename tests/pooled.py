"""Two processes of a pool that sleep: ``python -m tests.pooled FOLDER SECONDS``; so long may one be stopped."""

import os
import signal
import sys
import time
from pathlib import Path

from kmerl import children
from kmerl.errors import UserError
from kmerl.pool import pool


def nap(folder, number):
    (folder / f"pid-{number}").write_text(str(os.getpid()))
    time.sleep(600)


def main():
    import polars  # noqa: F401 - it puts a handler of signals before Python's

    from tests.pooled import nap  # by a name that other processes know

    children.LOOK_SECONDS, children.STOPPED_SECONDS = 0.2, float(sys.argv[2])
    try:
        with pool(2, "broken") as submit:
            for one in [submit(nap, Path(sys.argv[1]), i) for i in range(2)]:
                one.result()
    except UserError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        for further in (signal.SIGINT, signal.SIGTERM):  # as a stage does
            signal.signal(further, signal.SIG_IGN)
        sys.exit("interrupted")


if __name__ == "__main__":
    main()
