"""Series and pairs on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.cli import main
from ipv2_bench.data.thorax import Patient, draw_section
from tests.benchmark.disk_data import SIZE, VIRTUAL
from tests.dicom_files import MARKER, write_series


@pytest.fixture(scope="module")
def ct_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of three slices, 64×64."""
    root = tmp_path_factory.mktemp("ct") / "scans"
    for p in range(2):
        patient = Patient.draw(np.random.default_rng(p))
        hu = np.stack([draw_section(patient, level, SIZE, 6.25).hu for level in (0.4, 0.5, 0.6)])
        write_series(root / str(p), hu, 6.25, PatientID=f"{MARKER}{p}")
    return root


@pytest.fixture(scope="module")
def ct_pairs(ct_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What simulate writes, 16 bit."""
    out = tmp_path_factory.mktemp("pairs") / "out"
    assert main(["simulate", str(ct_tree), str(out), *VIRTUAL, "data.views=48"]) == 0
    return out
