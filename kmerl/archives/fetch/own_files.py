"""How the downloader's own files are called, so that nobody takes them for files of an archive."""

from pathlib import Path, PurePosixPath

_OURS = ".kmerl-"
_PARTIAL, _VERSION = ".partial", ".partial.from"
LEDGER = f"{_OURS}fetched.tsv"
"""In the archive's folder: what was fetched or compared, see :mod:`kmerl.archives.fetch.ledger`."""


def stored_list(release: str) -> str:
    """The name under which a release's checksum file is kept in the archive's folder."""
    return f"{_OURS}sums-{release.replace('/', '-')}.txt"


def partial(target: Path) -> Path:
    """Where a file grows until it is complete and its checksum is right."""
    return target.with_name(f".{target.name}{_PARTIAL}")


def version(target: Path) -> Path:
    """Where it stands of which version on the server a partial file is a part."""
    return target.with_name(f".{target.name}{_VERSION}")


def is_ours(path: str) -> bool:
    """Whether a path within an archive's folder, with /, is a file of the downloader's and not of the archive."""
    name = PurePosixPath(path).name
    return name.startswith(_OURS) or (name.startswith(".") and name.endswith((_PARTIAL, _VERSION)))
