"""How files lie on a disk, and folders that are removed only if nothing is mounted in them."""

import fcntl
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")  # of Linux: the fifth word of a line is where something is mounted
FIEMAP, SYNC, LAST, SHARED, MOST = 0xC020660B, 1, 1, 0x2000, 4096  # of <linux/fiemap.h>; MOST extents in a file


def extents(path: Path) -> list[tuple[int, int, bool]]:
    """Where a file lies on its disk: (first byte, end, whether another file shares it).

    Raises:
        OSError: the file system does not tell.
    """
    head, entry = struct.Struct("=QQLLLL"), struct.Struct("=QQQ16xL12x")
    buffer = bytearray(head.size + entry.size * MOST)
    head.pack_into(buffer, 0, 0, 1 << 62, SYNC, 0, MOST, 0)
    with path.open("rb") as file:
        fcntl.ioctl(file, FIEMAP, buffer)
    number = head.unpack_from(buffer)[3]
    found = list(entry.iter_unpack(buffer[head.size : head.size + entry.size * number]))
    assert not found or found[-1][3] & LAST, f"more than {MOST} extents"
    return [(start, start + length, bool(flags & SHARED)) for _, start, length, flags in found]


def used(*folders: Path) -> int:
    """Bytes on disk of all files in folders; what files share, by hardlink or reflink, counts once."""
    files = {path.stat().st_ino: path for folder in folders for path in folder.rglob("*") if path.is_file()}
    try:
        ranges = sorted(extent[:2] for path in files.values() for extent in extents(path))
    except OSError:
        return sum(path.stat().st_blocks * 512 for path in files.values())
    total = reached = 0
    for start, end in ranges:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def link_of(file: Path, cached: Path) -> str:
    """How a file of an output and its copy in DVC's cache belong together."""
    if file.is_symlink():
        return "symlink"
    if file.samefile(cached):
        return "hardlink"
    try:
        ranges = {extent[0] for extent in extents(file) if extent[2]}
        return "reflink" if ranges & {extent[0] for extent in extents(cached)} else "copy"
    except OSError:
        return "copy"


def file_system(folder: Path) -> str:
    """The kind of file system that a folder is on."""
    said = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True).stdout.strip()
    return {"ext2/ext3": "ext4"}.get(said, said)


def mounts_below(folder: Path) -> list[Path]:
    """Where something is mounted on a folder or in it, for this process."""
    folder = folder.resolve()
    try:
        words = [os.fsdecode(line.split()[4]) for line in MOUNTS.read_bytes().splitlines()]
        places = [Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), word)) for word in words]
    except FileNotFoundError:  # not Linux, where one folder mounted on another of the same disk would stay unseen
        places = [path for path in [folder, *folder.rglob("*")] if path.is_mount()]
    return [place for place in places if place == folder or folder in place.parents]


def remove(folder: Path) -> None:
    """Delete a folder with all that is in it, but never what is only mounted there.

    Raises:
        RuntimeError: something is mounted; nothing was deleted.
    """
    if mounted := mounts_below(folder):
        places = ", ".join(map(str, mounted))
        raise RuntimeError(f"{folder} was not removed, as something is mounted there: umount {places} first")
    shutil.rmtree(folder)  # follows no symlinks


@contextmanager
def temporary(parent: str | None = None) -> Iterator[Path]:
    """A new folder, removed at the end unless something is mounted in it.

    In place of ``tempfile.TemporaryDirectory``, which deletes whatever it finds.
    """
    folder = Path(tempfile.mkdtemp(prefix="kmerl-", dir=parent)).resolve()
    try:
        yield folder
    finally:
        remove(folder)
