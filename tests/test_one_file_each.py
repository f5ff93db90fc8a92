"""A command, a measure, a table, a data source and a denoiser are one file each, added from outside or inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import EXPERIMENTS, LONGEST, ROOT, run, table

DENOISER = '''"""A learned blend of a slice with its mean."""

import torch
import torch.nn.functional as F

from ipv2_bench.denoisers.base import Denoiser


class Blend(Denoiser):
    """A learned blend of a slice with its mean."""

    version = 1
    title = "Blend"

    def __init__(self, start: float = 0.5, **options):
        super().__init__(**options)
        self.share = torch.nn.Parameter(torch.tensor(start))

    def loss(self, pair, generator):
        return F.mse_loss(self.denoise(pair.input), pair.target)

    def denoise(self, low, generator=None):
        return self.share * low + (1 - self.share) * low.mean((2, 3), keepdim=True)
'''

SOURCE = '''"""Sections of a few drawn patients, with white noise."""

import numpy as np

from ipv2_bench.data.slices import SourceSlices
from ipv2_bench.data.source import Source
from ipv2_bench.data.thorax import Patient, draw_section


class White(Source):
    """Sections of a few drawn patients, with white noise."""

    version = 1

    def __init__(self, people: int = 4, noise_hu: float = 60.0):
        self.people, self.noise_hu = people, noise_hu

    def identity(self):
        return {"people": self.people, "noise_hu": self.noise_hu}

    def make(self, window, size, progress):
        rng = np.random.default_rng(0)
        patients = [(p, Patient.draw(np.random.default_rng(p))) for p in range(self.people)]
        names, truth = zip(*(
            (f"p{p}", draw_section(patient, level, size, 400 / size).hu) for p, patient in patients for level in (0.4, 0.5, 0.6)
        ))
        noise = {"low": self.noise_hu, "normal": self.noise_hu / 7}
        arrays = {k: np.array(truth) + s * rng.standard_normal(np.shape(truth)) for k, s in noise.items()}
        arrays["truth"] = np.array(truth)
        keys = [f"{name}-{i}" for i, name in enumerate(names)]
        return SourceSlices(arrays, names, np.full(len(names), 400 / size), [""] * len(names), keys)
'''

MEASURE = '''"""The brightest error."""

import numpy as np

from ipv2_bench.metrics.base import Column, TruthMeasure


class Brightest(TruthMeasure):
    """The brightest error."""

    version = 1
    order = 35
    columns = (Column("brightest_hu", "brightest error HU", "HU", "fidelity", "lower", ("truth",), explanation="Its HU."),)

    def of_slice(self, hu, truth):
        return {"brightest_hu": float((hu - truth.hu).max())}
'''

TABLE = """title: one more
rows:
  - {{denoiser: '{0}', strategy: IPv1}}
  - {{denoiser: '{0}', strategy: IPv2}}
"""

COMMAND = '''"""``ipv2-bench greet``: a greeting."""

HELP = "say hello"
EXAMPLES = "ipv2-bench greet you"


def arguments(parser):
    """Its arguments."""
    parser.add_argument("name")


def run(given):
    """Greet."""
    print(f"hello, {given.name}")
    return 0
'''

SETTINGS = ("data.size=64", "noise.views=32", "noise.calibrate=false", "data.fractions=[0.5,0.0,0.5]", "train.steps=3")


def results(folder: Path) -> list[dict[str, str]]:
    """The lines of the table, after checks that hold for both ways."""
    out = folder / "leaderboards" / "phantom"
    lines = table(out / "table9.csv")
    assert [(x["denoiser"], x["strategy"], x["n_images"]) for x in lines] == [("Blend", s, "6") for s in ("IPv1", "IPv2")]
    assert all(float(x["brightest_hu"]) > 0 and float(x["rmse_hu"]) > 0 for x in lines)
    for name in ("table9.md", "table9.html"):
        assert "brightest error HU" in (out / name).read_text()
    rows = [json.loads(path.read_text()) for path in (out / "rows").glob("*.json")]
    assert len(rows) == 2 and all(row["measures"]["brightest_hu"] > 0 for row in rows)
    return lines


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with one file for each, beside which nothing of the program is changed."""
    for name, text in (
        ("blend.py", DENOISER),
        ("white.py", SOURCE),
        ("brightest.py", MEASURE),
        ("table9.yaml", TABLE.format("blend:Blend")),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_files_of_ones_own_are_used_from_outside(outside: Path) -> None:
    settings = (*SETTINGS, "data.source=white:White", "metrics.extra=[brightest:Brightest]", "tables=[table9.yaml]")
    quick = ("reproduce", "--config", "mine.yaml", "wandb.mode=disabled", *settings)
    (outside / "mine.yaml").write_text("denoisers: {fm: {widths: [8, 16], steps: 2}}\n")
    done = run(outside, *quick)
    results(outside)
    assert "brightest error HU" in done.stdout or "more columns are in the files" in done.stdout
    rows = [str(p) for p in (outside / "leaderboards" / "phantom" / "rows").glob("*.json")]
    ranked = run(outside, "rank", *rows, "--by", "brightest_hu", "--extra", "brightest:Brightest").stdout
    assert ranked.count("| Blend (blend:Blend) + ") == 2
    # An option of each is a setting, and a wrong one is refused by name.
    for setting, named in (
        ("denoisers.blend:Blend.begin=1.0", "has no option 'begin'"),
        ("data.persons=3", "data source white:White has no option 'persons': use one of noise_hu, people"),
    ):
        assert named in run(outside, *quick, setting, code=2).stderr
    again = run(outside, *quick)
    assert "2 cells, 2 of them complete" in again.stdout


def test_a_command_is_a_file_in_a_folder_of_commands(tmp_path: Path) -> None:
    (tmp_path / "greet.py").write_text(COMMAND)
    code = (
        "import sys; from ipv2_bench.commands import look; look.__path__.append(sys.argv[1]); "
        "from ipv2_bench.cli import main; sys.exit(main(sys.argv[2:]))"
    )

    def program(*words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", code, str(tmp_path), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST, check=False)

    assert program("greet", "you").stdout == "hello, you\n"
    assert "  greet " in program("--help").stdout and "say hello" in program("--help").stdout
    assert "did you mean greet?" in program("great").stderr
    assert program("greet").returncode == 2


def test_files_in_the_package_are_found_by_name(tmp_path: Path) -> None:
    """In a copy of the tree, one file more in the folder of each."""
    for part in ("ipv2_bench", "experiments", "leaderboards/published"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    here = {"PYTHONPATH": os.pathsep.join([str(tmp_path)])}
    (tmp_path / "experiments" / "table9.yaml").write_text(TABLE.format("blend"))
    empty = tmp_path / "empty"
    empty.mkdir()
    words = ("reproduce", "--config", "quick", "wandb.mode=disabled", "tables=[table9.yaml]")
    assert "denoiser 'blend' is unknown: " in run(empty, *words, code=2, **here).stderr
    package = tmp_path / "ipv2_bench"
    (package / "denoisers" / "blend.py").write_text(DENOISER)
    (package / "data" / "sources" / "white.py").write_text(SOURCE)
    (package / "metrics" / "measures" / "brightest.py").write_text(MEASURE)
    (package / "commands" / "data" / "greet.py").write_text(COMMAND)
    (tmp_path / "experiments" / "mine.yaml").write_text(
        (EXPERIMENTS / "quick.yaml").read_text().replace("title: ", "title: mine, ")
    )
    assert run(empty, "greet", "you", **here).stdout == "hello, you\n"
    assert "blend: A learned blend" in run(empty, "list", "denoisers", **here).stdout
    assert "start=0.5" in run(empty, "list", "denoisers", **here).stdout
    sources = run(empty, "list", "sources", **here).stdout
    assert "white: Sections of" in sources and "    people=4, noise_hu=60.0" in sources
    assert "\nbrightest_hu " in run(empty, "list", "measures", **here).stdout
    assert "\nmine " in "\n" + run(empty, "list", "configs", **here).stdout
    (empty / "mine.yaml").write_text("data: {source: white}\ndenoisers: {fm: {widths: [8, 16], steps: 2}}\n")
    run(empty, "reproduce", "--config", "mine.yaml", *words[3:], *SETTINGS, **here)
    results(empty)
