"""Pairs on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipv2_bench.cli import main


@pytest.fixture(scope="session")
def ct_pairs(ct_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What simulate writes of two series of three slices, PNG of 16 bit."""
    out = tmp_path_factory.mktemp("pairs") / "out"
    assert main(["simulate", str(ct_tree), str(out), "--quiet", "data.views=48", "data.photons=17000"]) == 0
    return out
