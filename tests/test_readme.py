"""What the README shows works."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench import __version__, registry
from ipv2_bench.cli import parser
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.denoisers.base import Denoiser
from ipv2_bench.denoisers.checkpoint import save_denoiser
from ipv2_bench.denoisers.fm import FlowMatching
from ipv2_bench.purification import STRATEGIES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [text for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M) if kind == language]


def test_the_strategy_example_runs(phantom: SliceSet) -> None:
    names = {"low": np.array(phantom.low[0]), "normal": np.array(phantom.normal[0])}
    exec(next(b for b in blocks("python") if "common_mask" in b), names)
    assert names["weight"].dtype == np.uint8 and set(np.unique(names["weight"])) == {0, 255}
    assert names["strategy"].name == "IPv2 [both_outside]"


def test_the_denoiser_example_is_a_denoiser() -> None:
    names: dict = {}
    exec(next(b for b in blocks("python") if "class MyDenoiser" in b), names)
    denoiser = names["MyDenoiser"](width=8, seed=0)
    pair = TrainingPair(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    assert torch.isfinite(denoiser.loss(pair, torch.Generator()))
    assert denoiser.restore(pair.input).shape == pair.input.shape


def test_the_checkpoint_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs" / "phantom" / "cells" / "CELL"
    folder.mkdir(parents=True)
    options = {"widths": [8, 16], "steps": 2}
    save_denoiser(FlowMatching(**options), folder / "model.safetensors", "fm", options, window_hu="-1000 400")
    monkeypatch.chdir(tmp_path)
    names: dict = {"low": torch.rand(2, 1, 20, 23)}
    exec(next(b for b in blocks("python") if "load_denoiser" in b), names)
    assert names["restored"].shape == (2, 1, 20, 23) and names["notes"]["window_hu"] == "-1000 400"


def test_every_option_in_the_table_exists() -> None:
    table = README[README.index("| option | of |") : README.index("Cold Diffusion has the U-Net")]
    titles = {"FM": "fm", "FFM": "ffm", "Cold Diffusion": "cold_diffusion", "CoreDiff": "corediff"}
    for option, of in re.findall(r"^\| (\w+) \| ([^|]+) \|", table, re.M)[1:]:
        for title in titles if of == "all" else of.split(", "):
            cls = registry.find("ipv2_bench.denoisers", titles[title], Denoiser)
            assert option in registry.options(cls, Denoiser), (option, title)


def test_every_command_is_understood() -> None:
    lines = [x.split("#")[0].strip() for block in blocks("") for x in block.splitlines()]
    commands = [x for x in lines if x.startswith("ipv2-bench")]
    assert len(commands) >= 5
    for command in commands:
        given = parser().parse_args(shlex.split(command)[1:])
        assert given.command == "new-denoiser" or (ROOT / given.config).is_file()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {x.split()[1] for x in lines if x.startswith("make ")} <= set(targets)


def test_every_strategy_stands_in_the_table() -> None:
    assert re.findall(r"^\| `([^`]+)` \|", README, re.M)[-len(STRATEGIES) :] == list(STRATEGIES)


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_map_names_every_folder() -> None:
    shown = set(re.findall(r"^([\w/]+)/ {2,}", README[README.index("## Map of folders") :], re.M))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    top = {name.split("/")[0] for name in tracked if "/" in name and not name.startswith(".")}
    inside = {f"ipv2_bench/{p.parent.name}" for p in (ROOT / "ipv2_bench").glob("*/__init__.py")}
    assert shown == inside | top - {"ipv2_bench"}


def test_the_software_is_cited_by_its_version() -> None:
    for text in (README, (ROOT / "docs" / "pages" / "cite.md").read_text("utf-8")):
        assert f"version = {{{__version__}}}" in text and "2602.19314" in text
