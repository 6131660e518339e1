"""Fetch an archive, or what of it is missing, and check every file.

python -m kmerl.archives fetch ptb_xl data/raw/ptb_xl
python -m kmerl.archives fetch mimic_iv_ecg data/raw/mimic_iv_ecg --dry-run
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from kmerl.archives.fetch.job import Job, fetch, rehearse
from kmerl.archives.fetch.params import FetchParams
from kmerl.archives.fetch.recommended import RECOMMENDED
from kmerl.archives.fetch.sources import SOURCES, find_source
from kmerl.command_line import Parser
from kmerl.errors import UserError
from kmerl.escapes import one_line, screen

PARAMS = Path("params.yaml")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = Parser(
        prog="python -m kmerl.archives fetch", description=__doc__,
        epilog=f"Everything else is the section `fetch` of {PARAMS} here, or else as the project recommends.",
    )  # fmt: skip
    add = result.add_argument
    add("name", metavar="NAME", help=", ".join(SOURCES))
    add("folder", type=Path, metavar="FOLDER", help="where it goes; what is there already is used")
    add("--dry-run", action="store_true", help="only say what would be fetched, and about how large it is")
    add("--verify", action="store_true", help="read all files again, also those that were compared before")
    add("--base-url", metavar="URL", help="take it from a mirror: the release's folder stands below this address")
    add("--connections", type=int, metavar="N", help="files fetched at a time")
    return result


def main(argv: Sequence[str]) -> int:
    """Returns the exit status: 0, or 1 after one line about what is wrong."""
    try:
        arguments = parser().parse_args(argv)
        job = _job(arguments)
        if job.folder.is_symlink() and not arguments.dry_run:
            print(one_line(f"fetch: {job.folder} is a link; files go to {job.folder.resolve()}"), file=sys.stderr)
        answer = rehearse(job) if arguments.dry_run else f"{job.source.name}: {fetch(job)[1]}"
        print(screen(answer), flush=True)
    except UserError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"fetch: {one_line(str(error))}; mend it and run again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fetch: stopped; run it again and it continues", file=sys.stderr)
        return 130
    return 0


def _job(arguments: argparse.Namespace) -> Job:
    source = find_source(arguments.name)
    values, where = _values()
    if arguments.connections is not None:
        values, where = values | {"connections": arguments.connections}, f"{where} and --connections"
    if arguments.base_url is not None:
        site = "merl_url" if source.pinned else "physionet_url"
        values, where = values | {site: arguments.base_url}, f"{where} and --base-url"
    try:
        params = FetchParams.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: fetch.{name}: {message} (it is {problem['input']!r})") from None
    return Job(source, arguments.folder, params, arguments.verify)


def _values() -> tuple[dict[str, Any], str]:
    """The section `fetch` of the project in this folder, or the recommended values; and where they stand."""
    try:
        project = yaml.safe_load(PARAMS.read_text("utf-8"))
    except FileNotFoundError:
        project = None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{PARAMS}: cannot be read as YAML ({' '.join(str(error).split())}); mend it") from None
    if isinstance(project, dict) and isinstance(project.get("fetch"), dict):
        return project["fetch"], str(PARAMS)
    return RECOMMENDED, "recommended values"
