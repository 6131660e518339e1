"""What several test modules share: small stores, small runs, and the folder of real samples."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from engines.project import ALL, Project, real, toy
from hypothesis import settings

os.environ["COLUMNS"] = "120"  # as where there is no terminal; several processes of pytest have a narrow one

# the same examples everywhere, and no example fails because a machine is busy
settings.register_profile("kmerl", deadline=None, derandomize=True)
settings.load_profile("kmerl")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real sample records that KMERL_SAMPLES names."""
    folder = os.environ.get("KMERL_SAMPLES")
    if not folder:
        pytest.skip("KMERL_SAMPLES names no folder of real sample records")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The real pipeline after `snakemake` on the tiny profile, made once for all of several processes of pytest.

    Nobody changes it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "tiny"
    with (shared / "tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_name("tiny.made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            real(folder, "tiny").snakemake()
            folder.with_name("tiny.made").touch()
    return Project(folder)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The toy pipeline as a fresh clone."""
    return toy(tmp_path_factory.mktemp("fresh") / "toy")


@pytest.fixture(scope="session")
def made(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The toy pipeline after `snakemake --cores 2`, committed."""
    project = fresh.copy(tmp_path_factory.mktemp("made") / "toy")
    project.snakemake()
    assert project.computed() == ALL
    project.commit()
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A copy of the finished toy pipeline to play with."""
    return made.copy(tmp_path / "toy")
