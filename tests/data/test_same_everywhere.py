"""The drawn data are the same whatever the CPU can do, however many threads there are: equal manifests over stored integers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ipv2_bench.data.hu_images import to_steps
from ipv2_bench.data.thorax import Patient, draw_section
from tests.dicom_files import write_series
from tests.program import LONGEST, ROOT

MANIFESTS = """
import ctypes, hashlib, json, math, sys
from pathlib import Path
import numpy as np
import torch
from numpy._core._multiarray_umath import __cpu_features__ as features
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.data.sources.virtual_scan import VirtualScan
from ipv2_bench.physics.intensity import Window

def blas():
    for file in (Path(np.__file__).parents[1] / "numpy.libs").glob("*openblas*"):
        name = getattr(ctypes.CDLL(str(file)), "scipy_openblas_get_corename64_", None)
        if name is not None:
            name.restype = ctypes.c_char_p
            return name().decode()

torch.set_num_threads(int(sys.argv[3]))
sources = Phantom(patients=2, levels=1, seed=5), VirtualScan(sys.argv[1])
manifests = [source.slices(Path(sys.argv[2]), Window(), 64).manifest for source in sources]
functions = [[math.sin(i / 997), math.exp(-i / 997), math.log(i), math.pow(i, 1.7)] for i in range(1, 20000)]
print(json.dumps({
    "manifests": manifests,
    "torch": torch.backends.cpu.get_cpu_capability(),
    "threads": torch.get_num_threads(),
    "numpy": [name for name, enabled in features.items() if enabled],
    "blas": blas(),
    "c_library": hashlib.sha256(repr(functions).encode()).hexdigest(),
}))
"""


@dataclass(frozen=True)
class Machine:
    """What a process made, and what it could do.

    Attributes
    ----------
    manifests
        Of the phantom and of the virtual scan.
    torch
        Instruction set of torch's kernels.
    threads
        Of torch.
    numpy
        Instruction sets that NumPy uses.
    blas
        Processor whose kernels OpenBLAS takes; ``None`` where it is not found.
    c_library
        Digest of what the C library's functions return, which differs in last bits with fused multiplication and addition.
    """

    manifests: list[str]
    torch: str
    threads: int
    numpy: list[str]
    blas: str | None
    c_library: str


MACHINES: dict[str, tuple[dict[str, str], Callable[[Machine, Machine], bool]]] = {
    "torch without vectors": ({"ATEN_CPU_CAPABILITY": "default"}, lambda other, here: other.torch == "DEFAULT"),
    "torch with AVX2": ({"ATEN_CPU_CAPABILITY": "avx2"}, lambda other, here: other.torch == "AVX2"),
    "NumPy without vectors": (
        {"NPY_DISABLE_CPU_FEATURES": "{found}"},
        lambda other, here: bool(FOUND) and not set(FOUND) & set(other.numpy) and set(FOUND) <= set(here.numpy),
    ),
    "an old C library": (
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"},
        lambda other, here: other.c_library != here.c_library,
    ),
    "an old BLAS": ({"OPENBLAS_CORETYPE": "Nehalem"}, lambda other, here: other.blas == "Nehalem" != here.blas),
}
"""Switches of a process, and whether they took effect, given what the process could do and what this machine can."""

FOUND: list[str] = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
"""Instruction sets beyond its baseline that NumPy uses here."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series of two slices, 256 × 256 in whole HU, so that 4×4 pixels are averaged."""
    root = tmp_path_factory.mktemp("ct")
    patient = Patient.draw(np.random.default_rng(1))
    write_series(root / "a", np.stack([draw_section(patient, level, 256, 1.5625).hu for level in (0.4, 0.6)]), 1.5625)
    return root


def machine(scans: Path, cache: Path, threads: int, **environment: str) -> Machine:
    """A process of its own with these switches."""
    words = [sys.executable, "-c", MANIFESTS, str(scans), str(cache), str(threads)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads), **environment}
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == 0, done.stderr[-2000:]
    return Machine(**json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def here(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """With all that this CPU can do, on two threads."""
    return machine(scans, tmp_path_factory.mktemp("here"), threads=2)


@pytest.mark.parametrize("name", MACHINES)
def test_another_cpu_makes_the_same_data(name: str, scans: Path, here: Machine, tmp_path: Path) -> None:
    if "AVX2" not in here.torch and "AVX512" not in here.torch:
        pytest.skip("this CPU is as plain as the others: no switch has an effect")
    environment, took_effect = MACHINES[name]
    environment = {key: value.format(found=" ".join(FOUND)) for key, value in environment.items()}
    other = machine(scans, tmp_path, threads=1, **environment)
    assert took_effect(other, here), f"{environment} changed nothing: {other}"
    assert (here.threads, other.threads) == (2, 1)
    assert len(here.manifests) == 2 and other.manifests == here.manifests


def test_a_rounding_error_flips_no_half() -> None:
    halves = np.array([-1000.0625, -0.0625, 0.1875, 40.0625])
    for error in (-1e-10, 0.0, 1e-10):
        assert to_steps(halves + error).tolist() == [-8000, 0, 2, 321]
