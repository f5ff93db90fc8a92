"""The rivals of purification: what they train on, and their defaults.

What a registration finds hangs on where its optimiser stops; tests/purification/test_rivals.py holds it to the known motion.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ipv2_bench.data.pair import Pair
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification import correction_network, registration
from ipv2_bench.purification.strategies import neighbor2neighbor, patch_similarity, registered
from ipv2_bench.purification.strategies.correction import Correction
from tests.golden.golden import Part, counts, field_defaults, numbers_of_defaults, summary
from tests.golden.inputs import PIXEL_MM, batch, slices


def _motion() -> np.ndarray:
    """A smooth motion on a grid of half the size, [2, 32, 32]."""
    at = np.linspace(0, np.pi, 32)
    return np.stack([2.0 * np.sin(at)[:, None] * np.cos(at), 1.5 * np.sin(2 * at)[:, None] * np.sin(at)]).astype(np.float32)


def _registered() -> dict[str, Any]:
    return {
        **numbers_of_defaults(field_defaults(registered.Registered)),
        "at full size": summary(registration.at_full_size(_motion(), 64)),
        "warped": summary(registration.warped(slices()[1][0], _motion())),
        "folded": registration.folded_share(40 * _motion()),
    }


def _patch_similarity() -> dict[str, Any]:
    low, normal = (x[1] for x in slices())
    kept = {f"kept, {t}": counts(patch_similarity.agreeing(low, normal, 16, t)) for t in (0.85, 0.95, 1.0)}
    return {**numbers_of_defaults(field_defaults(patch_similarity.PatchSimilarity)), **kept}


def _neighbor2neighbor() -> dict[str, Any]:
    low, normal = batch(64)
    pair = Pair(low, normal, torch.zeros_like(low), torch.full((2,), PIXEL_MM), torch.arange(2))
    generators = [torch_generator("golden", "n2n", i) for i in range(2)]
    drawn = neighbor2neighbor.Neighbor2Neighbor().training_pair(pair, None, generators)
    return {"input": summary(drawn.input), "target": summary(drawn.target)}


def _correction() -> dict[str, Any]:
    low, normal = batch(64, torch.float32)
    torch.manual_seed(3)
    network = Correction().correction()
    torch.nn.init.normal_(network.last.weight, std=10.0)  # so that the roughness has its share of the loss
    field = torch.from_numpy(registration.at_full_size(_motion(), 64)).expand(2, -1, -1, -1)
    with torch.no_grad():
        return {
            **numbers_of_defaults(field_defaults(Correction)),
            "loss": float(network(low, normal)),
            "displacement": summary(network.displacement(low, normal)),
            "bent": summary(correction_network.bent(low, field)),
        }


def _warped(monkeypatch: pytest.MonkeyPatch) -> None:
    original = registration.at_full_size
    monkeypatch.setattr(registration, "at_full_size", lambda motion, size: 1.001 * original(motion, size))


def _mask_of_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    original = patch_similarity.agreeing
    monkeypatch.setattr(patch_similarity, "agreeing", lambda low, normal, side, t: original(low, normal, side, t - 0.05))


def _order_of_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbor2neighbor, "NEIGHBOURS", neighbor2neighbor.NEIGHBOURS[::-1])


def _roughness(monkeypatch: pytest.MonkeyPatch) -> None:
    original = correction_network.roughness
    monkeypatch.setattr(correction_network, "roughness", lambda field: 1.001 * original(field))


def _bending(monkeypatch: pytest.MonkeyPatch) -> None:
    original = correction_network.bent
    monkeypatch.setattr(correction_network, "bent", lambda image, field: 1.001 * original(image, field))


def _version(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}.version"


MASKS = ("ipv2_bench.purification.VERSION",)
PARTS = [
    Part("strategy_registered", _version(registered.Registered), _registered, {"motion": _warped}),
    Part(
        "strategy_patch_similarity",
        _version(patch_similarity.PatchSimilarity),
        _patch_similarity,
        {"threshold": _mask_of_patches},
        MASKS,
    ),
    Part(
        "strategy_neighbor2neighbor",
        _version(neighbor2neighbor.Neighbor2Neighbor),
        _neighbor2neighbor,
        {"order": _order_of_neighbours},
        rtol=1e-9,
    ),
    Part("strategy_correction", _version(Correction), _correction, {"roughness": _roughness, "bending": _bending}),
]
