"""What several test modules share: small stores, small runs, and the folder of real samples."""

import os
from pathlib import Path

import pytest
from engines.project import Project, real
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
