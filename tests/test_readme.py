"""What the README shows works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from ipv2_bench.cli import parser
from ipv2_bench.data.pair import TrainingPair
from ipv2_bench.data.slices import SliceSet
from ipv2_bench.purification import STRATEGIES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [text for kind, text in re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M) if kind == language]


def test_the_strategy_example_runs(phantom: SliceSet) -> None:
    names = {"low": np.array(phantom.low[0]), "normal": np.array(phantom.normal[0])}
    exec(blocks("python")[0], names)
    assert names["weight"].dtype == np.uint8 and set(np.unique(names["weight"])) == {0, 255}
    assert names["strategy"].name == "IPv2 [both_outside]"


def test_the_denoiser_example_is_a_denoiser() -> None:
    names: dict = {}
    exec(blocks("python")[1], names)
    denoiser = names["MyDenoiser"](width=8, seed=0)
    pair = TrainingPair(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    assert torch.isfinite(denoiser.loss(pair, torch.Generator()))
    assert denoiser.restore(pair.input).shape == pair.input.shape


def test_every_command_is_understood() -> None:
    lines = [x.split("#")[0].strip() for block in blocks("") for x in block.splitlines()]
    commands = [x for x in lines if x.startswith("ipv2-bench")]
    assert len(commands) >= 5
    for command in commands:
        given = parser().parse_args(shlex.split(command)[1:])
        assert (ROOT / given.config).is_file()
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {x.split()[1] for x in lines if x.startswith("make ")} <= set(targets)


def test_every_strategy_stands_in_the_table() -> None:
    assert re.findall(r"^\| `([^`]+)` \|", README, re.M)[-len(STRATEGIES) :] == list(STRATEGIES)


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
