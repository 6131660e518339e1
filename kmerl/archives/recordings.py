"""One way to read any record file, whatever its format."""

from pathlib import Path

from kmerl.archives.cpsc_format import read_struct
from kmerl.archives.wfdb_format import Recording, read_recording


def read_file(path: Path) -> Recording:
    """Read a record: a ``.mat`` file as CPSC2018's struct, any other as a WFDB header with its signal file.

    Raises:
        RecordError: the file cannot be used; see :func:`~kmerl.archives.cpsc_format.read_struct` and
            :func:`~kmerl.archives.wfdb_format.read_recording` for the reasons.
    """
    return read_struct(path) if path.suffix == ".mat" else read_recording(path)
