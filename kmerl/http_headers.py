"""Values of HTTP headers, which servers write in several ways."""

import re
import time
from email.utils import parsedate_to_datetime


def retry_after(value: str | None) -> float | None:
    """Seconds from now that a ``Retry-After`` header names, as a number or as a date; None if it names none."""
    if value is None:
        return None
    if (seconds := whole_number(value)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def whole_number(text: str | None) -> int | None:
    """The number that a header gives; None if it gives none, or one that no file has."""
    return int(text) if text is not None and re.fullmatch("[0-9]{1,18}", text.strip()) else None
