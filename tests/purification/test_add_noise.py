"""Module 2: A(n) stays in range, and is the same with kept line integrals as without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ipv2_bench.data.slices import SliceSet
from ipv2_bench.data.thorax import Patient, draw_section
from ipv2_bench.physics.acquisition import Acquisition
from ipv2_bench.physics.intensity import Window
from ipv2_bench.physics.seeding import torch_generator
from ipv2_bench.purification.add_noise import AddNoise

SIZE, PIXEL_MM = 128, 400 / 128
MODEL = AddNoise(Window(), Acquisition(photons=1e4, filter_name="hann", views=90))


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    """Twelve sections of two patients, [12, 128, 128] in [0, 1], free of noise."""
    patients = [Patient.draw(np.random.default_rng(seed)) for seed in (21, 22)]
    levels = np.linspace(0.3, 0.8, 6)
    hu = [draw_section(p, float(level), SIZE, PIXEL_MM).hu for p in patients for level in levels]
    return Window().unit(np.stack(hu).astype(np.float32))


def apply(model: AddNoise, normal: np.ndarray, *key: int | str) -> np.ndarray:
    generators = [torch_generator(*key, i) for i in range(len(normal))]
    return model(torch.from_numpy(normal)[:, None], torch.full((len(normal),), PIXEL_MM), generators)[:, 0].numpy()


def low_dose(normal: np.ndarray, photons: float, *key: int | str) -> np.ndarray:
    return apply(replace(MODEL, acquisition=replace(MODEL.acquisition, photons=photons)), normal, *key)


@pytest.mark.parametrize("dose_model", ["physical", "published"])
def test_noisy_slices_stay_in_range_and_differ(normal: np.ndarray, dose_model: str) -> None:
    model = AddNoise(Window(), Acquisition(photons=200.0, filter_name="hann", views=90), dose_model)
    first, again, other = (apply(model, normal[:2], name) for name in ("a", "a", "b"))
    assert first.shape == normal[:2].shape and np.isfinite(first).all()
    assert first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 1e-3


def test_kept_line_integrals_change_nothing(phantom: SliceSet) -> None:
    model = replace(MODEL, acquisition=replace(MODEL.acquisition, dose=0.02, inserted=True, photons=1e5))
    kept = model.integrals(phantom)
    assert kept is not None and kept.dtype == np.float32 and len(kept) == len(phantom)
    normal, mm = torch.from_numpy(np.array(phantom.normal))[:, None], torch.from_numpy(phantom.pixel_mm).float()
    noisy = [
        model(normal, mm, [torch_generator(i) for i in range(len(phantom))], integrals)
        for integrals in (None, torch.from_numpy(np.array(kept)))
    ]
    assert torch.equal(*noisy)
    assert replace(model, dose_model="published").integrals(phantom) is None


def test_unknown_dose_models_are_refused() -> None:
    with pytest.raises(ValueError, match="'guess' is unknown: use physical or published"):
        AddNoise(Window(), dose_model="guess")
