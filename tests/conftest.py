"""What several test modules share: small stores, small runs, and the folder of real samples."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real sample records that KMERL_SAMPLES names."""
    folder = os.environ.get("KMERL_SAMPLES")
    if not folder:
        pytest.skip("KMERL_SAMPLES names no folder of real sample records")
    return Path(folder)
