"""Where a command is started, and what lies there, changes nothing: same tables, same pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import EXPERIMENTS, LONGEST, ROOT, SMALL, without_times

WANDERING = """
import os
from ipv2_bench.denoisers.iterative.fm import FlowMatching

def wander():
    if os.environ.get("WANDER"):
        os.chdir("/")

wander()

class Mine(FlowMatching):
    title = "Mine"

    def __init__(self, **options):
        super().__init__(**options)
        wander()

    def loss(self, pair, generator):
        wander()
        return super().loss(pair, generator)

    def denoise(self, low, generator=None):
        wander()
        return super().denoise(low, generator)
"""

RAISES = "raise ImportError('this is not the module that you are looking for')\n"
LYING_THERE = {
    **{f"{name}.py": RAISES for name in ("torch", "numpy", "yaml", "lightning", "tqdm", "wandb", "pandas", "copy", "PIL")},
    "matplotlib/__init__.py": RAISES,
    "ipv2_bench/__init__.py": RAISES,
    "sitecustomize.py": RAISES,
    "matplotlibrc": "savefig.dpi: 13\naxes.facecolor: red\nfont.size: 31\nimage.cmap: jet\nfigure.facecolor: green\n",
    "quick": "", "smoke/smoke.yaml": "name: another\n", "phantom.yaml": "[", ".env": "PYTHONPATH=/nowhere\n",
    "pyproject.toml": "[", "setup.cfg": "[", "conftest.py": RAISES, "wandb/settings": "[", ".netrc": "machine\n",
}  # fmt: skip
"""Files of a working folder that some library would take for its own."""


def put(folder: Path) -> Path:
    """A folder with a benchmark of one cell, whose denoiser lies beside it."""
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text((EXPERIMENTS / "smoke.yaml").read_text() + "tables: [table1.yaml]\n")
    (folder / "table1.yaml").write_text("title: one\nrows:\n  - {denoiser: 'mine:Mine', strategy: IPv2}\n")
    (folder / "mine.py").write_text(WANDERING)
    return folder


def reproduce(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """Run the benchmark as the installed command does, which searches the working folder last."""
    own = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "IPV2_BENCH_CT": "", **environment}
    code = "import sys; from ipv2_bench.cli import main; sys.exit(main())"
    mine = "denoisers={'mine:Mine': {widths: [8, 16], steps: 2}, " + SMALL[0].replace("denoisers.", "").replace("=", ": ") + "}"
    command = [sys.executable, "-P", "-c", code, "reproduce", "--quiet", "--config", "one.yaml", mine, *words]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def same(got: Path, expected: Path) -> None:
    """Both leaderboards hold the same numbers and pictures."""
    rows = [without_times(folder / "table1.csv") for folder in (got, expected)]
    assert len(rows[0]) == 1 and rows[0] == rows[1]
    assert (got / "table1.png").read_bytes() == (expected / "table1.png").read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = put(tmp_path_factory.mktemp("quiet") / "place")
    reproduce(folder)
    return folder / "leaderboards" / "smoke"


def test_what_lies_in_the_working_folder(expected: Path, tmp_path: Path) -> None:
    folder = put(tmp_path / "place")
    for name, text in LYING_THERE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    reproduce(folder)
    same(folder / "leaderboards" / "smoke", expected)


def test_code_that_changes_the_working_folder(expected: Path, tmp_path: Path) -> None:
    folder = put(tmp_path / "place")
    (folder / "here").mkdir()
    reproduce(folder, "run.work=here/../work", WANDER="1")
    same(folder / "leaderboards" / "smoke", expected)
    assert any((folder / "work").rglob("*.safetensors"))


def test_no_home_and_a_folder_that_nothing_can_be_written_to(expected: Path, tmp_path: Path) -> None:
    folder = put(tmp_path / "a place, of # [many]=signs ünd")
    environment = {"HOME": "/proc/nobody", "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": "", "MPLCONFIGDIR": "", "MPLBACKEND": "none"}
    reproduce(folder, f"run.out={folder}/out/", f"run.work={folder}//work", **environment)
    same(folder / "out" / "smoke", expected)


def test_a_tilde_is_the_home(expected: Path, tmp_path: Path) -> None:
    place, home = put(tmp_path / "place"), tmp_path / "home"
    shutil.copytree(expected.parents[1] / "runs", home / "runs")
    (place / "one.yaml").write_text((place / "one.yaml").read_text() + "run: {work: ~/runs}\n")
    reproduce(place, "run.out=~/out", HOME=str(home))
    same(home / "out" / "smoke", expected)
    assert not (place / "runs").exists() and not any(place.glob("~*"))


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os, sys; os.rmdir({str(gone)!r}); from ipv2_bench.cli import main; sys.exit(main(['list', 'denoisers']))"
    command = [sys.executable, "-P", "-c", code]
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=gone, env=own, capture_output=True, text=True, timeout=LONGEST, check=False)
    expected = "ipv2-bench: the working folder does not exist any more: change to one that does\n"
    assert (done.returncode, done.stderr) == (2, expected)
