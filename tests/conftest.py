"""What several test modules share: small stores, small runs, and the folder of real samples."""

import os
from pathlib import Path

import pytest
from engines.project import ALL, Project, real, toy
from hypothesis import settings

os.environ["COLUMNS"] = "120"  # as where there is no terminal; several processes of pytest have a narrow one

# the same examples everywhere, and no example fails because a machine is busy
settings.register_profile("kmerl", deadline=None, derandomize=True)
settings.load_profile("kmerl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several processes one takes all tests of a file, and of the files that need the finished tiny pipeline."""
    for item in items:
        file = item.path.stem
        item.add_marker(pytest.mark.xdist_group("pipeline" if file in ("test_engines", "test_faults") else file))


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real sample records that KMERL_SAMPLES names."""
    folder = os.environ.get("KMERL_SAMPLES")
    if not folder:
        pytest.skip("KMERL_SAMPLES names no folder of real sample records")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The real pipeline after `snakemake` on the tiny profile; nobody changes it."""
    project = real(tmp_path_factory.mktemp("real") / "project", "tiny")
    project.snakemake()
    return project


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
