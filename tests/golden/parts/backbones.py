"""Features of the backbones, and the distance that they measure."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ipv2_bench import registry
from ipv2_bench.backbones import base, efficientnet_lite0
from ipv2_bench.denoisers.shared.perceptual import perceptual_distance
from tests.golden.golden import Part, summary
from tests.golden.inputs import batch


def _features() -> dict[str, Any]:
    low, normal = batch(96, torch.float32)
    numbers: dict[str, Any] = {}
    for name in registry.names(base.PACKAGE):
        with torch.no_grad():
            maps = base.backbone(name)(low)
            numbers |= {f"{name}, map {i}": summary(x.mean(dim=1)) for i, x in enumerate(maps)}
            numbers[f"{name}, distance"] = float(perceptual_distance(low, normal, name))
    return numbers


def _grey_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "DEVIATION", 1.001 * efficientnet_lite0.DEVIATION)


PARTS = [Part("backbones", "ipv2_bench.backbones.VERSION", _features, {"grey levels": _grey_levels})]
