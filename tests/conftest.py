"""Slices that several tests read; none of them may write to the arrays."""

from __future__ import annotations

import pytest

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.physics.intensity import Window


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    """Two patients at three levels, 128 × 128."""
    return Phantom(patients=2, levels=3, seed=5).slices(tmp_path_factory.mktemp("phantom"), Window(), 128)
