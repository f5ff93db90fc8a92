"""Masks, training pairs and labels of every strategy, module 2 and its calibration."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ipv2_bench.data.pair import Pair, TrainingPair
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import numpy_generator, torch_generator
from ipv2_bench.purification import Strategy, calibration, masks
from ipv2_bench.purification.add_noise import AddNoise
from ipv2_bench.purification.mask_rule import MaskRule
from ipv2_bench.purification.strategies.purified import LATTICE, Purified
from tests.golden.golden import Part, counts, field_defaults, numbers_of_defaults, summary
from tests.golden.inputs import PIXEL_MM, slices

VERSION = "ipv2_bench.purification.VERSION"
PHYSICS = "ipv2_bench.physics.VERSION"


class FixedSlices:
    """The fixed slices, as far as strategies look at a slice set; nothing is kept on disk."""

    def __init__(self) -> None:
        self.low, self.normal = slices()
        self.pixel_mm, self.folder = np.full(2, PIXEL_MM), Path()

    def derive(self, name: str, make: Any) -> np.ndarray:
        """An array of ``make(i)`` for every slice."""
        return np.stack([make(i) for i in range(2)])


def _masks() -> dict[str, Any]:
    low, normal = (x[1] for x in slices())
    # Every grey level is there, so that a threshold of one level more gives other masks.
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(12, axis=0)
    numbers: dict[str, Any] = {
        "dark, uLDCT": counts(masks.dark_mask(low)),
        "dark, NDCT": counts(masks.dark_mask(normal)),
        "body, uLDCT": counts(masks.body_mask(low, smooth=True)),
        "body, NDCT": counts(masks.body_mask(normal)),
        "common": counts(masks.common_mask(low, normal)),
        "common, uint8_wrap": counts(masks.common_mask(low, normal, rule=MaskRule(union="uint8_wrap"))),
        "dark, ramp": counts(masks.dark_mask(ramp)),
        "body, ramp": counts(masks.body_mask(ramp)),
        "lung region": counts(calibration.lung_region(low, normal)),
        "outside region": counts(calibration.outside_region(low, normal)),
    }
    for values in itertools.product(
        ("flood_fill", "both_outside"),
        ("or_then_fill", "fill_then_or"),
        ("four_corners", "one_corner"),
        ("logical", "uint8_wrap"),
    ):
        rule, name = MaskRule(*values), ", ".join(values)
        numbers[f"common, {name}"] = counts(masks.common_mask(low, normal, True, rule))
        numbers[f"anatomy, {name}"] = counts(masks.anatomy_mask(low, normal, rule))
    return numbers


def _strategies() -> dict[str, Any]:
    """Training input and test label of every strategy; A(n) and the weak denoiser are simple stand-ins."""
    numbers = numbers_of_defaults({**field_defaults(MaskRule), **field_defaults(Purified)})
    given: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in ("raw", *LATTICE, "simulated", "oracle")]
    given += [("IPv2", {"anatomy": "all"}), ("IPv1", {"texture_mix": 0.3}), ("IPv2", {"union": "uint8_wrap"})]
    fixed: Any = FixedSlices()
    for name, options in given:
        strategy = Strategy.from_name(name, **options)
        mask = strategy.training_masks(fixed)
        pair = _pair(mask)
        numbers[f"input, {strategy.name}"] = summary(strategy.training_pair(pair, lambda n: 0.9 * n + 0.03).input)
        if strategy.has_label:
            pair = _pair(strategy.label_masks(fixed))
            numbers[f"label, {strategy.name}"] = summary(strategy.test_label(pair, lambda u: 0.8 * u + 0.05))
    return numbers


def _pair(mask: np.ndarray | None) -> Pair:
    low, normal = (torch.from_numpy(x)[:, None].double() for x in slices())
    weight = torch.zeros_like(low) if mask is None else torch.from_numpy(np.array(mask)).double()[:, None] / 255
    return Pair(low, normal, weight, torch.full((2,), PIXEL_MM), torch.arange(2))


def _module_2() -> dict[str, Any]:
    normal = torch.from_numpy(slices()[1])[:, None]
    mm = torch.full((2,), PIXEL_MM)
    module = AddNoise(Window(), Acquisition(4000.0, views=24, filter_name="cosine", dose=0.1, inserted=True))
    default = AddNoise(Window()).acquisition
    fixed: Any = FixedSlices()
    integrals = module.integrals(fixed)
    assert integrals is not None

    def noisy(integrals: Tensor | None) -> Tensor:
        return module(normal, mm, [torch_generator("golden", i) for i in range(2)], integrals)

    return {
        **numbers_of_defaults({**vars(default), **field_defaults(AddNoise)}),
        "A(n)": summary(noisy(None)),
        "A(n) from stored line integrals": summary(noisy(torch.from_numpy(integrals))),
        "line integrals": summary(integrals),
    }


def _calibration() -> dict[str, Any]:
    low, normal = slices()
    noise = AddNoise(Window(), Acquisition(4000.0, views=24, filter_name="cosine", dose=0.1, inserted=True))
    region = calibration.lung_region(low[1], normal[1])
    mm, patients = np.full(2, PIXEL_MM), np.array([0, 1, 1, 2])
    weights = calibration._bootstrap_weights(patients, np.arange(1.0, 5.0), numpy_generator("golden"), draws=20)
    return {
        "photons": calibration.calibrate(noise, low, normal, mm, 1, rounds=2).add_noise.acquisition.photons,
        "photons, without NDCT": calibration.calibrate(noise, low, None, mm, 1, rounds=2).add_noise.acquisition.photons,
        "noise level": [calibration.noise_level(x, region) for x in (*low, *normal)],
        "bootstrap": weights.sum(axis=0),
    }


def _otsu(monkeypatch: pytest.MonkeyPatch) -> None:
    original = masks.threshold_otsu
    monkeypatch.setattr(masks, "threshold_otsu", lambda image: original(image) + 1)  # the least that grey levels allow


def _mask_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Purified.training_pair

    def heavier(self: Purified, pair: Pair, add_noise: Any = None, generators: Any = None) -> TrainingPair:
        return original(self, pair._replace(mask=1.001 * pair.mask), add_noise)

    monkeypatch.setattr(Purified, "training_pair", heavier)


def _label_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Purified.test_label

    def heavier(self: Purified, pair: Pair, remove_noise: Any = None) -> Tensor:
        return original(self, pair._replace(mask=1.001 * pair.mask), remove_noise)

    monkeypatch.setattr(Purified, "test_label", heavier)


def _noise_in_hu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Window, "unit", lambda self, hu: ((hu - self.low) / (1.001 * self.width)).clip(0.0, 1.0))


def _noise_level(monkeypatch: pytest.MonkeyPatch) -> None:
    original = calibration.noise_level
    monkeypatch.setattr(calibration, "noise_level", lambda image, region: 1.001 * original(image, region))


def _photons(monkeypatch: pytest.MonkeyPatch) -> None:
    original = calibration.replace
    monkeypatch.setattr(
        calibration,
        "replace",
        lambda value, **new: original(value, **{k: 1.001 * v if k == "photons" else v for k, v in new.items()}),
    )


PARTS = [
    Part("purification_masks", VERSION, _masks, {"threshold": _otsu}, rtol=1e-9),
    Part(
        "purification_strategies",
        VERSION,
        _strategies,
        {"mask weight": _mask_weight, "mask weight of the label": _label_weight},
        rtol=1e-9,
    ),
    Part("purification_add_noise", VERSION, _module_2, {"noise in HU": _noise_in_hu}, (PHYSICS,)),
    # Photons are rounded to six digits and follow drawn counts.
    Part(
        "purification_calibration",
        VERSION,
        _calibration,
        {"noise level": _noise_level, "photons": _photons},
        (PHYSICS,),
    ),
]
