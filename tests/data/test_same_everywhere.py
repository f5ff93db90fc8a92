"""The drawn data are the same whatever the CPU can do, however many threads there are: equal manifests over stored integers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.hu_images import to_steps
from ipv2_bench.data.thorax import Patient, draw_section
from tests.dicom_files import write_series
from tests.program import LONGEST, ROOT

MANIFESTS = """
import sys
from pathlib import Path
import torch
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.physics.intensity import Window
torch.set_num_threads(int(sys.argv[3]))
for source in (Phantom(patients=2, levels=1, seed=5), VirtualScan(sys.argv[1])):
    print(source.slices(Path(sys.argv[2]), Window(), 64).manifest)
"""

MACHINES = {
    "torch without vectors": {"ATEN_CPU_CAPABILITY": "default"},
    "torch with AVX2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "NumPy without vectors": {"NPY_DISABLE_CPU_FEATURES": "{found}"},
    "an old C library and BLAS": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F", "OPENBLAS_CORETYPE": "Nehalem"},
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of two slices, 256 × 256 in whole HU, so that 4×4 pixels are averaged."""
    root = tmp_path_factory.mktemp("ct")
    patient = Patient.draw(np.random.default_rng(1))
    write_series(root / "a", np.stack([draw_section(patient, level, 256, 1.5625).hu for level in (0.4, 0.6)]), 1.5625)
    return root


def manifests(scans: Path, cache: Path, threads: int, **environment: str) -> list[str]:
    """Of the phantom and of the virtual scan, made in a process of its own."""
    words = [sys.executable, "-c", MANIFESTS, str(scans), str(cache), str(threads)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), **environment}
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.fixture(scope="module")
def here(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The manifests with all that this CPU can do, on two threads."""
    return manifests(scans, tmp_path_factory.mktemp("here"), threads=2)


@pytest.mark.parametrize("machine", MACHINES)
def test_another_cpu_makes_the_same_data(machine: str, scans: Path, here: list[str], tmp_path: Path) -> None:
    found = " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
    environment = {name: value.format(found=found) for name, value in MACHINES[machine].items()}
    assert len(here) == 2
    assert manifests(scans, tmp_path, threads=1, **environment) == here


def test_a_rounding_error_flips_no_half() -> None:
    halves = np.array([-1000.0625, -0.0625, 0.1875, 40.0625])
    for error in (-1e-10, 0.0, 1e-10):
        assert to_steps(halves + error).tolist() == [-8000, 0, 2, 321]
