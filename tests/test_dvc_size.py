"""DVC's cache types: the same bytes and the same answers of both engines, however outputs and cache are linked."""

import hashlib
import importlib.util
import os

import disk
import pytest
from disk import link_of, remove
from dvc_objects.fs.generic import test_links as supported
from dvc_objects.fs.local import localfs
from engines.project import LARGE, toy

ROOT_USER = os.geteuid() == 0


def wanted(seed, number):
    """What the large toy writes into a file, told by its own code."""
    spec = importlib.util.spec_from_file_location("large_toy", LARGE / "kmerl/toy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return b"".join(module.pieces(seed, number, 1 << 20))


def linked(folder, link):
    """The large toy with a ``cache.type``, made by DVC, and its files."""
    if not supported([link], localfs, str(folder), localfs, str(folder / "link")):
        pytest.skip(f"the file system of {folder} has no {link}s")
    project = toy(folder / "toy", LARGE)
    (project.folder / ".dvc/config.local").write_text(f"[cache]\n    type = {link}\n")
    project.dvc("repro")
    assert project.computed() == ["read", "write"]
    return project, [project.folder / f"data/waveforms/shard-{number:05d}.bin" for number in range(4)]


@pytest.mark.parametrize("link", ["reflink", "hardlink", "copy"])
def test_t8_either_engine_makes_restores_and_repairs_the_same_bytes(link, tmp_path):
    project, files = linked(tmp_path, link)
    sums = project.folder / "data/sums.json"
    first, summed = [wanted(1, number) for number in range(4)], sums.read_bytes()
    assert [file.read_bytes() for file in files] == first
    md5 = hashlib.md5(first[0], usedforsecurity=False).hexdigest()
    cached = project.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    assert link_of(files[0], cached) == link

    # a file is damaged in place, another is lost; Snakemake mends just that after DVC's run
    sums.unlink()
    if link == "hardlink" and not ROOT_USER:
        with pytest.raises(PermissionError):
            files[0].open("r+b")
    else:
        with files[0].open("r+b") as file:
            file.write(b"damaged")
    in_cache = cached.read_bytes() != first[0]
    assert in_cache == (link == "hardlink" and ROOT_USER)
    project.snakemake()
    assert [file.read_bytes() for file in files] == first
    assert cached.read_bytes() == first[0]
    assert sums.read_bytes() == summed
    assert project.computed() == (["write"] if in_cache else [])

    # other data, made by Snakemake
    project.replace("params.yaml", "seed: 1", "seed: 2")
    if not os.access(sums, os.W_OK):
        sums.unlink()  # see the next test
    project.snakemake()
    second = [wanted(2, number) for number in range(4)]
    assert [file.read_bytes() for file in files] == second
    assert project.computed() == ["read", "write"]

    # and all of it lost; DVC brings it back after Snakemake's run
    remove(files[0].parent)
    project.dvc("checkout")
    assert [file.read_bytes() for file in files] == second
    assert project.agreed()


@pytest.mark.skipif(ROOT_USER, reason="root may write into write-protected files, so Snakemake does not refuse to")
def test_a_stage_runs_again_though_its_output_has_the_write_protection_of_the_cache(tmp_path):
    project, _ = linked(tmp_path, "hardlink")
    project.replace("params.yaml", "seed: 1", "seed: 2")
    assert project.planned() == {"read", "write"}


def test_a_folder_in_which_something_is_mounted_is_not_removed(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    (folder / "a place").mkdir(parents=True)
    (folder / "a place/file").touch()
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mountinfo")
    line = "36 35 98:0 / {} rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
    (tmp_path / "mountinfo").write_text(line.format("/") + line.format(f"{folder}/a\\040place"))
    with pytest.raises(RuntimeError, match=r"was not removed.*umount .*/a place first"):
        remove(folder)
    assert (folder / "a place/file").exists()
    (tmp_path / "mountinfo").write_text(line.format("/") + line.format(f"{folder}-of-others"))
    remove(folder)
    assert not folder.exists()
