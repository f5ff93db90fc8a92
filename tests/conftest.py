"""What several tests read, computed once; none of them may change it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads that wait for each other on a busy machine take far longer than one

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.sources.phantom import Phantom
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.physics.intensity import Window
from tests.dicom_files import MARKER, write_series
from tests.program import run_here

if TYPE_CHECKING:
    from ipv2_bench.benchmark.cells.benchmark import Benchmark
    from ipv2_bench.benchmark.config import Config


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> SliceSet:
    """Two patients at three levels, 128 × 128."""
    return Phantom(patients=2, levels=3, seed=5).slices(tmp_path_factory.mktemp("phantom"), Window(), 128)


@dataclass(frozen=True)
class Smoke:
    """A complete run of ``ipv2-bench reproduce --config smoke``: its folder, and what it printed."""

    folder: Path
    done: subprocess.CompletedProcess

    @property
    def out(self) -> Path:
        """Folder of its leaderboard."""
        return self.folder / "leaderboards" / "smoke"

    def settings(self, out: Path) -> list[str]:
        """Settings that use its cells and write elsewhere."""
        return [f"run.work={self.folder / 'runs'}", f"run.out={out}", "wandb.mode=disabled"]

    def config(self, out: Path) -> Config:
        """Its configuration, written elsewhere."""
        from ipv2_bench.benchmark.config import load_config

        return load_config("smoke", self.settings(out))

    def benchmark(self, out: Path) -> Benchmark:
        """Its benchmark, every cell complete, written elsewhere."""
        from ipv2_bench.benchmark.cells.benchmark import Benchmark
        from ipv2_bench.benchmark.tables import load_tables

        config = self.config(out)
        return Benchmark.open(config, load_tables(config), progress=False)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """The three tables at smoke size, computed by the process of the tests that asks first."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, said = root / "smoke", root / "smoke.json"
    with (root / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            folder.mkdir(exist_ok=True)
            done = run_here(folder, "reproduce", "--config", "smoke")
            said.write_text(json.dumps([done.stdout, done.stderr]))
    out, err = json.loads(said.read_text())
    return Smoke(folder, subprocess.CompletedProcess([], 0, out, err))


@pytest.fixture(scope="session")
def ct_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two series of three slices, 64 × 64."""
    root = tmp_path_factory.mktemp("ct") / "scans"
    for p in range(2):
        patient = Patient.draw(np.random.default_rng(p))
        hu = np.stack([draw_section(patient, level, 64, 6.25).hu for level in (0.4, 0.5, 0.6)])
        write_series(root / str(p), hu, 6.25, PatientID=f"{MARKER}{p}")
    return root


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in a worker of the benchmark; on a busy machine, two threads that wait for each other take far longer than one."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on a real Slurm come first: they wait most of their time, while those of other files run."""
    items.sort(key=lambda item: item.get_closest_marker("slurm") is None)
