"""The program in processes of its own, as a user runs it, and the tables that it writes."""

from __future__ import annotations

import csv
import io
import os
import resource
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from ipv2_bench.cli import main

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "experiments"
SMALL = (
    "denoisers.fm={widths: [8,16], steps: 2}",
    "denoisers.ffm={widths: [8,16], steps: 2}",
    "denoisers.cold_diffusion={widths: [8,16], steps: 2}",
    "denoisers.corediff={width: 8, modulator: 4, steps: 2}",
)
"""Denoisers that train in a moment."""

MEASURED_TIMES = ("seconds_per_slice", "seconds_per_slice_std", "inference_memory_mb", "inference_memory_mb_std")
"""Columns that differ from run to run."""

LONGEST = 1200
"""Seconds after which a process is taken to hang; it bounds nothing else, so that a busy machine does no harm."""


def board(folder: Path, steps: int, names: tuple[str, ...]) -> Path:
    """A folder with a benchmark, ``board.yaml``, of two cells for each denoiser."""
    folder.mkdir(parents=True)
    lines = [f"  - {{denoiser: {name}, strategy: {strategy}}}" for name in names for strategy in ("IPv1", "IPv2")]
    (folder / "table1.yaml").write_text("title: a board of two cells each\nrows:\n" + "\n".join(lines) + "\n")
    text = (EXPERIMENTS / "smoke.yaml").read_text().replace("steps: 4,", f"steps: {steps},")
    (folder / "board.yaml").write_text(text + "tables: [table1.yaml]\n")
    return folder


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen:
    """Start ``ipv2-bench`` in a folder, W&B offline, from this checkout unless ``PYTHONPATH`` is another."""
    own = {"IPV2_BENCH_CT": "", "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "ipv2_bench.cli", *words],
        cwd=folder,
        env={**os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
    """Run ``ipv2-bench`` to its end and check its exit code."""
    process = start(folder, *words, **environment)
    try:
        out, err = process.communicate(timeout=LONGEST)
    finally:
        process.kill()
    assert process.returncode == code, f"exit code {process.returncode}\n{out[-2000:]}\n{err[-4000:]}"
    return subprocess.CompletedProcess(words, code, out, err)


def run_here(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess:
    """What :func:`run` does, in this process, which has imported already what takes longest; its output is what was printed."""
    out, err = io.StringIO(), io.StringIO()
    own = {"IPV2_BENCH_CT": "", "WANDB_MODE": "offline"}
    with chdir(folder), mock.patch.dict(os.environ, own), redirect_stdout(out), redirect_stderr(err):
        try:
            given = main(list(words))
        except SystemExit as end:
            given = end.code
    assert given == code, f"exit code {given}\n{out.getvalue()[-2000:]}\n{err.getvalue()[-4000:]}"
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Light:
    """A command in a process of its own: exit code, output, seconds of processor time, and modules that it imported."""

    code: int
    out: str
    err: str
    seconds: float
    modules: frozenset[str]


REPORT_MODULES = """
import sys
from ipv2_bench.cli import main
try:
    code = main(sys.argv[2:])
except SystemExit as end:
    code = end.code
open(sys.argv[1], "w").write("\\n".join(sys.modules))
sys.exit(code)
"""


def run_light(folder: Path, *words: str) -> Light:
    """Run a command once and say what it took."""
    listed = folder / ".modules"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", REPORT_MODULES, str(listed), *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "IPV2_BENCH_CT": ""},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    modules = frozenset(listed.read_text().split()) if listed.exists() else frozenset()
    listed.unlink(missing_ok=True)
    return Light(done.returncode, done.stdout, done.stderr, seconds, modules)


def without_times(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, without what differs from run to run."""
    return [{k: v for k, v in row.items() if k not in MEASURED_TIMES} for row in table(path)]


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
