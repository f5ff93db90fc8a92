"""Settings of the tests that read and fill folders."""

from __future__ import annotations

from pathlib import Path

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


VIRTUAL = ("--config", str(EXPERIMENTS / "virtual_scan.yaml"), "--quiet")


PAPER = ("--config", str(EXPERIMENTS / "paper.yaml"), "--quiet")


SETTINGS = ("data.size=64", "noise.views=32", "noise.calibrate=false", "data.fractions=[0.34,0.0,0.66]")


SIZE = 64
