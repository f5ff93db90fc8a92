"""What trainings in the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the slices, which are the same for all tests."""
    return tmp_path_factory.mktemp("work")
