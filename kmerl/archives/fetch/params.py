"""How archives are fetched."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from kmerl.archives.fetch.sources import SOURCES
from kmerl.patience import Patience


class FetchParams(Patience):
    """Where archives are published, and how politely and patiently they are asked for."""

    physionet_url: str = Field(description="folder of PhysioNet's projects: PROJECT/VERSION/FILE stands below it")
    merl_url: str = Field(description="folder of MERL's repository: COMMIT/FILE stands below it")
    leave_out: dict[str, list[str]] = Field(
        description="source -> beginnings of paths that are not fetched; a folder ends with /"
    )
    connections: int = Field(ge=1, le=16, description="files fetched at a time")
    stall_seconds: float = Field(gt=0, description="s without a byte after which a connection is given up")
    measured_files: int = Field(
        ge=1, le=1000, description="files of each kind whose size is asked for, to tell the size of all"
    )

    @field_validator("physionet_url", "merl_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("leave_out")
    @classmethod
    def _of_sources(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, beginnings in value.items():
            if name not in SOURCES:
                raise ValueError(f"{name!r} is no source; the sources are {', '.join(SOURCES)}")
            if "" in beginnings:
                raise ValueError(f"{name}: an empty beginning leaves everything out; remove it")
        return value


def checked_url(url: str) -> str:
    """An address below which files are asked for, with / at its end.

    Raises:
        ValueError: it is none, or holds a password, a query or a fragment.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("holds a user name; these archives ask for none, leave it out")
    if parts.query or parts.fragment:
        raise ValueError("holds ? or #; give the address of a folder")
    return url if url.endswith("/") else f"{url}/"
