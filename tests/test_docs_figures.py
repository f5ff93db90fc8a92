"""Figures in the documents are those of the files under ``leaderboards/performance``."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.documents import ROOT

PAGES = ROOT / "docs" / "pages"
PERFORMANCE = ROOT / "leaderboards" / "performance"


def page(name: str) -> str:
    """A page on one line."""
    return re.sub(r"\s+", " ", (PAGES / name).read_text(encoding="utf-8"))


def measured(name: str) -> dict[str, Any]:
    """A file of figures."""
    path = PERFORMANCE / name
    if not path.exists():
        pytest.skip(f"{name} has not been measured yet")
    return json.loads(path.read_text(encoding="utf-8"))


def test_times_on_a_gpu() -> None:
    lines = [x for x in measured("denoisers_h200.json")["results"] if x["kind"] == "bench" and x["size"] == 512]
    modes = ("float32", "tf32", "bf16", "bf16, compiled")
    titles = {"fm": "FM", "ffm": "FFM", "cold_diffusion": "Cold Diffusion", "corediff": "CoreDiff"}
    text = (PAGES / "gpu.md").read_text(encoding="utf-8")
    for name, title in titles.items():
        by_mode = {x["mode"]: x for x in lines if x["denoiser"] == name}
        expected = [500 / by_mode[m]["training_steps_per_s"] for m in modes]
        expected += [1000 * by_mode[m]["seconds_per_slice"] for m in modes]
        (row,) = re.findall(rf"^\| {title} \|(.*)\|$", text, re.M)
        cells = [cell.strip() for cell in row.split("|")]
        assert len(cells) == len(expected)
        for cell, value in zip(cells, expected, strict=True):
            assert abs(float(cell) - value) <= (0.05 if "." in cell else 0.5) + 0.01, (name, cell, value)
    of_fm, of_ffm = (next(x for x in lines if (x["denoiser"], x["mode"]) == (n, modes[3])) for n in ("fm", "ffm"))
    said = re.search(r"makes FM's training ([\d.]+) times and FFM's ([\d.]+) times as fast", page("gpu.md"))
    assert said is not None
    times = [of_fm["training_times_faster"], of_ffm["training_times_faster"]]
    assert [float(x) for x in said.groups()] == pytest.approx(times, abs=0.051)


def test_the_published_noise_is_about_twenty_times_as_fast() -> None:
    speed = {x["method"]: x["slices_per_second"] for x in measured("physics.json")["speed"] if x["size"] == 512}
    if "ours, dose_model=published" not in speed:
        pytest.skip("its row has not been measured yet")
    assert "about twenty times as fast" in page("strategies.md")
    assert 17 < speed["ours, dose_model=published"] / speed["published (scikit-image)"] < 30
