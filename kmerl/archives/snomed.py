"""SNOMED CT codes in the comments of WFDB headers, as PhysioNet's 12-lead archives give their labels."""

from pathlib import Path

from kmerl.archives.wfdb_format import RecordError, parse_header
from kmerl.archives.wfdb_reader import header_text


def codes_of(header: Path) -> list[str]:
    """The codes of a header's line ``#Dx: 426783006,164884008`` (or ``# Dx:``), in its order, each once.

    Raises:
        RecordError: ``no_header``, ``unreadable_file``, ``bad_header``, or ``bad_labels`` where no such line names a
            code.
    """
    for comment in parse_header(header_text(header)).comments:
        key, colon, value = comment.partition(":")
        if colon and key.strip().lower() == "dx":
            codes = [code for part in value.split(",") if (code := part.strip())]
            if codes:
                return list(dict.fromkeys(codes))
    raise RecordError("bad_labels", f"{header.name} has no line Dx with codes")
