"""DVC made safe against kills and rotten files, in every process of this project that runs it.

By itself DVC trusts each file in its cache that is write-protected, and rewrites ``dvc.lock`` and its list of locks in
place, so that a kill at that moment leaves half a file which stops it for ever. Under :func:`guard`

* whatever is taken from the cache is verified: by size, time and inode where its hash is known, else by its hash;
* what is damaged there is deleted and said, and put back if the project's folder still has it: else its stage runs;
* both files are replaced as a whole;
* a stage ends with the process that runs it for DVC.

:func:`repair` mends what an unguarded DVC left when it was killed.
"""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from dvc import rwlock
from dvc.exceptions import DvcException
from dvc.lock import LockError, make_lock
from dvc.output import Output
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.stage import run as stage_run
from dvc.stage.cache import StageCache, _get_cache_hash
from dvc.utils.serialize import _common, _yaml, dump_yaml, parse_yaml
from dvc_data.fsutils import _localfs_info
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.db.local import LocalHashFileDB
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from voluptuous import Invalid

from kmerl.artifacts import remove, whole
from kmerl.children import bound
from kmerl.errors import UserError
from workflow.damage import RECORD, digest
from workflow.leftovers import LOCKS, release_locks

KEPT = Path(".dvc/tmp/dvc.lock")
"""What ``dvc.lock`` was when it was last known to be whole, below the SHA-256 sum of it."""

_dropped: list[str] = []  # hashes of what was deleted from the cache by this process
_guarded = False


def guard(tell: Callable[[str], None] = print) -> None:
    """Guard DVC in this process.

    Args:
        tell: gets a line for each output that was damaged in the cache.
    """
    global _guarded
    if _guarded:
        return
    _guarded = True
    edit = rwlock._edit_rwlock
    replacements: list[tuple[Any, str, Any]] = [
        (LocalHashFileDB, "check", _check),
        (Tree, "load", classmethod(_verified(Tree.load.__func__))),  # type: ignore[attr-defined]
        (Output, "changed_cache", _healing(Output.changed_cache, tell)),
        (StageCache, "_load_cache", _checked(StageCache._load_cache)),
        (stage_run, "prepare_kwargs", _bound(stage_run.prepare_kwargs)),
        (stage_run, "get_executable", lambda shell=stage_run.get_executable: shutil.which("bash") or shell()),
        (_common, "_dump_data", _dump),
        (_yaml, "_dump_data", _dump),
        (rwlock, "_edit_rwlock", lambda folder, fs, hardlink: edit(folder, _WholeFiles(fs), hardlink)),
    ]
    for owner, name, new in replacements:
        assert hasattr(owner, name), f"this version of DVC has no {name}"
        setattr(owner, name, new)


def _check(self: Any, oid: str, check_hash: bool = True, _info: dict[str, Any] | None = None) -> Any:
    """In place of ``LocalHashFileDB.check``, which looks no further where a file is write-protected.

    DVC notes hashes of files together with their size, time and inode, so most are not computed again.
    """
    try:
        return HashFileDB.check(self, oid, check_hash, _info or _localfs_info(self.oid_to_path(oid)))
    except ObjectFormatError:
        _dropped.append(oid)
        raise


def _verified(load: Callable[..., Any]) -> Callable[..., Any]:
    """``Tree.load`` of a folder's list that is verified first: DVC only asks whether it is JSON."""

    def verified(cls: Any, odb: Any, hash_info: Any, hash_name: str | None = None) -> Any:
        if isinstance(odb, LocalHashFileDB):
            odb.check(hash_info.value)
        return load(cls, odb, hash_info, hash_name)

    return verified


def _healing(changed_cache: Callable[..., bool], tell: Callable[[str], None]) -> Callable[..., bool]:
    """``Output.changed_cache``, the cache filled from the project's folder where that has what was damaged."""

    def healed(self: Any, filter_info: Any = None) -> bool:
        before = len(_dropped)
        changed = changed_cache(self, filter_info)
        if len(_dropped) == before:
            return changed
        if digest(Path(self.fs_path)) == self.hash_info.value:
            self.commit()
            changed = changed_cache(self, filter_info)
            tell(f"{self.def_path}: damaged in DVC's cache; put back from the project's folder")
        else:
            tell(f"{self.def_path}: damaged in DVC's cache and deleted there; its stage makes it again")
        return changed

    return healed


def _bound(prepare: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """``prepare_kwargs`` for a command that ends with this process, and gets no Ctrl-C before it can tell it.

    Programs of this project let it in when they have begun (``allow_interrupts``); for others it is as it was.
    """

    def prepared(stage: Any, run_env: Any = None) -> dict[str, Any]:
        bind, ours = bound(), str(stage.cmd).startswith("python -m ")

        def begin() -> None:
            if bind is not None:
                bind()
            if ours:
                hold_interrupts()

        return {**prepare(stage, run_env), "preexec_fn": begin}

    return prepared


def hold_interrupts() -> None:
    """Before a process runs its program: Ctrl-C waits, as Python would answer it with a traceback while it starts.

    Between them stands a shell: bash, which Snakemake needs too, leaves it so; dash, many a system's sh, does not.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _checked(load: Callable[..., Any]) -> Callable[..., Any]:
    """``StageCache._load_cache`` without entries that are no longer what was written: their names are their hashes."""

    def checked(self: Any, key: str, value: str | None) -> Any:
        if value is None:  # all entries of a stage were dropped; DVC would join a path with it
            return None
        entry = load(self, key, value)
        if entry is not None and _get_cache_hash(entry) != value:
            Path(self._get_cache_path(key, value)).unlink(missing_ok=True)
            return None
        return entry

    return checked


def _dump(path: Any, data: Any, dumper: Callable[..., Any], fs: Any = None, **options: Any) -> None:
    """In place of DVC's writing of YAML and JSON."""
    with whole(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        dumper(data, file, **options)
    if Path(path).absolute() == RECORD.absolute():
        _keep(RECORD.read_bytes())


class _WholeFiles:
    """The file system as the editing of DVC's list of locks uses it."""

    def __init__(self, fs: Any) -> None:
        self.fs = fs
        self.join = fs.join

    @contextmanager
    def open(self, path: str, mode: str = "r", encoding: str = "utf-8") -> Iterator[Any]:
        if "w" not in mode:
            with self.fs.open(path, mode, encoding=encoding) as file:
                yield file
            return
        with whole(path) as temporary, temporary.open(mode, encoding=encoding) as file:
            yield file


# ------------------------------------------------------------------------------------------------------------- repair


def repair() -> None:
    """Mend ``dvc.lock`` and DVC's list of locks where a killed DVC left them unreadable; say so.

    Raises:
        UserError: ``dvc.lock`` holds merge conflicts, or the locks are unreadable while another DVC is at work.
    """
    _repair_locks()
    release_locks(LOCKS)
    _repair_record()


def _repair_locks() -> None:
    """Remove the list of locks if it cannot be read and no process can hold one of them."""
    if not LOCKS.exists() or _locks_readable():
        return
    try:
        with make_lock(f"{LOCKS}.lock", tmp_dir=str(LOCKS.parent)):  # whoever writes the list holds this
            if _locks_readable():
                return
            if others := _engines_here():
                raise UserError(f"{LOCKS}: unreadable while process {others[0]} works with DVC here; wait for its end")
            LOCKS.unlink()
    except LockError:
        raise UserError(f"{LOCKS}: another DVC is writing it for seconds; wait for its end, and run again") from None
    print(f"{LOCKS}: left half written by a killed DVC; removed", file=sys.stderr, flush=True)


def _locks_readable() -> bool:
    try:
        rwlock.SCHEMA(json.loads(LOCKS.read_text("utf-8")))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, Invalid):
        return False
    return True


def _engines_here() -> list[int]:
    """Other living processes that work with DVC in this folder."""
    own = psutil.Process()
    ours = {own.pid, *(parent.pid for parent in own.parents())}
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd", "status"]):
        info = process.info
        command = " ".join(info["cmdline"] or [])
        works = any(name in command for name in ("dvc", "workflow.run", "snakemake"))
        alive = info["status"] != psutil.STATUS_ZOMBIE
        if works and alive and info["cwd"] == str(Path.cwd()) and info["pid"] not in ours:
            found.append(info["pid"])
    return found


def _repair_record() -> None:
    """See to it that ``dvc.lock`` can be read, and keep a copy of it."""
    try:
        text = RECORD.read_bytes()
    except FileNotFoundError:
        return
    kept = _kept()
    if text and text == kept:
        return
    if kept and kept.startswith(text):
        _write(RECORD, kept)
        print(f"{RECORD}: cut short; restored from its last copy", file=sys.stderr, flush=True)
        return
    record = _parsed(text)
    if record is not None:
        if _restore_sizes(record, _parsed(kept) or {}):
            dump_yaml(str(RECORD), record)
            print(f"{RECORD}: sizes were changed in it; restored", file=sys.stderr, flush=True)
        else:
            _keep(text)
        return
    if b"\n<<<<<<< " in text or text.startswith(b"<<<<<<< "):
        raise UserError(
            f"{RECORD}: holds conflicts of a merge; take either side (`git checkout --ours {RECORD}`) or delete it, "
            "and run again: nothing is computed that DVC's cache holds"
        )
    copies = {"its last copy": kept, "git": _committed()}
    source = next((name for name, content in copies.items() if _parsed(content) is not None), None)
    if source is None:
        remove(RECORD)
        source = "DVC's cache, stage by stage"
    else:
        _write(RECORD, copies[source])
        _keep(copies[source])
    print(f"{RECORD}: unreadable, as a killed DVC leaves it; restored from {source}", file=sys.stderr, flush=True)


def _parsed(text: bytes) -> dict[str, Any] | None:
    """The content of a ``dvc.lock``; None if DVC would refuse it."""
    try:
        return dict(COMPILED_LOCKFILE_SCHEMA(parse_yaml(text.decode("utf-8"), str(RECORD))))
    except (DvcException, Invalid, ValueError, TypeError, AttributeError):
        return None


def _restore_sizes(record: dict[str, Any], kept: dict[str, Any]) -> bool:
    """Take back what changed in nothing but sizes: with the same hashes, the new ones must be wrong."""
    before, changed = kept.get("stages", {}), False
    for name, entry in record.get("stages", {}).items():
        if name in before and entry != before[name] and _without_sizes(entry) == _without_sizes(before[name]):
            record["stages"][name] = before[name]
            changed = True
    return changed


def _without_sizes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sizes(one) for key, one in value.items() if key not in ("size", "nfiles")}
    return [_without_sizes(one) for one in value] if isinstance(value, list) else value


def _committed() -> bytes:
    """``dvc.lock`` as it was last committed; empty if it was not, or there is no git."""
    try:
        return subprocess.run(["git", "show", f"HEAD:./{RECORD}"], capture_output=True, check=False).stdout
    except OSError:
        return b""


def _keep(text: bytes) -> None:
    if KEPT.parent.is_dir():
        _write(KEPT, hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def _kept() -> bytes:
    """The copy of ``dvc.lock``; empty if there is none, or a damaged one."""
    try:
        checksum, _, text = KEPT.read_bytes().partition(b"\n")
    except OSError:
        return b""
    return text if hashlib.sha256(text).hexdigest().encode() == checksum else b""


def _write(path: Path, text: bytes) -> None:
    with whole(path) as temporary:
        temporary.write_bytes(text)
