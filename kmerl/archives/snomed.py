"""SNOMED CT codes in the comments of WFDB headers, as PhysioNet's 12-lead archives give their labels."""

from pathlib import Path

from kmerl.archives.wfdb_format import RecordError, parse_header


def codes_of(header: Path) -> list[str]:
    """The codes of a header's line ``#Dx: 426783006,164884008`` (or ``# Dx:``), in its order, each once.

    Raises:
        RecordError: ``no_header``, ``bad_header``, or ``bad_labels`` where no such line names a code.
    """
    try:
        comments = parse_header(header.read_bytes().decode("utf-8", errors="replace")).comments
    except OSError as error:
        raise RecordError("no_header", f"{header.name}: {error.strerror}") from None
    for comment in comments:
        key, colon, value = comment.partition(":")
        if colon and key.strip().lower() == "dx":
            codes = [code for part in value.split(",") if (code := part.strip())]
            if codes:
                return list(dict.fromkeys(codes))
    raise RecordError("bad_labels", f"{header.name} has no line Dx with codes")
