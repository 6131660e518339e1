"""Which reader serves which archive."""

from collections.abc import Collection
from pathlib import Path

from kmerl.archives import layouts
from kmerl.archives.archive import Archive, existing_folder
from kmerl.archives.cpsc2018 import Cpsc2018
from kmerl.archives.csn import Csn
from kmerl.archives.mimic_iv_ecg import MimicIvEcg
from kmerl.archives.ptb_xl import PtbXl
from kmerl.archives.snomed import codes_of
from kmerl.archives.wfdb_format import RecordError
from kmerl.errors import UserError
from kmerl.regular import open_regular

ARCHIVES: dict[str, type[Archive]] = {
    "mimic_iv_ecg": MimicIvEcg,
    "ptb_xl": PtbXl,
    "cpsc2018": Cpsc2018,
    "csn": Csn,
}


def open_archive(name: str, folder: Path) -> Archive:
    """The reader of the archive called ``name``, on its folder.

    Raises:
        UserError: no reader has this name, or there is no such folder.
    """
    if name not in ARCHIVES:
        raise UserError(f"archive {name!r} has no reader; the archives are {', '.join(ARCHIVES)}")
    return ARCHIVES[name](existing_folder(name, folder))


def recognise(folder: Path, names: Collection[str] | None = None) -> str | None:
    """The archive whose official layout a folder has, by its tables and folders; None if it has none of them.

    Args:
        folder: that may be an archive's root.
        names: of all that is in it, if that is known.
    """
    try:
        found = {path.name for path in folder.iterdir()} if names is None else set(names)
    except OSError:
        return None
    if {"record_list.csv", "machine_measurements.csv"} <= found:
        return "mimic_iv_ecg"
    if "ptbxl_database.csv" in found:
        return "ptb_xl"
    if {layouts.CSN_TABLE, layouts.CSN_RECORDS} <= found:
        return "csn"
    return "cpsc2018" if _is_cpsc2018(folder, found) else None


def _is_cpsc2018(folder: Path, names: Collection[str]) -> bool:
    """CPSC2018 by its table, whose name others use as well, or its mirror by a header with the labels of one."""
    if layouts.CPSC2018_REFERENCE in names:
        try:
            with open_regular(folder / layouts.CPSC2018_REFERENCE) as file:
                return file.readline(200).lstrip(b"\xef\xbb\xbf").startswith(b"Recording,")
        except OSError:
            return False
    header = min((name for name in names if layouts.CPSC2018_HEADER.fullmatch(name)), default=None)
    if header is None and "g1" in names:  # as PhysioNet packs it
        header = "g1/A0001.hea"
    try:
        return header is not None and bool(codes_of(folder / header))
    except RecordError:
        return False
