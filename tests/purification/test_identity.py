"""Strategies are named without heavy libraries, and what is kept on disk is named by settings and versions."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ipv2_bench import physics, purification
from ipv2_bench.physics.intensity import Window
from ipv2_bench.purification import Strategy
from ipv2_bench.purification.add_noise import AddNoise


class Names:
    """A slice set that records the names under which arrays are kept."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def derive(self, name: str, make: Any) -> np.ndarray:
        """Nothing is computed."""
        self.names.append(name)
        return np.zeros(0)


def mask_name(**options: object) -> str:
    """Name of the masks of IPv2."""
    slices: Any = Names()
    Strategy.from_name("IPv2", **options).label_masks(slices)
    return slices.names[0]


def integrals_name(window: Window) -> str:
    """Name of the line integrals."""
    slices: Any = Names()
    AddNoise(window).integrals(slices)
    return slices.names[0]


def test_strategies_are_named_without_torch_and_scipy() -> None:
    code = (
        "import sys; from ipv2_bench.purification import Strategy; from ipv2_bench.purification.add_noise import AddNoise; "
        "from ipv2_bench.physics.intensity import Window; import ipv2_bench.physics.seeding; "
        "Strategy.from_name('IPv2', background='both_outside').training_identity(); AddNoise(Window()).identity(); "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "skimage", "lightning"} & set(done.stdout.split())


def test_the_mask_functions_are_still_found_in_the_package() -> None:
    from ipv2_bench.purification.masks import common_mask, dark_mask

    assert purification.common_mask is common_mask and purification.dark_mask is dark_mask
    with pytest.raises(AttributeError, match="no attribute 'no_mask'"):
        _ = purification.no_mask


def test_masks_are_named_by_rule_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mask_name()
    assert before == mask_name() != mask_name(background="both_outside")
    monkeypatch.setattr(purification, "VERSION", purification.VERSION + 1)
    assert mask_name() != before


def test_line_integrals_are_named_by_window_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = integrals_name(Window())
    assert before == integrals_name(Window()) != integrals_name(Window(-900.0))
    monkeypatch.setattr(physics, "VERSION", physics.VERSION + 1)
    assert integrals_name(Window()) != before
