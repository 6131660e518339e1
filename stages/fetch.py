"""Fetch an archive, or MERL's split files: whatever of it is not in its folder yet."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from kmerl.archives.fetch.job import Job, fetch
from kmerl.archives.fetch.sources import find_source
from kmerl.artifacts import write_json


def main(params: Any, item: str) -> str:
    """Write ``data/fetched/ITEM.json``: what is in the folder now, the same on every machine."""
    receipt, summary = fetch(Job(find_source(item), Path(getattr(params.fetched, item)), params.fetch))
    write_json(f"data/fetched/{item}.json", asdict(receipt))
    return summary
