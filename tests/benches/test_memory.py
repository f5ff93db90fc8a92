"""Peak memory of a call."""

from __future__ import annotations

import pytest
import torch

from tests.benches.memory import peak_mb


def twice(megabytes: int) -> object:
    """A function that needs as much memory again as is held before."""
    before = torch.ones(megabytes * 2**18)
    return lambda: (before + 1).sum()


def test_peak_memory_is_that_of_the_call_alone() -> None:
    peak = peak_mb(twice, 200)
    assert peak is None or peak == pytest.approx(200, abs=20)
