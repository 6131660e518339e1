"""One way to read any record file, whatever its format."""

import os
from pathlib import Path

from kmerl.archives.cpsc_format import read_struct
from kmerl.archives.wfdb_format import Recording
from kmerl.archives.wfdb_reader import Reader


def read_file(path: Path | str, reader: Reader | None = None) -> Recording:
    """Read a record: a ``.mat`` file as CPSC2018's struct, any other as a WFDB header with its signal file.

    Args:
        path: of the struct or of the header.
        reader: whose memory holds the samples until it reads another record; by default they have their own.

    Raises:
        RecordError: the file cannot be used; see :func:`~kmerl.archives.cpsc_format.read_struct` and
            :meth:`~kmerl.archives.wfdb_reader.Reader.read` for the reasons.
    """
    name = os.fspath(path)
    return read_struct(Path(name)) if name.lower().endswith(".mat") else (reader or Reader()).read(name)
