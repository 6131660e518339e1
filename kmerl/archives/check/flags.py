"""What the flags of ``preprocessing.repair.prepare`` and of an archive's tables say about a record."""

from typing import Literal

Kind = Literal["repaired", "doubtful", "noted"]

FLAGS: dict[str, Kind] = {
    **dict.fromkeys(("nan_repaired", "derived_lead"), "repaired"),  # mended
    **dict.fromkeys(("nan_lead", "flat_lead", "unknown_lead", "repeated_lead"), "repaired"),  # left out
    **dict.fromkeys(("clipped_lead", "flat_part", "large_amplitude", "small_amplitude"), "doubtful"),
    **dict.fromkeys(("large_offset", "limb_leads", "checksum"), "doubtful"),
    **dict.fromkeys(("cropped", "padded", "resampled", "missing_lead", "unknown_code"), "noted"),
}
"""A record with a flag of the kind ``repaired`` counts as repaired; the other kinds change nothing of a signal."""

OF_TABLES = frozenset(
    {"bad_labels", "bad_row", "bad_path", "bad_table", "no_id", "no_path", "not_listed", "repeated_id"}
)
"""Reasons that an archive's tables give, not a record's file."""


def kind_of(flag: str) -> Kind:
    """A flag's kind; one that is unknown here is mending, which is the worse case."""
    return FLAGS.get(flag, "repaired")
