"""Pictures inside a page, as data URIs."""

from base64 import b64encode
from urllib.parse import quote

_SAFE = " !$'()*+,-./:;=?@_~|"  # characters that a data URI in double quotes may hold as they are


def svg_source(text: str) -> str:
    """The source of an SVG."""
    return f"data:image/svg+xml,{quote(' '.join(text.split()), safe=_SAFE)}"


def png_source(pixels: bytes) -> str:
    """The source of a PNG."""
    return f"data:image/png;base64,{b64encode(pixels).decode()}"
