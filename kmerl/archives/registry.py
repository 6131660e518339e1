"""Which reader serves which archive."""

from pathlib import Path

from kmerl.archives.archive import Archive, existing_folder
from kmerl.archives.cpsc2018 import Cpsc2018
from kmerl.archives.csn import Csn
from kmerl.archives.mimic_iv_ecg import MimicIvEcg
from kmerl.archives.ptb_xl import PtbXl
from kmerl.errors import UserError

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
